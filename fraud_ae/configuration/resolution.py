"""From a composed configuration to resolved settings, and from those to the parts of a job."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from fraud_ae.configuration.parts import (
    ProductionFit,
    Source,
    SplitSettings,
    Stage,
    WandbSettings,
)
from fraud_ae.configuration.schemas import EncoderConfig, MetricsConfig
from fraud_ae.configuration.secrets import hidden, refuse_keys
from fraud_ae.errors import UserError
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.threshold import ThresholdPolicy
from fraud_ae.features.partitioned.computation import FeatureComputation
from fraud_ae.models.settings import TrainerSettings

# Settings of `data` that say how its transactions are used, not where they come from.
_USE = ("name", "train_on", "split")
# Settings of `features` that say how they are computed, not what they are.
_COMPUTED = ("engine", "memory")


def resolved_settings(cfg: DictConfig, schema: type) -> dict:
    """A composed configuration as plain data, without Hydra's own part.

    schema: the dataclass of all its keys. Raises UserError naming a key that has no value, or that
    is none, or that holds a key of the environment.
    """
    # Part by part: a copy of what is without Hydra's own takes longer than all the rest here.
    try:
        settings = {key: _plain(cfg, key) for key in cfg if key != "hydra"}
    except OmegaConfBaseException as error:
        if isinstance(error, MissingMandatoryValue):
            raise UserError(f"{error.full_key}: a value is needed, and none is given") from error
        message = hidden(str(error)).partition("\n")[0].partition("resolving interpolation: ")
        raise UserError(f"{error.full_key}: {message[2] or message[0]}") from error
    refuse_keys(settings, "")
    known = [part.name for part in fields(schema)]
    for key in settings:
        if key not in known:
            raise UserError(f"{key}: no such key; known: {', '.join(known)}")
    return settings


def job_parts(settings: dict, choices: Mapping[str, str | None]) -> dict:
    """The typed parts of resolved settings, by the fields of a `Job`."""
    data = settings["data"]
    strategy_node, computation = feature_parts(settings["features"])
    metrics = typed_part(MetricsConfig, "metrics", settings["metrics"])
    node = {key: value for key, value in data.items() if key not in _USE}
    return {
        "experiment": settings["experiment"],
        "outputs": Path(os.path.expanduser(settings["outputs_dir"])),
        "stage": typed_part(Stage, "stage", settings["stage"]),
        "objective": settings["objective"],
        "seed": settings["seed"],
        "retrain": settings["retrain"],
        "allowed_features": tuple(settings["allow_features"]),
        "source": Source(
            data["name"],
            node.get("path"),
            node.get("labels"),
            json.dumps(node, sort_keys=True),
            tuple(node.get("join") or ()),
        ),
        "train_on": data["train_on"],
        "split_settings": typed_part(SplitSettings, "data.split", data["split"]),
        "strategy_node": strategy_node,
        "computation": computation,
        "encoder_settings": asdict(typed_part(EncoderConfig, "encoder", settings["encoder"])),
        "model_node": settings["model"],
        "trainer": typed_part(TrainerSettings, "trainer", settings["trainer"]),
        "scorer_node": settings["scorer"],
        "evaluation": Evaluation(
            policy=typed_part(ThresholdPolicy, "threshold", settings["threshold"]),
            extra=metrics.extra,
            top_k=metrics.top_k,
            replicates=metrics.replicates,
        ),
        "production": typed_part(ProductionFit, "production", settings["production"]),
        "wandb": typed_part(WandbSettings, "wandb", settings["wandb"]),
        "choices": dict(choices),
    }


def feature_parts(features: dict) -> tuple[dict, FeatureComputation]:
    """What a strategy is built from, and how its features are computed.

    features: its settings. Raises UserError where a part of it says how: it is said once for all.
    """
    node = {key: value for key, value in features.items() if key not in _COMPUTED}
    for name, part in (node.get("parts") or {}).items():
        part, computation = feature_parts(part)
        if computation != FeatureComputation():
            keys = " and ".join(f"features.{key}" for key in _COMPUTED)
            raise UserError(f"features.parts.{name}: {keys} are said for all parts together")
        node = {**node, "parts": {**node["parts"], name: part}}
    said = {key: features[key] for key in _COMPUTED if key in features}
    return node, FeatureComputation.of(**said)


def typed_part(kind: type, name: str, values: dict) -> object:
    """A typed part of a job; `+NAME.key=...` may have given it more than it has."""
    known = [part_field.name for part_field in fields(kind)]
    unknown = [key for key in values if key not in known]
    if unknown:
        raise UserError(f"{name}.{unknown[0]}: no such key; known: {', '.join(known)}")
    return kind(**values)


def _plain(cfg: DictConfig, key: str) -> object:
    value = cfg[key]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
