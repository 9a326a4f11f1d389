"""Detectors of one trained network, one for each scorer, for the benchmarks that need some."""

from collections.abc import Iterator

import numpy as np

from fraud_ae.data.sources import Dataset
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.experiments.recipe import Recipe
from fraud_ae.experiments.run import make_detector, train_networks
from fraud_ae.features.encoded_data import encode
from fraud_ae.features.encoder import Encoder
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.training import only
from fraud_ae.scorers.calibrated import CalibratedScorer
from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.scorer import Scorer

SCORERS = {
    "reconstruction": ReconstructionScorer(),
    "mahalanobis": MahalanobisScorer(),
    "calibrated": CalibratedScorer(),
}


def detectors(
    dataset: Dataset, strategy: object, network: dict, epochs: int
) -> Iterator[tuple[str, FraudDetector, np.ndarray]]:
    """Train a network on the first three quarters of the rows, and fit each scorer to it.

    Yields the scorer's name, a detector that alerts on 5 % of the other rows, and their positions.
    """
    transactions = dataset.transactions
    fit_rows = np.arange(len(transactions)) < len(transactions) * 3 // 4
    encoded = encode(strategy, Encoder(), transactions, fit_rows, "normal")
    settings = TrainerSettings(max_epochs=epochs, accelerator="cpu")

    def recipe(scorer: Scorer) -> Recipe:
        return Recipe(network, scorer, settings, "normal", 0)

    trained = only(train_networks([recipe(ReconstructionScorer())], [encoded], ~fit_rows))
    for name, scorer in SCORERS.items():
        detector = make_detector(
            recipe(scorer), encoded, trained.network, ~fit_rows, dataset.source_format
        )
        scores = detector.score_inputs(encoded.inputs, ~fit_rows)
        detector.threshold = float(np.quantile(scores, 0.95))
        yield name, detector, np.flatnonzero(~fit_rows)
