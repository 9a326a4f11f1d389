"""Typed schemas of the configuration: what `conf/` is checked against when a run is composed.

Hydra merges every YAML file and command-line override into these dataclasses, so a mistyped key
or a value of the wrong type stops before anything is computed. Ranges are checked by `validate`.
Nothing heavy is imported here: `--help` and every configuration error must answer at once.
"""

import functools
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import MISSING, OmegaConf

from fraud_ae.errors import UserError


@dataclass
class SplitConfig:
    fractions: list[float] = field(default_factory=lambda: [0.6, 0.2, 0.2])
    label_delay_days: float = 7.0
    train_start: str | None = None
    train_end: str | None = None
    validation_start: str | None = None
    validation_end: str | None = None
    test_start: str | None = None
    test_end: str | None = None


@dataclass
class DataConfig:
    _target_: str = MISSING
    name: str = MISSING
    train_on: Literal["normal", "all"] = "normal"
    split: SplitConfig = field(default_factory=SplitConfig)


@dataclass
class SyntheticData(DataConfig):
    n_transactions: int = 100_000
    n_customers: int | None = None
    n_terminals: int | None = None
    days: int = 180
    fraud_ratio: float = 0.025
    start: str = "2024-01-01"
    seed: int = 7


@dataclass
class Columns:
    """Canonical name -> column of the file; null where the file has none."""

    transaction_id: str | None = "transaction_id"
    customer_id: str | None = "customer_id"
    timestamp: str | None = "timestamp"
    amount: str | None = "amount"
    is_fraud: str | None = "is_fraud"
    quantity: str | None = None
    customer_age: str | None = None
    account_age_days: str | None = None
    payment_method: str | None = None
    product_category: str | None = None
    device: str | None = None
    customer_location: str | None = None
    shipping_address: str | None = None
    billing_address: str | None = None
    ip_address: str | None = None
    terminal_id: str | None = None
    fraud_scenario: str | None = None


@dataclass
class FileData(DataConfig):
    path: str | None = None
    columns: Columns = field(default_factory=Columns)
    extra_columns: list[str] = field(default_factory=list)
    time_unit: Literal["s", "ms", "us"] | None = None
    time_origin: str = "1970-01-01"
    time_format: str | None = None
    bad_values: Literal["error", "missing"] = "error"
    # Outcomes that became known later: they take the place of is_fraud.
    labels: str | None = None


@dataclass
class StrategyConfig:
    _target_: str = MISSING


@dataclass
class BehaviouralConfig(StrategyConfig):
    windows_days: list[float] = field(default_factory=lambda: [1.0, 7.0, 30.0])
    label_delay_days: float = 7.0


@dataclass
class DemographicRiskConfig(StrategyConfig):
    label_delay_days: float = 7.0
    smoothing: float = 20.0


@dataclass
class EncoderConfig:
    scaling: Literal["standard", "robust", "quantile"] = "standard"
    max_categories: int = 20
    clip: float | None = 10.0


@dataclass
class AutoencoderConfig:
    _target_: str = MISSING
    hidden_sizes: list[int] = field(default_factory=lambda: [64, 32])
    latent_dim: int = 16
    activation: Literal["relu", "leaky_relu", "tanh", "silu"] = "silu"
    norm: Literal["none", "batch", "layer"] = "layer"
    dropout: float = 0.0
    input_noise: float = 0.0
    members: int = 1


@dataclass
class VariationalConfig(AutoencoderConfig):
    kl_weight: float = 0.01


@dataclass
class MaskedConfig(AutoencoderConfig):
    mask_ratio: float = 0.3
    rounds: int = 3


@dataclass
class TrainerConfig:
    max_epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    early_stopping_patience: int = 5
    reduce_lr_patience: int = 3
    min_delta: float = 0.001
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"


@dataclass
class ScorerConfig:
    _target_: str = MISSING


@dataclass
class ReconstructionScorerConfig(ScorerConfig):
    cap: float | None = None


@dataclass
class CalibratedScorerConfig(ScorerConfig):
    seed: int = 0
    normal_rows: int = 15_000
    members: int = 1


@dataclass
class ThresholdConfig:
    method: Literal["percentile", "best_f1", "recall", "precision", "budget", "cost"] = "percentile"
    percentile: float = 95.0
    least_recall: float = 0.8
    least_precision: float = 0.5
    alerts_per_day: float = 100.0
    review_cost: float = 10.0


@dataclass
class MetricsConfig:
    extra: dict[str, str] = field(default_factory=dict)
    # So many alerts, or customers, are reviewed in a day.
    top_k: int = 100
    # Of the bootstrap that the intervals come from.
    replicates: int = 200


@dataclass
class ProductionConfig:
    fit_on: Literal["train", "train+validation", "all"] = "train+validation"
    folds: int = 3
    # Whether the model is only compared with the one in production, by `mode=retrain`.
    challenger: bool = False


@dataclass
class StageConfig:
    name: Literal["single", "features", "broad", "refined", "final", "production"] = MISSING
    sweep: bool = False
    reads: str | None = None
    requires_candidate: bool = False
    keep: int = 0
    tags: list[str] = field(default_factory=list)


@dataclass
class WandbConfig:
    mode: Literal["offline", "online", "disabled"] = "offline"
    entity: str | None = None
    project: str = "fraud-detection-autoencoder"
    # Most that a command waits in all for a server that is slow or does not answer.
    wait_seconds: float = 20.0
    # Whether the summary and the gate also see what others have run, on the server.
    read: bool = False


@dataclass
class StackedLauncherConfig:
    _target_: str = "fraud_ae.sweeps.launcher.StackedLauncher"
    workers: int | None = None
    stack_size: int = 6


@dataclass
class BatchSweeperConfig:
    _target_: str = "fraud_ae.sweeps.sweeper.BatchSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


@dataclass
class TrainConfig:
    """One run: `conf/train.yaml`. Groups whose options a user may add are typed by the option."""

    experiment: str = MISSING
    seed: int = 42
    objective: str = "final_auc"
    retrain: bool = False
    audit: bool = False
    # Features that may tell fraud from the rest alone without the audit refusing them.
    allow_features: list[str] = field(default_factory=list)
    data: Any = MISSING
    features: Any = MISSING
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    model: Any = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    scorer: Any = MISSING
    threshold: ThresholdConfig = field(default_factory=ThresholdConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    production: ProductionConfig = field(default_factory=ProductionConfig)
    stage: StageConfig = field(default_factory=StageConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)


@dataclass
class GateConfig:
    baseline_auc: float = 0.70
    min_gain: float = 0.0
    force: bool = False


@dataclass
class PromotionConfig:
    """When a challenger takes the place of the model in production."""

    policy: Literal["not_worse", "better", "always", "never"] = "not_worse"
    metric: Literal["average_precision", "auc"] = "average_precision"
    # So much worse the challenger may be, at the lower end of the interval.
    tolerance: float = 0.02
    confidence: float = 0.95
    replicates: int = 1000
    # With fewer frauds among the rows compared, nothing can be told.
    least_frauds: int = 10


@dataclass
class PipelineConfig(TrainConfig):
    """All stages: `conf/pipeline.yaml`."""

    mode: Literal["run", "retrain", "rollback"] = "run"
    promotion: PromotionConfig = field(default_factory=PromotionConfig)
    stages: list[str] = field(
        default_factory=lambda: ["features", "broad", "refined", "final", "production"]
    )
    gate: GateConfig = field(default_factory=GateConfig)
    # Further overrides for one stage alone, such as a grid of one's own for broad.
    overrides: dict[str, list[str]] = field(default_factory=dict)
    summary: bool = False
    report: bool = False
    workspace: bool = False
    # A name, a pattern such as *, or a list of them.
    experiments: Any = None


# What the options of a group are checked against; a file of conf/ names its own. An option of a
# user's own may do without.
SCHEMAS = {
    "data": {"synthetic": SyntheticData, "file": FileData},
    "features": {
        "strategy": StrategyConfig,
        "behavioural": BehaviouralConfig,
        "demographic_risk": DemographicRiskConfig,
    },
    "model": {
        "autoencoder": AutoencoderConfig,
        "variational": VariationalConfig,
        "masked": MaskedConfig,
    },
    "scorer": {
        "scorer": ScorerConfig,
        "reconstruction": ReconstructionScorerConfig,
        "calibrated": CalibratedScorerConfig,
    },
}


@functools.cache
def register() -> None:
    """Make the schemas known to Hydra under the names that `conf/` uses."""
    OmegaConf.register_resolver("trials", _trials, replace=True)
    store = ConfigStore.instance().store
    from fraud_ae.sweeps.launcher import StackedLauncher
    from fraud_ae.sweeps.sweeper import BatchSweeper

    Plugins.instance().register(StackedLauncher)
    Plugins.instance().register(BatchSweeper)
    store(group="hydra/launcher", name="stacked", node=StackedLauncherConfig, provider="fraud_ae")
    store(group="hydra/sweeper", name="batch", node=BatchSweeperConfig, provider="fraud_ae")
    store(name="train_schema", node=_with_open_nodes(TrainConfig))
    store(name="pipeline_schema", node=_with_open_nodes(PipelineConfig))
    # Groups below hydra/ are not offered to users as choices.
    for group, schemas in SCHEMAS.items():
        for name, schema in schemas.items():
            store(group=f"hydra/schema/{group}", name=name, node=schema)


def _trials(sampler: str, otherwise: int) -> int:
    """So many trials that a grid, which ends by itself, always runs whole."""
    return 1_000_000 if sampler.endswith("GridSampler") else otherwise


def _with_open_nodes(schema: type) -> Any:
    """`metrics.extra.NAME=...` and `overrides.STAGE=...` name new keys; all others are known."""
    node = OmegaConf.structured(schema)
    OmegaConf.set_struct(node.metrics.extra, False)
    if "overrides" in node:
        OmegaConf.set_struct(node.overrides, False)
    return node


_POSITIVE = (
    "trainer.max_epochs",
    "trainer.batch_size",
    "trainer.learning_rate",
    "trainer.early_stopping_patience",
    "model.latent_dim",
    "model.members",
    "model.rounds",
    "threshold.alerts_per_day",
    "metrics.top_k",
    "metrics.replicates",
    "encoder.max_categories",
    "production.folds",
    "promotion.replicates",
    "promotion.least_frauds",
)
_NOT_NEGATIVE = (
    "trainer.weight_decay",
    "trainer.reduce_lr_patience",
    "trainer.min_delta",
    "model.input_noise",
    "model.kl_weight",
    "threshold.review_cost",
    "data.split.label_delay_days",
    "wandb.wait_seconds",
    "promotion.tolerance",
)


def validate(config: dict) -> None:
    """Check the ranges that types cannot express.

    config: the resolved configuration as a plain dict.
    Raises UserError naming every key that is out of range, its value and what would be right.
    """
    rules = [(key, lambda v: v > 0, "greater than 0") for key in _POSITIVE]
    rules += [(key, lambda v: v >= 0, "0 or more") for key in _NOT_NEGATIVE]
    rules += [
        ("threshold.percentile", lambda v: 0 < v < 100, "between 0 and 100"),
        ("threshold.least_recall", lambda v: 0 < v <= 1, "greater than 0 and at most 1"),
        ("threshold.least_precision", lambda v: 0 < v <= 1, "greater than 0 and at most 1"),
        ("model.mask_ratio", lambda v: 0 < v < 1, "between 0 and 1"),
        ("gate.min_gain", lambda v: -1 < v < 1, "between -1 and 1"),
        ("model.dropout", lambda v: 0 <= v < 1, "0 or more and less than 1"),
        ("model.hidden_sizes", lambda v: all(n > 0 for n in v), "a list of positive sizes"),
        ("encoder.clip", lambda v: v is None or v > 0, "greater than 0, or null"),
        ("scorer.members", lambda v: v > 0, "greater than 0"),
        ("scorer.normal_rows", lambda v: v > 0, "greater than 0"),
        ("scorer.cap", lambda v: v is None or v > 0, "greater than 0, or null"),
        ("seed", lambda v: 0 <= v < 2**32, "0 or more and less than 2**32"),
        ("gate.baseline_auc", lambda v: 0 <= v <= 1, "between 0 and 1"),
        ("trainer.learning_rate", math.isfinite, "a finite number"),
        ("production.folds", lambda v: v >= 2, "2 or more"),
        ("promotion.confidence", lambda v: 0 < v < 1, "between 0 and 1"),
    ]
    problems = []
    wandb = config.get("wandb", {})
    if wandb.get("read") and wandb.get("mode") != "online":
        problems.append("wandb.read=true: reads from the server, so it needs wandb.mode=online")
    for key, holds, wanted in rules:
        value = _lookup(config, key)
        if value is not _ABSENT and not holds(value):
            problems.append(f"{key}={value}: must be {wanted}")
    if problems:
        raise UserError("\n".join(problems))


_ABSENT = object()


def _lookup(config: dict, key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return _ABSENT
        node = node[part]
    return node
