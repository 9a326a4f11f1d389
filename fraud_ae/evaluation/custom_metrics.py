"""Metrics of the user's own, and the names that they cannot have.

Nothing heavy is imported here: what is wrong with one is said at once.
"""

import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from fraud_ae.errors import UserError
from fraud_ae.runtime.named_objects import Kind, resolve

if TYPE_CHECKING:
    import numpy as np

# What is true of a run whatever its threshold and metrics.
RUN_FACTS = (
    "best_epoch",
    "epochs",
    "feature_count",
    "contamination",
    "input_count",
    "train_rows",
    "validation_rows",
    "fraud_ratio",
    "train_seconds",
)

# Of the alerts at a threshold.
ALERT_FIGURES = (
    "precision",
    "recall",
    "f1",
    "threshold",
    "alert_rate",
    "true_positives",
    "false_positives",
    "false_negatives",
    "true_negatives",
)
# Of anomalies planted in copies of the validation rows; it needs no label.
PLANTED_AUC = "planted_auc"
# Names that a metric of the user's own cannot have.
BUILT_IN = (
    PLANTED_AUC,
    f"{PLANTED_AUC}_low",
    f"{PLANTED_AUC}_high",
    "final_auc",
    "test_auc",
    "final_auc_low",
    "final_auc_high",
    "average_precision",
    "average_precision_low",
    "average_precision_high",
    "recall_at_1pct_fpr",
    "value_caught",
    *ALERT_FIGURES,
    *RUN_FACTS,
)

# Figures whose names end in a number that the user chose.
BUILT_IN_AT = ("daily_precision_at_", "card_precision_at_")

Metric = Callable[["np.ndarray", "np.ndarray"], float]
_METRIC = Kind("a function (y_true, scores) -> float", frozenset(), callable)


def load_metric(name: str, path: str) -> Metric:
    """A user's metric, a function (y_true, scores) -> float, from `package.module.function`.

    Raises UserError if there is no such function, or its module is not allowed.
    """
    try:
        return resolve(path, _METRIC)
    except UserError as error:
        raise UserError(f"metrics.extra.{name}={error}") from error


def check_metrics(paths: dict[str, str]) -> None:
    """Say what is wrong with the user's metrics before any training, as far as it can be seen.

    Raises UserError if one has the name of a built-in figure, cannot be imported, or does not take
    (y_true, scores).
    """
    taken = [name for name in paths if name in BUILT_IN or name.startswith(BUILT_IN_AT)]
    if taken:
        raise UserError(f"metrics.extra.{taken[0]}: this is a built-in figure; use another name")
    for name, path in paths.items():
        metric = load_metric(name, path)
        try:
            inspect.signature(metric).bind(None, None)
        except TypeError as error:
            raise UserError(
                f"metrics.extra.{name}={path}: must take (y_true, scores): {error}"
            ) from error
        except ValueError:  # a function of a compiled module may not tell its arguments
            continue


def extra_metrics(
    y_true: "np.ndarray", scores: "np.ndarray", paths: dict[str, str]
) -> dict[str, float]:
    """The user's own metrics. paths: name -> `package.module.function`.

    Raises UserError if one cannot be used, fails, or does not give a finite number.
    """
    check_metrics(paths)
    values = {}
    for name, path in paths.items():
        metric = load_metric(name, path)
        try:
            value = float(metric(y_true.copy(), scores.copy()))
        except Exception as error:
            raise UserError(
                f"metrics.extra.{name}={path}: {type(error).__name__}: {error}"
            ) from error
        if not math.isfinite(value):
            raise UserError(f"metrics.extra.{name}={path}: gave {value}; must give a finite number")
        values[name] = value
    return values
