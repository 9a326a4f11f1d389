"""What people would use instead: each fits on a task's training rows and scores its test rows.

Detectors without labels are fitted on the training rows not known to be fraud, as ours are.
"""

import importlib.util
import time
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

    def timed(self, task: Task, seed: int, settings: dict) -> tuple[np.ndarray, float]:
        """The scores, and the seconds from the inputs to them."""
        _ = task.inputs  # are made once for all methods
        started = time.perf_counter()
        scores = self.score(task, seed, **settings)
        return scores, time.perf_counter() - started


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

    return _pyod(ECOD(), task, task.normal)


def pyod_autoencoder(task: Task, seed: int) -> np.ndarray:
    """The autoencoder of PyOD, with its defaults."""
    from pyod.models.auto_encoder import AutoEncoder

    return _pyod(AutoEncoder(random_state=seed, verbose=0), task, task.normal)


def pyod_deep_svdd(task: Task, seed: int) -> np.ndarray:
    """Deep SVDD (Ruff et al., ICML 2018) of PyOD, with its defaults."""
    from pyod.models.deep_svdd import DeepSVDD

    network = DeepSVDD(task.inputs.shape[1], random_state=seed, verbose=0)
    return _pyod(network, task, task.normal)


def pyod_devnet(task: Task, seed: int) -> np.ndarray:
    """Deviation networks (Pang et al., KDD 2019) of PyOD, with its defaults and all known frauds.

    They take 30 known anomalies by default; here they are told how many there are.
    """
    from pyod.models.devnet import DevNet

    frauds = int(task.known[task.train].sum())
    network = DevNet(known_outliers=frauds, random_seed=seed, device="cpu")
    return _pyod(network, task, task.train, task.known[task.train])


def pyod_xgbod(task: Task, seed: int) -> np.ndarray:
    """XGBOD (Zhao and Hryniewicki, IJCNN 2018) of PyOD, with its defaults.

    Of the normal rows it is given XGBOD_ROWS: its nearest neighbours and support vector machines
    take hours for more.
    """
    from pyod.models.xgbod import XGBOD

    normal = np.flatnonzero(task.normal)
    some = np.random.default_rng(seed).permutation(normal)[:XGBOD_ROWS]
    train = task.train & (task.known == 1)
    train[some] = True
    return _pyod(XGBOD(random_state=seed), task, train, task.known[train])


def _pyod(detector: object, task: Task, train: np.ndarray, *labels: np.ndarray) -> np.ndarray:
    """Scores of the test rows. train: (n,) bool, what it is fitted on; labels: of those, if any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyOD's own, of constant inputs and deprecations
        detector.fit(task.inputs[train], *labels)
        return detector.decision_function(task.inputs[task.test])


def _classifier(build: Callable) -> Callable[..., np.ndarray]:
    def score(task: Task, seed: int, **settings) -> np.ndarray:
        model = build(random_state=seed, **settings)
        model.fit(task.inputs[task.train], task.known[task.train])
        return model.predict_proba(task.inputs[task.test])[:, 1]

    return score


def _logistic_regression(random_state: int, **settings):
    # The inputs of extra width that `clip=None` lets through make it slow to converge.
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, **settings))


XGBOD_ROWS = 2_000
_BOOSTING = {"learning_rate": 0.05, "max_leaf_nodes": 8, "l2_regularization": 5.0}
_FOREST = {"min_samples_leaf": 3, "max_features": 0.3}
PEERS = {
    "max |z|": Peer(max_z, uses_labels=False),
    "Mahalanobis": Peer(mahalanobis, uses_labels=False),
    "isolation forest": Peer(isolation_forest, False, [{}, {"max_samples": 4096}]),
    "PyOD ECOD": Peer(pyod_ecod, uses_labels=False),
    "PyOD AutoEncoder": Peer(pyod_autoencoder, uses_labels=False),
    "PyOD DeepSVDD": Peer(pyod_deep_svdd, uses_labels=False),
    "PyOD DevNet": Peer(pyod_devnet, uses_labels=True),
    "PyOD XGBOD": Peer(pyod_xgbod, uses_labels=True),
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
