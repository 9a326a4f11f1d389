"""What people would use instead: each fits on a task's training rows and scores its test rows.

Detectors without labels are fitted on the training rows not known to be fraud, as ours are.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from sklearn.covariance import EmpiricalCovariance
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.protocols import Task


@dataclass(frozen=True)
class Peer:
    """A method: (task, seed, **settings) -> (test.sum(),) scores, and the settings to choose from.

    uses_labels: whether the score learns from which training rows were fraud.
    """

    score: Callable[..., np.ndarray]
    uses_labels: bool
    choices: list[dict] = field(default_factory=lambda: [{}])


def max_z(task: Task, seed: int) -> np.ndarray:
    """Largest deviation of an input from its mean, in standard deviations."""
    normal = task.inputs[task.normal]
    spread = normal.std(axis=0)
    varies = spread > 0
    z = (task.inputs[task.test] - normal.mean(axis=0))[:, varies] / spread[varies]
    return np.abs(z).max(axis=1)


def mahalanobis(task: Task, seed: int) -> np.ndarray:
    """Squared Mahalanobis distance from the normal rows."""
    covariance = EmpiricalCovariance().fit(task.inputs[task.normal].astype(np.float64))
    return covariance.mahalanobis(task.inputs[task.test].astype(np.float64))


def isolation_forest(task: Task, seed: int, **settings) -> np.ndarray:
    """Isolation forest (Liu et al., ICDM 2008) of scikit-learn."""
    forest = IsolationForest(random_state=seed, **settings).fit(task.inputs[task.normal])
    return -forest.score_samples(task.inputs[task.test])


def pyod_ecod(task: Task, seed: int) -> np.ndarray:
    """ECOD (Li et al., TKDE 2022) of PyOD."""
    from pyod.models.ecod import ECOD

    return _pyod(ECOD(), task)


def pyod_autoencoder(task: Task, seed: int) -> np.ndarray:
    """The autoencoder of PyOD, with its defaults."""
    from pyod.models.auto_encoder import AutoEncoder

    return _pyod(AutoEncoder(random_state=seed, verbose=0), task)


def _pyod(detector: object, task: Task) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyOD's own, of constant inputs and deprecations
        return detector.fit(task.inputs[task.normal]).decision_function(task.inputs[task.test])


def _classifier(build: Callable) -> Callable[..., np.ndarray]:
    def score(task: Task, seed: int, **settings) -> np.ndarray:
        model = build(random_state=seed, **settings)
        model.fit(task.inputs[task.train], task.labels[task.train])
        return model.predict_proba(task.inputs[task.test])[:, 1]

    return score


def _logistic_regression(random_state: int, **settings):
    # The inputs of extra width that `clip=None` lets through make it slow to converge.
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, **settings))


_BOOSTING = {"learning_rate": 0.05, "max_leaf_nodes": 8, "l2_regularization": 5.0}
_FOREST = {"min_samples_leaf": 3, "max_features": 0.3}
PEERS = {
    "max |z|": Peer(max_z, uses_labels=False),
    "Mahalanobis": Peer(mahalanobis, uses_labels=False),
    "isolation forest": Peer(isolation_forest, False, [{}, {"max_samples": 4096}]),
    "PyOD ECOD": Peer(pyod_ecod, uses_labels=False),
    "PyOD AutoEncoder": Peer(pyod_autoencoder, uses_labels=False),
    "logistic regression": Peer(
        _classifier(_logistic_regression), True, [{}, {"C": 0.1}, {"C": 0.01}]
    ),
    "HistGradientBoosting": Peer(
        _classifier(HistGradientBoostingClassifier), True, [{}, _BOOSTING]
    ),
    "RandomForest": Peer(
        _classifier(partial(RandomForestClassifier, n_jobs=-1)), True, [{}, _FOREST]
    ),
}


def available() -> dict[str, Peer]:
    """The peers that are installed."""
    has_pyod = importlib.util.find_spec("pyod") is not None
    return {name: peer for name, peer in PEERS.items() if has_pyod or "PyOD" not in name}
