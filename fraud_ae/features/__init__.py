"""Feature strategies: transactions in, named point-in-time features out."""

from fraud_ae.features.history import History
from fraud_ae.features.serialization import strategy_from_dict, strategy_to_dict
from fraud_ae.features.strategies.baseline import Baseline
from fraud_ae.features.strategies.behavioural import Behavioural
from fraud_ae.features.strategies.combined import Combined
from fraud_ae.features.strategies.demographic_risk import DemographicRisk
from fraud_ae.features.strategies.temporal import Temporal
from fraud_ae.features.strategy import FeatureStrategy, compute_features, fit_strategy
from fraud_ae.features.strategy_check import check_strategy, missing_columns

__all__ = [
    "Baseline",
    "Behavioural",
    "Combined",
    "DemographicRisk",
    "FeatureStrategy",
    "History",
    "Temporal",
    "check_strategy",
    "compute_features",
    "fit_strategy",
    "missing_columns",
    "strategy_from_dict",
    "strategy_to_dict",
]
