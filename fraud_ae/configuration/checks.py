"""The settings of a job: what it was told, without Hydra's own, and what can be wrong with it.

Nothing heavy is imported here: every error of a configuration is said at once.
"""

import difflib

from omegaconf import DictConfig, OmegaConf

from fraud_ae.configuration.schemas import validate
from fraud_ae.errors import UserError
from fraud_ae.evaluation.custom_metrics import check_metrics

_OBJECTIVES = (
    "final_auc",
    "average_precision",
    "precision",
    "recall",
    "f1",
    "recall_at_1pct_fpr",
    "value_caught",
)


def checked_settings(cfg: DictConfig) -> dict:
    """The resolved settings of a composed configuration. Raises UserError for what is wrong."""
    # Part by part: a copy of what is without Hydra's own takes longer than all the rest here.
    settings = {key: _resolved(cfg, key) for key in cfg if key != "hydra"}
    validate(settings)
    _check_objective(settings)
    return settings


def _resolved(cfg: DictConfig, key: str) -> object:
    value = cfg[key]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _check_objective(config: dict) -> None:
    """What is wrong with a metric is said before hours of training, not after."""
    check_metrics(config["metrics"]["extra"])
    known = [*_OBJECTIVES, *config["metrics"]["extra"]]
    objective = config["objective"]
    if objective not in known:
        near = difflib.get_close_matches(objective, known, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(
            f"objective={objective}: unknown metric{meant}; known are {', '.join(known)}. "
            f"A metric of your own: metrics.extra.{objective}=package.module.function"
        )
