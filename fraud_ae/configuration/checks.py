"""Checks of a resolved configuration that types cannot express.

Nothing heavy is imported here: every error of a configuration is answered at once.
"""

import difflib
import math
from typing import Any

from fraud_ae.configuration.command_line import folder_name
from fraud_ae.configuration.memory import check_memory
from fraud_ae.errors import UserError
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC, check_metrics

_OBJECTIVES = (
    "final_auc",
    "average_precision",
    "precision",
    "recall",
    "f1",
    "recall_at_1pct_fpr",
    "value_caught",
    PLANTED_AUC,
)


_POSITIVE = (
    "trainer.max_epochs",
    "trainer.batch_size",
    "trainer.devices",
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


def check(settings: dict) -> None:
    """Refuse settings that no run can be made with. settings: resolved.

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
        *(
            (name, lambda v: v is None or 0 <= v < 0.5, "0 to below 0.5, or null")
            for name in ("trainer.contamination", "scorer.contamination")
        ),
        ("trainer.learning_rate", math.isfinite, "a finite number"),
        ("production.folds", lambda v: v >= 2, "2 or more"),
        ("promotion.confidence", lambda v: 0 < v < 1, "between 0 and 1"),
    ]
    problems = []
    folder_name(settings["experiment"])
    wandb = settings.get("wandb", {})
    if wandb.get("read") and wandb.get("mode") != "online":
        problems.append("wandb.read=true: reads from the server, so it needs wandb.mode=online")
    for key, holds, wanted in rules:
        value = _lookup(settings, key)
        if value is not _ABSENT and not holds(value):
            problems.append(f"{key}={value}: must be {wanted}")
    if problems:
        raise UserError("\n".join(problems))
    stage = settings["stage"]["name"]
    check_devices(settings["trainer"], None if stage == "single" else f"stage={stage}")
    check_memory(settings)
    _check_objective(settings)


def check_devices(trainer: dict, side_by_side: str | None) -> None:
    """Refuse several processes for one training where they cannot be.

    side_by_side: what has trainings that run side by side already; None for a single run.
    """
    devices, strategy = trainer.get("devices", 1), trainer.get("strategy", "auto")
    if (devices > 1) != (strategy == "ddp"):
        raise UserError(
            f"trainer.devices={devices} trainer.strategy={strategy}: several processes are "
            "trainer.devices=2 trainer.strategy=ddp, one is trainer.devices=1 trainer.strategy=auto"
        )
    if devices == 1:
        return
    if side_by_side is not None:
        raise UserError(
            f"trainer.devices={devices}: for a single run, not for {side_by_side}, whose "
            "trainings run side by side; set trainer.devices=1 trainer.strategy=auto"
        )
    if trainer["accelerator"] == "mps":
        raise UserError(f"trainer.devices={devices}: not with trainer.accelerator=mps; take cpu")
    if devices > trainer["batch_size"]:
        raise UserError(
            f"trainer.devices={devices}: at most trainer.batch_size={trainer['batch_size']}, "
            "as processes share each mini-batch"
        )


_ABSENT = object()


def _lookup(settings: dict, key: str) -> Any:
    node: Any = settings
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return _ABSENT
        node = node[part]
    return node


def _check_objective(settings: dict) -> None:
    """What is wrong with a metric is said before hours of training, not after."""
    check_metrics(settings["metrics"]["extra"])
    objectives = [*_OBJECTIVES, *settings["metrics"]["extra"]]
    objective = settings["objective"]
    if objective not in objectives:
        near = difflib.get_close_matches(objective, objectives, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(
            f"objective={objective}: unknown metric{meant}; known are {', '.join(objectives)}. "
            f"A metric of your own: metrics.extra.{objective}=package.module.function"
        )
