"""Detectors of made-up features: the network keeps the weights that it starts with."""

import copy

import numpy as np
import pandas as pd
import torch

from fraud_ae.data.columns import CANONICAL
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.experiments.recipe import Recipe
from fraud_ae.experiments.run import make_detector, network_settings
from fraud_ae.features.encoded_data import Encoded
from fraud_ae.features.encoder import Encoder
from fraud_ae.models.persistence import build_network
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.scorers.calibrated import CalibratedScorer
from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer

NETWORKS = {
    "plain": {"class": "fraud_ae.models.network.Autoencoder"},
    "variational": {"class": "fraud_ae.models.network.VariationalAutoencoder"},
    "masked": {"class": "fraud_ae.models.network.MaskedAutoencoder"},
    "members": {"class": "fraud_ae.models.network.Autoencoder", "members": 2},
}
SCORERS = {
    "calibrated": CalibratedScorer(),
    "reconstruction": ReconstructionScorer(),
    "mahalanobis": MahalanobisScorer(),
}


def made_up(n: int = 4000, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of few digits, so that many values lie at a split of a tree, and labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.05).astype(np.int8)
    numbers = rng.normal(size=(n, 20)).round(1)
    numbers[:, 3] += labels
    features = pd.DataFrame(numbers, columns=[f"V{i}" for i in range(numbers.shape[1])])
    return features.assign(kind=rng.choice(["a", "b", "c"], n)), labels


def made_detector(
    features: pd.DataFrame,
    labels: np.ndarray,
    network: dict,
    scorer,
    encoder: Encoder | None = None,
) -> FraudDetector:
    """Encoder and scorer are fitted to all rows, which are those of validation too."""
    encoder = copy.deepcopy(encoder or Encoder()).fit(features)
    every = np.ones(len(features), dtype=bool)
    encoded = Encoded(None, encoder, encoder.transform(features), labels, every, every)
    recipe = Recipe(network, scorer, TrainerSettings(), "normal", 0)
    torch.manual_seed(0)
    built = build_network(network_settings(network, encoder.input_groups())).eval()
    columns = {name: name for name in CANONICAL}
    return make_detector(recipe, encoded, built, every, SourceFormat(columns))
