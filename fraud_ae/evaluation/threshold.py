"""From scores to alerts."""

import numpy as np


def percentile_threshold(scores: np.ndarray, percentile: float) -> float:
    """The score that `percentile` percent of the given transactions do not exceed.

    scores: (n,) of transactions that the model was not fitted on; percentile: 0 to 100, so that
    95 asks for alerts on 5 % of the transactions.
    """
    return float(np.percentile(scores, percentile))


def alerts(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Which transactions exceed the threshold. (n,) float -> (n,) bool."""
    return np.asarray(scores) > threshold
