"""Which rows depend on one another: those of one customer, one terminal, one day or week."""

import numpy as np
import pandas as pd

from fraud_ae.features.event_time import DAY_US, microseconds

# Column of an entity -> what its clusters are called.
ENTITY_COLUMNS = {"customer_id": "customer", "terminal_id": "terminal"}
_DAYS_OF_CYCLE = {"day": 1, "week": 7}


def clusters_of(transactions: pd.DataFrame, cycle: str | None = None) -> dict[str, np.ndarray]:
    """The cluster numbers of the rows of n transactions, by kind of cluster: kind -> (n,) int.

    A missing terminal is a cluster of its own. Days are counted back from the last row; of a
    feature with a weekly cycle, whole weeks take their place.
    """
    clusters = {}
    for column, kind in ENTITY_COLUMNS.items():
        if column in transactions:
            codes = pd.factorize(transactions[column])[0]
            alone = codes.max(initial=0) + 1 + np.arange(len(codes))
            clusters[kind] = np.where(codes < 0, alone, codes)
    day = microseconds(transactions["timestamp"]) // DAY_US
    clusters["day"] = (day[-1] - day) // _DAYS_OF_CYCLE.get(cycle, 1)
    return clusters


def whole_periods(timestamp: pd.Series, cycle: str | None) -> np.ndarray:
    """The rows in whole days or weeks, counted back from the last day: (n,) bool.

    The first and the last day are not whole as a rule, and do not count. All rows where the cycle
    is neither `day` nor `week`.
    """
    if cycle not in _DAYS_OF_CYCLE:
        return np.ones(len(timestamp), dtype=bool)
    day = microseconds(timestamp) // DAY_US
    length = _DAYS_OF_CYCLE[cycle]
    whole = (day[-1] - day[0] - 1) // length * length
    return (day > day[0]) & (day < day[-1]) & (day >= day[-1] - whole)
