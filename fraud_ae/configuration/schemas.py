"""Typed schemas of the configuration: what `conf/` is checked against when a run is composed.

Hydra merges every YAML file and command-line override into these dataclasses, so a mistyped key
or a value of the wrong type stops before anything is computed. Ranges are checked by `checks`.
Nothing heavy is imported here: `--help` and every configuration error must answer at once.
"""

from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, Literal, get_type_hints

from omegaconf import MISSING

from fraud_ae.configuration.parts import (
    Gate,
    ProductionFit,
    Promotion,
    SplitSettings,
    Stage,
    WandbSettings,
)
from fraud_ae.models.settings import TrainerSettings


def _schema(part: type) -> type:
    """The fields of a frozen part of a job as a dataclass that Hydra can merge values into."""
    types = get_type_hints(part)
    typed = []
    for part_field in fields(part):
        if part_field.default_factory is not NO_DEFAULT:
            default = field(default_factory=part_field.default_factory)
        elif part_field.default is NO_DEFAULT:
            default = field(default=MISSING)
        else:
            default = field(default=part_field.default)
        typed.append((part_field.name, types[part_field.name], default))
    schema = make_dataclass(f"{part.__name__}Schema", typed)
    # Composed configurations are pickled with their types.
    schema.__module__ = __name__
    return schema


SplitSettingsSchema = _schema(SplitSettings)
TrainerSettingsSchema = _schema(TrainerSettings)
StageSchema = _schema(Stage)
ProductionFitSchema = _schema(ProductionFit)
WandbSettingsSchema = _schema(WandbSettings)
GateSchema = _schema(Gate)
PromotionSchema = _schema(Promotion)


@dataclass
class DataConfig:
    _target_: str = MISSING
    name: str = MISSING
    train_on: Literal["normal", "all"] = "normal"
    split: SplitSettingsSchema = field(default_factory=SplitSettingsSchema)


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

    # One column, or a list of several.
    transaction_id: Any = "transaction_id"
    customer_id: Any = "customer_id"
    timestamp: Any = "timestamp"
    amount: str | None = "amount"
    is_fraud: str | None = "is_fraud"
    quantity: str | None = None
    customer_age: str | None = None
    # From it the age at the time of the transaction.
    customer_birth_date: str | None = None
    account_age_days: str | None = None
    payment_method: str | None = None
    product_category: str | None = None
    device: str | None = None
    customer_location: str | None = None
    shipping_address: str | None = None
    billing_address: str | None = None
    ip_address: str | None = None
    terminal_id: Any = None
    fraud_scenario: str | None = None


@dataclass
class FileData(DataConfig):
    path: str | None = None
    # Files with further columns of the same transactions.
    join: list[str] = field(default_factory=list)
    columns: Columns = field(default_factory=Columns)
    extra_columns: list[str] = field(default_factory=list)
    extra_categories: list[str] = field(default_factory=list)
    time_unit: Literal["us", "ms", "s", "min", "h", "d", "w", "month", "step"] | None = None
    time_origin: str = "1970-01-01"
    time_format: str | None = None
    time_zone: str | None = None
    ambiguous_times: Literal["earlier", "later", "refuse"] = "earlier"
    bad_values: Literal["error", "missing"] = "error"
    # Guessed from the file where they are null.
    negative_amounts: Literal["refund", "missing", "refuse"] | None = None
    decimal: str | None = None
    # Word -> 1, 0 or null for not labelled.
    labels_map: Any = None
    missing: list[str] | None = None
    separator: str | None = None
    encoding: str | None = None
    header: list[str] | None = None
    # Outcomes that became known later: they take the place of is_fraud.
    labels: str | None = None
    allow_unmatched: bool = False


@dataclass
class StrategyConfig:
    _target_: str = MISSING
    # How features are computed, not what they are.
    engine: Literal["local", "ray"] = "local"
    memory: str | None = None


@dataclass
class BehaviouralConfig(StrategyConfig):
    windows_days: list[float] = MISSING
    label_delay_days: float = MISSING


@dataclass
class DemographicRiskConfig(StrategyConfig):
    label_delay_days: float = MISSING
    smoothing: float = MISSING


@dataclass
class CombinedConfig(StrategyConfig):
    # Name -> strategy.
    parts: dict[str, Any] = field(default_factory=dict)


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
    contamination: float | None = None


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
class LauncherConfig:
    _target_: str = "fraud_ae.sweeps.launcher.StackedLauncher"
    stack_size: int = 6


@dataclass
class StackedLauncherConfig(LauncherConfig):
    kind: str = "local"
    workers: int | None = None


@dataclass
class RayLauncherConfig(LauncherConfig):
    kind: str = "ray"
    # Of the head node, as 10.0.0.1:6379; auto: of the cluster that this machine belongs to.
    address: str = "auto"
    # What each task asks for; memory as 2GB, which is set aside for it.
    cpus: int = 1
    gpus: float = 0
    memory: str | None = None


@dataclass
class SlurmLauncherConfig(LauncherConfig):
    kind: str = "slurm"
    # slurm, or local for processes of this machine in place of jobs.
    cluster: str = "slurm"
    # Jobs of an array that run at a time.
    jobs: int = 16
    # What each job asks for.
    cpus: int = 1
    gpus: int = 0
    memory: str | None = None
    minutes: int = 120
    partition: str | None = None
    # Of sbatch, such as account or qos.
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class BatchSweeperConfig:
    _target_: str = "fraud_ae.sweeps.sweeper.BatchSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


@dataclass
class OptunaConfig:
    # postgresql://USER@HOST/NAME; null for optuna.db in the folder of the experiment.
    storage: str | None = None


@dataclass
class TrainConfig:
    """One run: `conf/train.yaml`. Groups whose options a user may add are typed by the option."""

    experiment: str = MISSING
    # Every experiment is a folder of it.
    outputs_dir: str = "outputs"
    seed: int = 42
    # What a sweep maximises: by labels where the data have them.
    objective: str = "${usual_objective:${data}}"
    retrain: bool = False
    # Features that may tell fraud from the rest alone without the audit refusing them.
    allow_features: list[str] = field(default_factory=list)
    # Modules of the user's own, whose classes and functions may be named beside the package's.
    allowed_modules: list[str] = field(default_factory=list)
    data: Any = MISSING
    features: Any = MISSING
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    model: Any = MISSING
    trainer: TrainerSettingsSchema = field(default_factory=TrainerSettingsSchema)
    scorer: Any = MISSING
    threshold: ThresholdConfig = field(default_factory=ThresholdConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    production: ProductionFitSchema = field(default_factory=ProductionFitSchema)
    stage: StageSchema = field(default_factory=StageSchema)
    wandb: WandbSettingsSchema = field(default_factory=WandbSettingsSchema)
    optuna: OptunaConfig = field(default_factory=OptunaConfig)


@dataclass
class PipelineConfig(TrainConfig):
    """All stages: `conf/pipeline.yaml`."""

    promotion: PromotionSchema = field(default_factory=PromotionSchema)
    stages: list[str] = field(
        default_factory=lambda: ["features", "broad", "refined", "final", "production"]
    )
    gate: GateSchema = field(default_factory=GateSchema)
    # Further overrides for one stage alone, such as a grid of one's own for broad.
    overrides: dict[str, list[str]] = field(default_factory=dict)
    summary: bool = False


# What the options of a group are checked against; a file of conf/ names its own. An option of a
# user's own may do without.
SCHEMAS = {
    "data": {"synthetic": SyntheticData, "file": FileData},
    "features": {
        "strategy": StrategyConfig,
        "behavioural": BehaviouralConfig,
        "combined": CombinedConfig,
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
