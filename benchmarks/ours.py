"""The detectors of this package as methods of the detection benchmark."""

import copy
from collections.abc import Callable

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
    earlier_networks = {}

    def network_for(task: Task, seed: int, number: int) -> torch.nn.Module:
        if task is not earlier:
            return train(task, seed, NETWORKS[number])
        if number not in earlier_networks:
            report(f"train on the earlier rows: {NETWORKS[number]}")
            earlier_networks[number] = train(task, seed, NETWORKS[number])
        return earlier_networks[number]

    def without_labels(new_scorer: Callable[[], Scorer]) -> Callable[..., np.ndarray]:
        def score(task: Task, seed: int, network: int) -> np.ndarray:
            trained = network_for(task, seed, network)
            return _score(_fitted(new_scorer(), trained, task), trained, task)

        return score

    calibrated_before = {}

    def calibrated(task: Task, seed: int, normal_rows: int) -> np.ndarray:
        if normal_rows not in calibrated_before:
            before = network_for(earlier, 0, _CALIBRATED)
            train, test = (_evidence(before, earlier, m) for m in (earlier.train, earlier.test))
            scorer = CalibratedScorer(normal_rows=normal_rows, members=MEMBERS).fit(*train, *test)
            calibrated_before[normal_rows] = scorer
        scorer = copy.deepcopy(calibrated_before[normal_rows])
        scorer.seed = seed
        trained = network_for(task, seed, _CALIBRATED)
        # Without validation rows it keeps the curve of the earlier ones.
        return _score(_fitted(scorer, trained, task), trained, task)

    return {
        "fraud_ae reconstruction": Peer(
            without_labels(ReconstructionScorer), uses_labels=False, choices=choices
        ),
        "fraud_ae mahalanobis": Peer(
            without_labels(MahalanobisScorer), uses_labels=False, choices=choices
        ),
        "fraud_ae calibrated": Peer(
            calibrated,
            uses_labels=True,
            choices=[{"normal_rows": 15_000}, {"normal_rows": 100_000}],
        ),
    }


def _fitted(scorer: Scorer, network: torch.nn.Module, task: Task) -> Scorer:
    return scorer.fit(*_evidence(network, task, task.train))


def _score(scorer: Scorer, network: torch.nn.Module, task: Task) -> np.ndarray:
    return scorer.score(signals_of(network, task.inputs[task.test], task.groups))


def _evidence(network: torch.nn.Module, task: Task, rows: np.ndarray) -> tuple[Signals, np.ndarray]:
    return signals_of(network, task.inputs[rows], task.groups), task.labels[rows]
