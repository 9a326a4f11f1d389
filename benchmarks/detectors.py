"""The strategy `combined`, and detectors of one trained network, one for each scorer."""

from collections.abc import Iterator

import numpy as np

from fraud_ae.data.sources import Dataset
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.experiments.recipe import Recipe
from fraud_ae.experiments.run import make_detector, train_networks
from fraud_ae.features import Behavioural, Combined, DemographicRisk, Temporal
from fraud_ae.features.encoded_data import Encoded, encode
from fraud_ae.features.encoder import Encoder
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.training import TrainedNetwork, only
from fraud_ae.scorers.calibrated import CalibratedScorer
from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer

AUTOENCODER = {"class": "fraud_ae.models.network.Autoencoder"}
SCORERS = {
    "reconstruction": ReconstructionScorer(),
    "mahalanobis": MahalanobisScorer(),
    "calibrated": CalibratedScorer(),
}


def combined() -> Combined:
    """The strategy `combined` as it is configured: the baseline is part of it."""
    parts = {"temporal": Temporal(), "behavioural": Behavioural()}
    return Combined({**parts, "demographic_risk": DemographicRisk()})


def trained(
    recipe: Recipe, encoded: Encoded, validation_rows: np.ndarray | None = None
) -> TrainedNetwork:
    """The network of a recipe. validation_rows: (n,) bool, which decide the best epoch."""
    return only(train_networks([recipe], [encoded], validation_rows))


def detectors(
    dataset: Dataset, network: dict, epochs: int
) -> Iterator[tuple[str, FraudDetector, np.ndarray]]:
    """Train a network on the first three quarters of the rows, and fit each scorer to it.

    Yields the scorer's name, a detector that alerts on 5 % of the other rows, and their positions.
    """
    transactions = dataset.transactions
    fit_rows = np.arange(len(transactions)) < len(transactions) * 3 // 4
    encoded = encode(combined(), Encoder(), transactions, fit_rows, "normal")
    settings = TrainerSettings(max_epochs=epochs, accelerator="cpu")
    recipes = [Recipe(network, scorer, settings, "normal", 0) for scorer in SCORERS.values()]
    built = trained(recipes[0], encoded, ~fit_rows).network
    for name, recipe in zip(SCORERS, recipes, strict=True):
        detector = make_detector(recipe, encoded, built, ~fit_rows, dataset.source_format)
        scores = detector.score_inputs(encoded.inputs, ~fit_rows)
        detector.threshold = float(np.quantile(scores, 0.95))
        yield name, detector, np.flatnonzero(~fit_rows)
