"""A task of the detection benchmark from a user's own configuration, as `train.py` composes it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pandas as pd
from omegaconf import DictConfig

from benchmarks.protocols import Protocol, chronological
from fraud_ae.cli.hydra_command import run_hydra
from fraud_ae.cli.options import DEFAULT_OUTPUTS, pipeline_arguments
from fraud_ae.configuration.command_line import normalized
from fraud_ae.configuration.pipeline_job import PipelineJob
from fraud_ae.data.split import BOUNDARIES, Split, split_by_time
from fraud_ae.errors import UserError


def own_protocol(
    data: str, settings: Sequence[str], config_dir: Path | None, weeks: int
) -> Protocol:
    """Source, strategy, encoder and split of a configuration.

    data: the option of the group `data`. settings: overrides of the command line. config_dir: a
    folder with options of one's own. weeks: see `chronological`. Ends the process with one line
    where the configuration cannot be composed, or the data cannot be read or have no label.
    """
    arguments = pipeline_arguments([f"data={data}", *settings], DEFAULT_OUTPUTS, config_dir)
    composed: list[Protocol] = []

    def compose(cfg: DictConfig) -> None:
        composed.append(_protocol(PipelineJob.of(cfg, {}), data, weeks))

    run_hydra(compose, "pipeline", normalized(arguments, {}))
    return composed[0]


def _protocol(job: PipelineJob, data: str, weeks: int) -> Protocol:
    labels = job.dataset.transactions.get("is_fraud")
    if labels is None or not (labels == 1).any():
        raise UserError(f"data={data}: no fraud is labelled, so that nothing can be compared")
    settings = job.split_settings
    configured = {name: getattr(settings, name) for name in BOUNDARIES}

    def split_by(times: pd.Series, dates: Mapping = MappingProxyType({})) -> Split:
        return split_by_time(
            times,
            fractions=settings.fractions,
            label_delay_days=settings.label_delay_days,
            dates=configured | dict(dates),
        )

    return chronological(job.dataset, data, job.strategy, job.encoder, split_by, weeks)
