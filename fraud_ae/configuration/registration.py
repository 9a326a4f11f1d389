"""The schemas of the configuration under the names that `conf/` uses."""

import os
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from fraud_ae.configuration.command_line import folder_name
from fraud_ae.configuration.schemas import (
    SCHEMAS,
    BatchSweeperConfig,
    PipelineConfig,
    RayLauncherConfig,
    SlurmLauncherConfig,
    StackedLauncherConfig,
    TrainConfig,
)
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC


def register_schemas() -> None:
    """Make the schemas known to Hydra under the names that `conf/` uses."""
    OmegaConf.register_resolver("folder_name", folder_name, replace=True)
    OmegaConf.register_resolver("trials", _trials, replace=True)
    OmegaConf.register_resolver("wandb_mode", _wandb_mode, replace=True)
    OmegaConf.register_resolver("usual_objective", _usual_objective, replace=True)
    store = ConfigStore.instance().store
    launchers = {
        "stacked": StackedLauncherConfig,
        "ray": RayLauncherConfig,
        "slurm": _with_open_nodes(SlurmLauncherConfig, "options"),
    }
    for name, node in launchers.items():
        store(group="hydra/launcher", name=name, node=node, provider="fraud_ae")
    store(group="hydra/sweeper", name="batch", node=BatchSweeperConfig, provider="fraud_ae")
    store(name="train_schema", node=_with_open_nodes(TrainConfig, "metrics.extra"))
    store(
        name="pipeline_schema",
        node=_with_open_nodes(PipelineConfig, "metrics.extra", "overrides"),
    )
    # Groups below hydra/ are not offered to users as choices.
    for group, schemas in SCHEMAS.items():
        for name, schema in schemas.items():
            store(group=f"hydra/schema/{group}", name=name, node=schema)


def _trials(sampler: str, otherwise: int) -> int:
    """So many trials that a grid, which ends by itself, always runs whole."""
    return 1_000_000 if sampler.endswith("GridSampler") else otherwise


def _usual_objective(data: Any) -> str:
    """What a sweep maximises if nothing is said. data: the node of the data source."""
    # An option of a user's own may have neither of them.
    columns = data.get("columns") or {}
    is_labelled = columns.get("is_fraud", "is_fraud") is not None or data.get("labels") is not None
    return "final_auc" if is_labelled else PLANTED_AUC


def _with_open_nodes(schema: type, *names: str) -> Any:
    """A schema in which some nodes, as in `metrics.extra.NAME=...`, take new keys."""
    node = OmegaConf.structured(schema)
    for name in names:
        OmegaConf.set_struct(OmegaConf.select(node, name), False)
    return node


def _wandb_mode() -> str:
    """W&B's own switch, in the words of `wandb.mode`; offline without one."""
    if os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes"):
        return "disabled"
    mode = os.environ.get("WANDB_MODE", "").lower() or "offline"
    mode = {"dryrun": "offline", "run": "online"}.get(mode, mode)
    if mode not in ("offline", "online", "disabled"):
        raise ValueError(f"WANDB_MODE={mode}: must be online, offline or disabled")
    return mode
