"""What a W&B run is called, which others it stands beside, and the configuration that it shows."""

from dataclasses import dataclass, field

from fraud_ae.experiments.run_store import validation_set
from fraud_ae.tracking.server import Server


@dataclass(frozen=True)
class TrackedRun:
    """Where a training is logged to. group: experiment; job_type: stage.

    mode: `offline`, `online` or `disabled`. choices: the option of each config group, such as
    `features: combined`. server: None where it is never to be asked.
    """

    mode: str
    project: str
    entity: str | None
    group: str
    job_type: str
    tags: tuple[str, ...]
    choices: dict[str, str] = field(default_factory=dict)
    server: Server | None = None

    def config(self, config: dict, fingerprint: str) -> dict:
        """A resolved configuration in the shape that W&B's panels can draw.

        Parameter importance and parallel coordinates know numbers, texts and nested names alone: a
        list becomes a text, and each group has the name of its option. fingerprint: of the data.
        """
        shown = _drawable(config)
        for group, option in self.choices.items():
            if isinstance(shown.get(group), dict):
                shown[group] = {**shown[group], "name": option}
        rows = validation_set(fingerprint, config["data"]["split"])
        shown["data"] = {**shown["data"], "fingerprint": fingerprint, "validation_set": rows}
        return shown


def _drawable(value: object) -> object:
    if isinstance(value, dict):
        return {key: _drawable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value
