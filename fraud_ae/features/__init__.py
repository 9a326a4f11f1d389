"""Feature strategies: transactions in, named point-in-time features out."""

from fraud_ae.features.baseline import Baseline
from fraud_ae.features.behavioural import Behavioural
from fraud_ae.features.combined import Combined
from fraud_ae.features.demographic_risk import DemographicRisk
from fraud_ae.features.history import History
from fraud_ae.features.saving import strategy_from_dict, strategy_to_dict
from fraud_ae.features.strategy import (
    FeatureStrategy,
    check_strategy,
    compute_features,
    fit_strategy,
    missing_columns,
)
from fraud_ae.features.temporal import Temporal

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
