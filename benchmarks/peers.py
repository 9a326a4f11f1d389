"""What people would use instead: each fits on a task's training rows and scores its test rows.

Detectors without labels are fitted on the training rows not known to be fraud, as ours are.
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
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


def isolation_forest(task: Task, seed: int, max_samples: int = 256) -> np.ndarray:
    """Isolation forest (Liu et al., ICDM 2008) of scikit-learn, trees of `max_samples` rows."""
    normal = task.inputs[task.normal]
    forest = IsolationForest(random_state=seed, max_samples=min(max_samples, len(normal)))
    forest.fit(normal)
    return -forest.score_samples(task.inputs[task.test])


def pyod_devnet(task: Task, seed: int) -> np.ndarray:
    """DevNet (Pang et al., KDD 2019) of PyOD, trained as published.

    Half of each batch is frauds and there are 50 x 20 batches, where PyOD goes through the rows as
    they come. The loss of PyOD 3.6.7 takes outputs for labels and labels for outputs, and compares
    each row with all rows of its batch: here it is given them in their order, row by row.
    """
    from pyod.models import devnet

    loss, batches, batch_size = devnet.deviation_loss, 50 * 20, 512
    normal, frauds = np.flatnonzero(task.normal), np.flatnonzero(task.train & (task.known == 1))
    rows = np.concatenate([normal, np.resize(frauds, len(normal))])
    epochs = max(1, round(batches * batch_size / len(rows)))

    def aligned(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return loss(labels, outputs.squeeze(1))

    with _quiet(seed), patch.object(devnet, "deviation_loss", aligned):
        detector = devnet.DevNet(epochs=epochs, batch_size=batch_size, device="cpu")
        detector.fit(task.inputs[rows], task.known[rows])
        return detector.decision_function(task.inputs[task.test])


def pyod_xgbod(task: Task, seed: int) -> np.ndarray:
    """XGBOD (Zhao and Hryniewicki, IJCNN 2018) of PyOD, of all known frauds and some normal rows.

    Its nearest neighbours and support vectors would take hours of all rows.
    """
    from pyod.models.xgbod import XGBOD

    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(task.normal))[:_XGBOD_ROWS]
    rows = np.sort(np.concatenate([drawn, np.flatnonzero(task.train & (task.known == 1))]))
    with _quiet(seed):
        detector = XGBOD(random_state=seed).fit(task.inputs[rows], task.known[rows])
        return detector.decision_function(task.inputs[task.test])


def pyod_ecod(task: Task, seed: int) -> np.ndarray:
    """ECOD (Li et al., TKDE 2022) of PyOD."""
    from pyod.models.ecod import ECOD

    return _of_normal_rows(ECOD(), task, seed)


def pyod_autoencoder(task: Task, seed: int) -> np.ndarray:
    """The autoencoder of PyOD, with its defaults."""
    from pyod.models.auto_encoder import AutoEncoder

    return _of_normal_rows(AutoEncoder(random_state=seed, verbose=0), task, seed)


def pyod_deep_svdd(task: Task, seed: int) -> np.ndarray:
    """Deep SVDD (Ruff et al., ICML 2018) of PyOD, with its defaults."""
    from pyod.models.deep_svdd import DeepSVDD

    settings = {"n_features": task.inputs.shape[1], "random_state": seed, "verbose": 0}
    return _of_normal_rows(DeepSVDD(**settings), task, seed)


def _of_normal_rows(detector: object, task: Task, seed: int) -> np.ndarray:
    with _quiet(seed):
        return detector.fit(task.inputs[task.normal]).decision_function(task.inputs[task.test])


@contextlib.contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """Within it PyOD's detectors draw by the seed, and neither print nor warn."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        torch.random.fork_rng(devices=[]),
    ):
        warnings.simplefilter("ignore")  # of constant inputs and deprecations
        torch.manual_seed(seed)
        yield


def _classifier(build: Callable) -> Callable[..., np.ndarray]:
    def score(task: Task, seed: int, **settings) -> np.ndarray:
        model = build(random_state=seed, **settings)
        model.fit(task.inputs[task.train], task.known[task.train])
        return model.predict_proba(task.inputs[task.test])[:, 1]

    return score


def _logistic_regression(random_state: int, **settings):
    # The inputs of extra width that `clip=None` lets through make it slow to converge.
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, **settings))


_XGBOD_ROWS = 5_000
# Pang et al., KDD 2023, which usually stands beside DevNet.
_NOT_IN_PYOD = ("PReNet",)
_BOOSTING = {"learning_rate": 0.05, "max_leaf_nodes": 8, "l2_regularization": 5.0}
_FOREST = {"min_samples_leaf": 3, "max_features": 0.3}
PEERS = {
    "max |z|": Peer(max_z, uses_labels=False),
    "Mahalanobis": Peer(mahalanobis, uses_labels=False),
    "isolation forest": Peer(isolation_forest, False, [{}, {"max_samples": 4096}]),
    "PyOD ECOD": Peer(pyod_ecod, uses_labels=False),
    "PyOD AutoEncoder": Peer(pyod_autoencoder, uses_labels=False),
    "PyOD DeepSVDD": Peer(pyod_deep_svdd, uses_labels=False),
    "logistic regression": Peer(
        _classifier(_logistic_regression), True, [{}, {"C": 0.1}, {"C": 0.01}]
    ),
    "HistGradientBoosting": Peer(
        _classifier(HistGradientBoostingClassifier), True, [{}, _BOOSTING]
    ),
    "RandomForest": Peer(
        _classifier(partial(RandomForestClassifier, n_jobs=-1)), True, [{}, _FOREST]
    ),
    "PyOD DevNet": Peer(pyod_devnet, uses_labels=True),
    "PyOD XGBOD": Peer(pyod_xgbod, uses_labels=True),
}


def available() -> dict[str, Peer]:
    """The peers that are installed."""
    has_pyod = importlib.util.find_spec("pyod") is not None
    return {name: peer for name, peer in PEERS.items() if has_pyod or "PyOD" not in name}


def not_available() -> list[str]:
    """What a reader may miss, and why it is not there: a line for each."""
    if importlib.util.find_spec("pyod") is None:
        names = [name.removeprefix("PyOD ") for name in PEERS if "PyOD" in name]
        last = f"{', '.join(names[:-1])} and {names[-1]}"
        return [f"PyOD is not installed (pip install -e '.[bench]'): without {last}"]
    version = importlib.metadata.version("pyod")
    return [f"{name}: not in PyOD {version}" for name in _NOT_IN_PYOD]
