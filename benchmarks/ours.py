"""The detectors of this package as methods of the detection benchmark."""

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from benchmarks.peers import Peer
from benchmarks.protocols import Task
from fraud_ae.experiments.run import network_settings
from fraud_ae.models.batches import Rows
from fraud_ae.models.persistence import build_network, scoring_network
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.training import Training, train_network
from fraud_ae.scorers.calibrated import CalibratedScorer
from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.scorer import Scorer
from fraud_ae.scorers.signals import Signals, signals_of

AUTOENCODER = "fraud_ae.models.network.Autoencoder"
MASKED = "fraud_ae.models.network.MaskedAutoencoder"
NETWORKS = [
    {"class": AUTOENCODER, "latent_dim": 8},
    {"class": AUTOENCODER, "latent_dim": 16},
    {"class": AUTOENCODER, "latent_dim": 16, "input_noise": 0.2},
    {"class": MASKED, "mask_ratio": 0.3},
    {"class": MASKED, "mask_ratio": 0.5},
]
TRAINER = TrainerSettings(max_epochs=20, batch_size=256)
MEMBERS = 3
# The network matters little to the calibrated scorer, so that none is chosen.
_CALIBRATED = 1


def train(task: Task, seed: int, network: dict):
    """A network trained on the normal training rows, for a fixed number of epochs."""
    settings = network_settings({**network, "members": MEMBERS}, task.groups)
    rows = Rows(torch.from_numpy(task.inputs), torch.from_numpy(np.flatnonzero(task.normal)))
    training = Training(lambda n: build_network(settings), TRAINER, seed)
    return scoring_network(train_network(training, rows, None).network)


def methods(earlier: Task, report: Callable[[str], None]) -> dict[str, Peer]:
    """Our methods: without labels in the score, and calibrated by them.

    earlier: where the network is chosen for each, and where the probabilities are calibrated.
    """
    choices = [{"network": number} for number in range(len(NETWORKS))]

    @cache
    def earlier_network(number: int) -> torch.nn.Module:
        report(f"train on the earlier rows: {NETWORKS[number]}")
        return train(earlier, 0, NETWORKS[number])

    def network_for(task: Task, seed: int, number: int) -> torch.nn.Module:
        return earlier_network(number) if task is earlier else train(task, seed, NETWORKS[number])

    def without_labels(new_scorer: Callable[[], Scorer]) -> Callable[..., np.ndarray]:
        def score(task: Task, seed: int, network: int) -> np.ndarray:
            return _scores(new_scorer(), network_for(task, seed, network), task)

        return score

    @cache
    def calibrated_earlier(normal_rows: int) -> CalibratedScorer:
        network = earlier_network(_CALIBRATED)
        train, test = (_evidence(network, earlier, m) for m in (earlier.train, earlier.test))
        return CalibratedScorer(normal_rows=normal_rows, members=MEMBERS).fit(*train, *test)

    def calibrated(task: Task, seed: int, normal_rows: int) -> np.ndarray:
        scorer = copy.deepcopy(calibrated_earlier(normal_rows))
        scorer.seed = seed
        # Without validation rows it keeps the curve of the earlier ones.
        return _scores(scorer, network_for(task, seed, _CALIBRATED), task)

    sizes = [{"normal_rows": 15_000}, {"normal_rows": 100_000}]
    return {
        "fraud_ae reconstruction": Peer(without_labels(ReconstructionScorer), False, choices),
        "fraud_ae mahalanobis": Peer(without_labels(MahalanobisScorer), False, choices),
        "fraud_ae calibrated": Peer(calibrated, True, sizes),
    }


def _scores(scorer: Scorer, network: torch.nn.Module, task: Task) -> np.ndarray:
    """Scores of the test rows, (test.sum(),), of a scorer fitted on the training rows."""
    scorer = scorer.fit(*_evidence(network, task, task.train))
    return scorer.score(signals_of(network, task.inputs[task.test], task.groups))


def _evidence(network: torch.nn.Module, task: Task, rows: np.ndarray) -> tuple[Signals, np.ndarray]:
    return signals_of(network, task.inputs[rows], task.groups), task.labels[rows]
