"""How the model for production comes about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fraud_ae.experiments.recipe import Recipe
from fraud_ae.experiments.run_store import Run
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.partitioned.computation import FeatureComputation


@dataclass(frozen=True)
class Plan:
    """How the deployed model comes about.

    winner: the finished run that validation chose. origin: where it comes from and why, see
    `sweeps.winner.origin`. run: the folder of the deployed fit. strategy,
    encoder: not fitted.
    fit_on: `train` deploys the winner itself, `train+validation` and `all` fit anew on more rows.
    folds: parts of the newest fitted period, each scored by a fit without it, for the threshold.
    computation: how the features of its fits are computed.
    keep_history: whether the model remembers what later transactions look back to.
    experiment, configuration: written down in `model_info.yaml`.
    """

    winner: Run
    run: Run
    strategy: Any
    encoder: Encoder
    recipe: Recipe
    fit_on: str
    folds: int
    keep_history: bool
    computation: FeatureComputation
    experiment: str
    configuration: dict
    origin: Mapping[str, str | None] = field(default_factory=dict)
