"""The detectors of this package as methods of the detection benchmark."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache

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
# Normal rows that the calibrated scorer learns from at most: its default, and more.
_NORMAL_ROWS = (15_000, 100_000)


@dataclass(frozen=True)
class NetworkMethod(Peer):
    """A scorer of a network: `score` takes the trained one after task and seed, then the settings.

    networks: gives the network of a task, a seed and a number in NETWORKS, and its seconds. All
    settings have such a number under `network`.
    """

    networks: Callable[[Task, int, int], tuple[torch.nn.Module, float]] = field(kw_only=True)

    def timed(self, task: Task, seed: int, settings: dict) -> tuple[np.ndarray, float]:
        """The scores, and the seconds from the inputs to them: those of its network are counted.

        That holds as well where another scorer has used the network before.
        """
        trained, training_seconds = self.networks(task, seed, settings["network"])
        started = time.perf_counter()
        scores = self.score(task, seed, trained, **settings)
        return scores, training_seconds + time.perf_counter() - started


def train(task: Task, seed: int, network: dict) -> torch.nn.Module:
    """A network trained on the normal training rows, for a fixed number of epochs."""
    settings = network_settings({**network, "members": MEMBERS}, task.groups)
    rows = Rows(torch.from_numpy(task.inputs), torch.from_numpy(np.flatnonzero(task.normal)))
    frauds = int(task.known[task.train].sum())
    trainer = TRAINER.with_contamination(frauds, int(task.train.sum()))
    training = Training(lambda n: build_network(settings), trainer, seed)
    return scoring_network(train_network(training, rows, None).network)


def methods(earlier: Task, report: Callable[[str], None]) -> dict[str, Peer]:
    """Our methods: without labels in the score, and calibrated by them.

    earlier: where the network is chosen for each, and where the probabilities are calibrated. The
    scorers share the networks of a task: each is trained once, however many scorers try it.
    """
    choices = [{"network": number} for number in range(len(NETWORKS))]

    # As many as the choice looks at: a task is scored by all methods before the next one.
    @lru_cache(maxsize=len(NETWORKS))
    def networks(task: Task, seed: int, number: int) -> tuple[torch.nn.Module, float]:
        report(f"train {described(number)}")
        _ = task.inputs  # are made once for all methods
        started = time.perf_counter()
        network = train(task, seed, NETWORKS[number])
        return network, time.perf_counter() - started

    def without_labels(new_scorer: Callable[[], Scorer]) -> Peer:
        def score(task: Task, seed: int, trained: torch.nn.Module, network: int) -> np.ndarray:
            return _scores(new_scorer(), trained, task)

        return NetworkMethod(score, False, choices, networks=networks)

    @cache
    def calibrated_earlier(network: int, normal_rows: int) -> CalibratedScorer:
        trained, _ = networks(earlier, 0, network)
        training = _evidence(trained, earlier, earlier.train), earlier.known[earlier.train]
        later = _evidence(trained, earlier, earlier.test), earlier.labels[earlier.test]
        return CalibratedScorer(normal_rows=normal_rows, members=MEMBERS).fit(*training, *later)

    def calibrated(
        task: Task, seed: int, trained: torch.nn.Module, network: int, normal_rows: int
    ) -> np.ndarray:
        scorer = calibrated_earlier(network, normal_rows)
        if task is earlier and seed == 0:
            # Has been fitted on these rows: another fit would give the same scores.
            return scorer.score(_evidence(trained, task, task.test))
        scorer = copy.deepcopy(scorer)
        scorer.seed = seed
        # Without validation rows it keeps the curve of the earlier ones.
        return _scores(scorer, trained, task)

    # Of no more rows than the fewest, each number of them gives the same scorer.
    fewest = _NORMAL_ROWS[0]
    sizes = _NORMAL_ROWS if earlier.normal.sum() > fewest else [fewest]
    both = [{**choice, "normal_rows": rows} for choice in choices for rows in sizes]
    return {
        "fraud_ae reconstruction": without_labels(ReconstructionScorer),
        "fraud_ae mahalanobis": without_labels(MahalanobisScorer),
        "fraud_ae calibrated": NetworkMethod(calibrated, True, both, networks=networks),
    }


def described(number: int) -> str:
    """A network of NETWORKS in words."""
    settings = dict(NETWORKS[number])
    name = settings.pop("class").rpartition(".")[2]
    return " ".join([name, *(f"{key}={value}" for key, value in settings.items())])


def _scores(scorer: Scorer, network: torch.nn.Module, task: Task) -> np.ndarray:
    """Scores of the test rows, (test.sum(),), of a scorer fitted on the training rows."""
    scorer = scorer.fit(_evidence(network, task, task.train), task.known[task.train])
    return scorer.score(_evidence(network, task, task.test))


def _evidence(network: torch.nn.Module, task: Task, rows: np.ndarray) -> Signals:
    return signals_of(network, task.inputs[rows], task.groups)
