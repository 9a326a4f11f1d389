"""The typed parts of a job; Hydra's schemas are derived from them.

Nothing heavy is imported here: every error of a configuration is answered at once.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Source:
    """Where transactions come from. path, labels, join: files, none for generated transactions.

    node: the `_target_` that reads or generates them, with its arguments, as JSON.
    """

    name: str
    path: str | None
    labels: str | None
    node: str
    join: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitSettings:
    """How transactions are split by time. fractions: of train, validation and test.

    label_delay_days: days until an outcome is known. The dates, ISO texts in UTC, take the place
    of fractions.
    """

    fractions: list[float] = field(default_factory=lambda: [0.6, 0.2, 0.2])
    label_delay_days: float = 7.0
    train_start: str | None = None
    train_end: str | None = None
    validation_start: str | None = None
    validation_end: str | None = None
    test_start: str | None = None
    test_end: str | None = None


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline. sweep: whether it is a multirun. reads: the candidates it takes.

    keep: how many candidates the next stage gets. tags: of its W&B runs.
    """

    name: Literal["single", "features", "broad", "refined", "final", "production"]
    sweep: bool = False
    reads: str | None = None
    requires_candidate: bool = False
    keep: int = 0
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ProductionFit:
    """What the deployed model is fitted on, and in how many parts its threshold is chosen.

    keep_history: whether the model remembers the last transactions, which features look back to.
    challenger: whether the model is only compared with the one in production, by a retraining.
    """

    fit_on: Literal["train", "train+validation", "all"] = "train+validation"
    folds: int = 3
    keep_history: bool = True
    challenger: bool = False


@dataclass(frozen=True)
class WandbSettings:
    """Where trainings are tracked. wait_seconds: the most that a command waits in all for a server.

    read: whether the summary and the gate also see what others have run, on the server.
    """

    mode: Literal["offline", "online", "disabled"] = "offline"
    entity: str | None = None
    project: str = "fraud-detection-autoencoder"
    wait_seconds: float = 20.0
    read: bool = False


@dataclass(frozen=True)
class Gate:
    """When tuning is worth it: see `fraud_ae.pipeline.gate.decide`."""

    baseline_auc: float = 0.70
    min_gain: float = 0.0
    force: bool = False


@dataclass(frozen=True)
class Promotion:
    """When a challenger takes the place of the champion.

    policy: `not_worse`, if the interval of challenger - champion begins at -tolerance or above
    (a test of non-inferiority); `better`, if it begins above 0; `always`; `never`. tolerance: in
    units of the metric, 0 or more. confidence (0 to 1) and replicates: of the paired bootstrap over
    customers. least_frauds: with fewer of them nothing can be told, and only `always` promotes.
    """

    policy: Literal["not_worse", "better", "always", "never"] = "not_worse"
    metric: Literal["average_precision", "auc"] = "average_precision"
    tolerance: float = 0.02
    confidence: float = 0.95
    replicates: int = 1000
    least_frauds: int = 10
