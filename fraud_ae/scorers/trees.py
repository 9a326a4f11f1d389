"""Boosted trees that tell fraud from the rest: fitting, odds, and files without pickle."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier as Trees
from threadpoolctl import threadpool_limits

from fraud_ae.errors import UserError

_TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def fit_trees(seed: int, evidence: np.ndarray, labels: np.ndarray) -> Trees:
    """Gradient boosting on histograms. evidence: (n, d) float32. labels: (n,) 0 or 1.

    Friedman, Annals of Statistics 29, 2001; histograms: Ke et al., NIPS 2017. Each split looks at a
    fifth of the columns, as random forests do (Breiman, Machine Learning 45, 2001): frauds are few
    and columns many, and the best column of all is often so by chance.
    """
    trees = Trees(
        max_iter=200,
        learning_rate=0.05,
        max_leaf_nodes=16,
        max_features=0.2,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    # It waits for all its threads after every split: on a busy machine, ten times as long.
    with threadpool_limits(1, user_api="openmp"):
        return trees.fit(evidence, labels)


def log_odds(trees: Trees, evidence: np.ndarray) -> np.ndarray:
    """Logarithm of the odds of fraud. (n, d) float32 -> (n,) float64."""
    with threadpool_limits(1, user_api="openmp"):
        return trees.decision_function(evidence)


def save_trees(members: list[Trees], path: Path) -> None:
    """Write the trees in the format of skops, which holds no pickle."""
    import skops.io

    skops.io.dump(members, path, compression=ZIP_DEFLATED)


def load_trees(path: Path) -> list[Trees]:
    """The trees that `save_trees` wrote. Raises UserError if the file is damaged."""
    import skops.io

    try:
        members = skops.io.load(path, trusted=_TRUSTED)
    except Exception as error:  # a damaged archive may fail at any place
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: the trees of this scorer cannot be read ({reason})") from error
    if not (isinstance(members, list) and all(isinstance(trees, Trees) for trees in members)):
        raise UserError(f"{path}: holds something else than the trees of this scorer")
    # scikit-learn follows these numbers without looking, so a damaged file must not get through.
    for trees in members:
        if not all(_is_sound(*nodes, trees.n_features_in_) for nodes in _nodes(trees)):
            raise UserError(f"{path}: the trees of this scorer are damaged")
    return members


def _nodes(trees: Trees) -> Iterator[tuple[np.ndarray, ...]]:
    """For each tree: which nodes are leaves, their left and right children, and their feature."""
    for predictor in (p for iteration in trees._predictors for p in iteration):
        nodes = predictor.nodes
        is_leaf = nodes["is_leaf"].astype(bool)
        # None of ours splits by category; the table of one would not be looked at either.
        feature = np.where(nodes["is_categorical"] != 0, -1, nodes["feature_idx"])
        yield is_leaf, nodes["left"], nodes["right"], feature


def _is_sound(
    is_leaf: np.ndarray, left: np.ndarray, right: np.ndarray, feature: np.ndarray, n_features: int
) -> bool:
    """Whether every inner node leads on, to nodes that there are, by a feature that there is."""
    inner = np.flatnonzero(~is_leaf)
    children = np.stack([left[inner], right[inner]]).astype(np.int64)
    used = feature[inner].astype(np.int64)
    forward = (children > inner).all() and (children < len(is_leaf)).all()
    known = (used >= 0).all() and (used < n_features).all()
    return bool(len(is_leaf) and forward and known)
