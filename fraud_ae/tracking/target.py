"""What a W&B run is called, which others it stands beside, and the configuration that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from fraud_ae.tracking.server import Server

# Groups whose options W&B's panels tell apart by name.
_NAMED_GROUPS = ("features", "model", "scorer")


@dataclass(frozen=True)
class DataReference:
    """The transactions that a run is made of. path: of their file, None for generated ones."""

    name: str
    fingerprint: str
    path: str | None = None


@dataclass(frozen=True)
class TrackingTarget:
    """Where a training is logged to. group: experiment; job_type: stage.

    mode: `offline`, `online` or `disabled`. server: None where it is never to be asked.
    configuration: what W&B shows of it, see `drawable`. data: an input of the run, if it has one.
    """

    mode: str
    project: str
    entity: str | None
    group: str
    job_type: str
    tags: tuple[str, ...]
    server: Server | None = None
    configuration: dict = field(default_factory=dict)
    data: DataReference | None = None

    def with_run(self, configuration: dict, data: DataReference) -> Self:
        """The same target for one run."""
        return replace(self, configuration=configuration, data=data)


def drawable(
    settings: dict, choices: Mapping[str, str | None], fingerprint: str, validation_set: str
) -> dict:
    """A resolved configuration in the shape that W&B's panels can draw.

    Parameter importance and parallel coordinates know numbers, texts and nested names alone: a
    list becomes a text, and each group has the name of its option in `choices`. fingerprint,
    validation_set: of the data.
    """
    configuration = _flat_lists(settings)
    for group in _NAMED_GROUPS:
        if group in choices and isinstance(configuration.get(group), dict):
            configuration[group] = {**configuration[group], "name": choices[group]}
    data = {"fingerprint": fingerprint, "validation_set": validation_set}
    configuration["data"] = {**configuration["data"], **data}
    return configuration


def _flat_lists(value: object) -> object:
    if isinstance(value, dict):
        return {key: _flat_lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value
