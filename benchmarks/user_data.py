"""A user's data for the detection benchmark, as the project's configuration reads them."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

import hydra
import pandas as pd

from benchmarks.protocols import Protocol, chronological
from fraud_ae.cli.mistakes import explained
from fraud_ae.configuration.command_line import CONF, normalized, quoted
from fraud_ae.configuration.job import Job
from fraud_ae.data.split import Split, split_by_time
from fraud_ae.errors import UserError
from fraud_ae.sweeps.plugins import register

_ENDS = ("train_start", "test_end")


def configured(name: str, overrides: list[str], config: Path | None) -> Job:
    """The job of `python train.py data=NAME OVERRIDES`.

    name: an option of the group `data`. overrides: settings, KEY=VALUE. config: a further folder of
    options, as `--config-dir` of train.py. Raises UserError for a mistake of the configuration.
    """
    register()
    overrides = [f"data={name}", *normalized(overrides, {})]
    for override in overrides:
        if override.startswith("-") or "=" not in override:
            raise UserError(f"{override}: not a setting such as data.path=shop.csv")
    if config is not None:
        if not config.is_dir():
            raise UserError(f"--config {config}: no such folder")
        overrides.append(f"hydra.searchpath=[{quoted(f'file://{config.resolve()}')}]")
    try:
        with hydra.initialize_config_dir(str(CONF)):
            cfg = hydra.compose("train", overrides, return_hydra_config=True)
        choices = cfg.hydra.runtime.choices
        return Job.of(cfg, {key: choices[key] for key in choices if not key.startswith("hydra")})
    except Exception as error:
        mistake = None if isinstance(error, UserError) else explained(error)
        if mistake is None:
            raise
        raise UserError(mistake) from error


def protocol(job: Job, weeks: int) -> Protocol:
    """The job's transactions, split, strategy and encoder; network and scorer are the benchmark's.

    weeks: see `chronological`. Raises UserError where the transactions cannot be read or have no
    labels, or where dates of the configuration leave no room for several windows.
    """
    name, settings = job.source.name, asdict(job.split_settings)
    transactions = job.dataset.transactions
    if "is_fraud" not in transactions or not (transactions["is_fraud"] == 1).any():
        raise UserError(f"data={name}: no fraud is labelled, so nothing can be compared")
    fractions, delay = settings.pop("fractions"), settings.pop("label_delay_days")
    # What lies between the first and the last moment would not move with the windows.
    fixed = [key for key in settings if key not in _ENDS and settings[key] is not None]
    if weeks > 1 and fixed:
        named = ", ".join(f"data.split.{boundary}" for boundary in fixed)
        raise UserError(f"--weeks splits by shares of the rows: leave out {named}")

    def split_by(times: pd.Series, dates: Mapping = MappingProxyType({})) -> Split:
        return split_by_time(times, fractions, delay, {**settings, **dates})

    return chronological(job.dataset, name, job.strategy, job.encoder, split_by, weeks)
