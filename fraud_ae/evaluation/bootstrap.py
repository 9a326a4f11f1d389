"""How far figures would move with other customers: the bootstrap over customers.

Transactions of one customer resemble each other, so that resampling single transactions would
give intervals that are too narrow. Source: percentile intervals, Efron and Tibshirani (1993),
chapter 13; resampling whole clusters, Field and Welsh (2007).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from fraud_ae.errors import UserError

METRICS = ("auc", "average_precision")
# At least half of all draws have both classes, so that this bound is never felt.
_DRAWS_FOR_EACH_REPLICATE = 100

Clusters = Sequence | np.ndarray | pd.Series


def bootstrap_intervals(
    y_true: np.ndarray,
    scores: np.ndarray,
    clusters: Clusters,
    *,
    replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float] | None]:
    """Intervals (low, high) of ROC AUC and average precision, keys `auc`, `average_precision`.

    y_true: (n,) 0 or 1. scores: (n,), higher is more anomalous. clusters: (n,) hashable, such as
    the customer of each row; as many as there are, are drawn with replacement. confidence: 0 to 1.
    A draw in which one class is missing is drawn again. The order of the rows does not matter.
    None where only one class is present, or only one cluster, which tells nothing about others.
    """
    drawn = bootstrap_figures(y_true, scores, clusters, replicates=replicates, seed=seed)
    if drawn is None:
        return dict.fromkeys(METRICS)
    return {name: percentile_interval(drawn[name][1:], confidence) for name in METRICS}


def bootstrap_figures(
    y_true: np.ndarray,
    scores: np.ndarray,
    clusters: Clusters,
    *,
    fraud_share: float | None = None,
    replicates: int = 200,
    seed: int = 0,
) -> dict[str, np.ndarray] | None:
    """ROC AUC and average precision of all rows, and then of each draw of clusters.

    Arguments as for `bootstrap_intervals`. fraud_share: the frauds are weighed so that they have
    this share in each, as the average precision goes with it; by default the one that they have.
    Returns (1 + replicates,) under `auc` and `average_precision`, or None where only one class is
    present, or only one cluster.
    """
    sample = ClusterSample(y_true, clusters)
    if not sample.has_two_classes() or sample.count < 2:
        return None
    is_fraud = np.asarray(y_true) == 1
    # Frauds of a cluster are one by themselves, so that they can have another weight.
    ranking = WeightedRanking(y_true, scores, 2 * sample.codes + is_fraud)
    counts = np.bincount(2 * sample.codes + is_fraud, minlength=2 * sample.count)

    def figures(weights: np.ndarray) -> dict[str, float]:
        both = np.repeat(weights.astype(np.float64), 2)
        if fraud_share is not None:
            frauds, normal = both[1::2] @ counts[1::2], both[::2] @ counts[::2]
            both[1::2] *= fraud_share / (1 - fraud_share) * normal / frauds
        return ranking.figures(both)

    drawn = [figures(np.ones(sample.count)), *map(figures, sample.draw(replicates, seed))]
    return {name: np.array([figures[name] for figures in drawn]) for name in METRICS}


def paired_bootstrap(
    y_true: np.ndarray,
    scores_a: np.ndarray,
    scores_b: np.ndarray,
    clusters: Clusters,
    *,
    metric: str = "auc",
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, float | int | None]:
    """How much higher the metric of one score is than that of another, on the same rows.

    Arguments as for `bootstrap_intervals`; metric: `auc` or `average_precision`. Each draw of
    clusters is used for both scores, so that what makes a draw easy for both cancels out.
    Returns `difference` (a - b on all rows), its interval `low` and `high`, `confidence` and
    `replicates`. The first three are None where only one class is present, low and high where only
    one cluster is. Raises UserError for an unknown metric.
    """
    if metric not in METRICS:
        raise UserError(f"metric={metric}: unknown; known are {', '.join(METRICS)}")
    result = {"difference": None, "low": None, "high": None}
    sample = ClusterSample(y_true, clusters)
    if sample.has_two_classes():
        a = WeightedRanking(y_true, scores_a, sample.codes)
        b = WeightedRanking(y_true, scores_b, sample.codes)

        def difference(weights: np.ndarray) -> float:
            return a.figures(weights)[metric] - b.figures(weights)[metric]

        result["difference"] = difference(np.ones(sample.count))
        if sample.count > 1:
            drawn = [difference(weights) for weights in sample.draw(replicates, seed)]
            result["low"], result["high"] = percentile_interval(drawn, confidence)
    return {**result, "confidence": confidence, "replicates": replicates}


class WeightedRanking:
    """ROC AUC and average precision of one score under ever other weights of the clusters.

    y_true: (n,) 0 or 1. scores: (n,), higher is more anomalous. codes: (n,) int, each row's
    cluster, from 0. The rows are sorted once, here.
    """

    def __init__(self, y_true: np.ndarray, scores: np.ndarray, codes: np.ndarray) -> None:
        scores = np.asarray(scores)
        order = np.argsort(-scores, kind="stable")
        descending = scores[order]
        self._codes = codes[order]
        self._frauds = np.flatnonzero(np.asarray(y_true)[order] == 1)
        is_new = np.append(True, descending[1:] != descending[:-1])
        bounds = np.append(np.flatnonzero(is_new), len(order))
        # Only scores that a fraud has add to either figure, and frauds are rare.
        tie_of_fraud = np.cumsum(is_new)[self._frauds] - 1
        ties, self._first_frauds = np.unique(tie_of_fraud, return_index=True)
        self._starts, self._stops = bounds[ties], bounds[ties + 1]

    def figures(self, weights: np.ndarray) -> dict[str, float]:
        """What scikit-learn gives with the weight of its cluster as each row's sample_weight.

        weights: (number of clusters,), not negative; both classes must keep some weight.
        """
        rows = weights.astype(np.float64)[self._codes]
        above = np.append(0.0, np.cumsum(rows))
        before, alerted = above[self._starts], above[self._stops]
        frauds = np.add.reduceat(rows[self._frauds], self._first_frauds)
        caught = np.cumsum(frauds)
        total = caught[-1]
        normal = above[-1] - total
        # Of the normal rows of the same score, half count as ranked below (Mann-Whitney).
        false_alarms = before - (caught - frauds)
        tied = alerted - before - frauds
        ranked_below = normal - false_alarms - tied / 2
        # The first ties may all have weight 0, and then there is no precision, nor any need of it.
        precision = np.divide(caught, alerted, out=np.zeros_like(caught), where=frauds > 0)
        return {
            "auc": float(frauds @ ranked_below / (total * normal)),
            "average_precision": float(frauds @ precision / total),
        }


class ClusterSample:
    """The clusters of rows, to be drawn from with replacement.

    codes: (n,) the number of each row's cluster; count: number of clusters.
    """

    def __init__(self, y_true: np.ndarray, clusters: Clusters) -> None:
        codes, names = pd.factorize(pd.Series(clusters), use_na_sentinel=False)
        # By value and not by first appearance; repr, as values of mixed types have no order.
        by_value = np.argsort([repr(name) for name in names.tolist()], kind="stable")
        self.codes, self.count = np.argsort(by_value)[codes], len(names)
        is_fraud = np.asarray(y_true) == 1
        self._frauds = np.bincount(self.codes[is_fraud], minlength=self.count)
        self._normal = np.bincount(self.codes[~is_fraud], minlength=self.count)

    def has_two_classes(self, weights: np.ndarray | int = 1) -> bool:
        frauds, normal = weights * self._frauds, weights * self._normal
        return bool(frauds.any() and normal.any())

    def draw(self, replicates: int, seed: int) -> Iterator[np.ndarray]:
        """How often each cluster is drawn, (count,) int, for each replicate with both classes."""
        rng = np.random.default_rng(seed)
        result = 0
        for _ in range(_DRAWS_FOR_EACH_REPLICATE * replicates):
            drawn = rng.integers(0, self.count, self.count)
            weights = np.bincount(drawn, minlength=self.count)
            if self.has_two_classes(weights):
                yield weights
                result += 1
                if result == replicates:
                    return


def percentile_interval(
    values: Sequence[float] | np.ndarray, confidence: float
) -> tuple[float, float]:
    """The interval (low, high) of drawn figures, (replicates,), with a confidence of 0 to 1."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
