"""The job of a pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from fraud_ae.configuration.checks import check
from fraud_ae.configuration.job import Job
from fraud_ae.configuration.parts import Gate, Promotion
from fraud_ae.configuration.resolution import job_parts, typed_part
from fraud_ae.configuration.schemas import PipelineConfig


@dataclass(frozen=True, kw_only=True)
class PipelineJob(Job):
    """A pipeline: the stages to run, the gate behind the feature sweep, and further overrides.

    overrides: for single stages. promotion: when a retraining's challenger is promoted.
    """

    stages: tuple[str, ...]
    gate: Gate
    promotion: Promotion
    overrides: Mapping[str, list[str]]

    _schema: ClassVar[type] = PipelineConfig

    @classmethod
    def of_settings(cls, settings: dict, choices: Mapping[str, str | None]) -> Self:
        """As `Job.of_settings`, with what only a pipeline is told."""
        check(settings)
        return cls(
            settings=settings,
            stages=tuple(settings["stages"]),
            gate=typed_part(Gate, "gate", settings["gate"]),
            promotion=typed_part(Promotion, "promotion", settings["promotion"]),
            overrides=settings["overrides"],
            **job_parts(settings, choices),
        )
