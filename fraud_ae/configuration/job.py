"""The job: a composed configuration, checked and resolved once, as typed parts.

This is the only place that reads a configuration; whoever works below it takes the parts it needs.
What a job is made of is built once for all jobs of a process. What encodes transactions is imported
in the functions: finished runs are looked up without it.
"""

import functools
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from fraud_ae.configuration.checks import check
from fraud_ae.configuration.nodes import build, network_settings, project_modules
from fraud_ae.configuration.parts import (
    ProductionFit,
    Source,
    SplitSettings,
    Stage,
    WandbSettings,
)
from fraud_ae.configuration.resolution import job_parts, resolved_settings
from fraud_ae.configuration.schemas import TrainConfig
from fraud_ae.data.files.paths import table_files
from fraud_ae.data.sources import SOURCE, Dataset
from fraud_ae.data.split import BOUNDARIES, Split, split_by_time
from fraud_ae.errors import DataError, StrategyRefused
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.experiments.identity import features_identity, run_identity, validation_set
from fraud_ae.experiments.recipe import Recipe
from fraud_ae.experiments.resumable import ResumableTraining
from fraud_ae.experiments.run_store import Run
from fraud_ae.features.partitioned.computation import FeatureComputation
from fraud_ae.features.serialization import STRATEGY
from fraud_ae.features.strategy import FeatureStrategy, needs_time
from fraud_ae.features.strategy_check import check_strategy, missing_columns
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.runtime.named_objects import allow_modules
from fraud_ae.scorers.scorer import SCORER
from fraud_ae.tracking.server import Server
from fraud_ae.tracking.target import DataReference, TrackingTarget, drawable

if TYPE_CHECKING:
    from fraud_ae.experiments.training_data import TrainingData
    from fraud_ae.features.encoder import Encoder

log = logging.getLogger("fraud_ae")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that one run, or one stage, is asked to do.

    outputs: where every experiment is a folder. objective: the figure that a sweep maximises.
    retrain: whether finished runs are trained again. allowed_features: those that may tell fraud
    alone. train_on: see `features.encoded_data.trainable`. strategy_node, encoder_settings,
    model_node, scorer_node: what the strategy, the encoder, the network and the scorer are built
    from. computation: how features are computed. choices: the option of each config group.
    settings: the whole resolved configuration, for whatever writes it down beside results.
    """

    experiment: str
    outputs: Path
    stage: Stage
    objective: str
    seed: int
    retrain: bool
    allowed_features: tuple[str, ...]
    source: Source
    train_on: str
    split_settings: SplitSettings
    strategy_node: dict
    computation: FeatureComputation
    encoder_settings: dict
    model_node: dict
    trainer: TrainerSettings
    scorer_node: dict
    evaluation: Evaluation
    production: ProductionFit
    wandb: WandbSettings
    choices: Mapping[str, str | None]
    settings: dict = field(repr=False)

    _schema: ClassVar[type] = TrainConfig

    @classmethod
    def of(cls, cfg: DictConfig, choices: Mapping[str, str | None]) -> Self:
        """The job of a composed configuration. Raises UserError for what is wrong with it.

        The modules that it allows are allowed from then on.
        """
        settings = resolved_settings(cfg, cls._schema)
        allow_modules([*project_modules(), *settings["allowed_modules"]])
        return cls.of_settings(settings, choices)

    @classmethod
    def of_settings(cls, settings: dict, choices: Mapping[str, str | None]) -> Self:
        """As `of`, from a resolved configuration as a plain dict."""
        check(settings)
        return cls(settings=settings, **job_parts(settings, choices))

    def __getstate__(self) -> dict:
        # A process that receives a job reads its data itself.
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def folder(self) -> Path:
        """Where everything about the experiment lies."""
        return self.outputs / self.experiment

    @property
    def dataset(self) -> Dataset:
        """The transactions. Raises DataError where they cannot be read."""
        files = (self.source.path, self.source.labels, *self.source.join)
        return _load(self.source.node, tuple(_changed(file) for file in files if file))

    @cached_property
    def split(self) -> Split:
        """The parts of the transactions. Raises DataError for what takes times where are none."""
        self._check_times()
        return split_by_time(
            self.dataset.transactions["timestamp"],
            fractions=self.split_settings.fractions,
            label_delay_days=self.split_settings.label_delay_days,
            dates={name: getattr(self.split_settings, name) for name in BOUNDARIES},
        )

    def _check_times(self) -> None:
        if self.dataset.source_format.sources("timestamp"):
            return
        if self.split_settings.label_delay_days:
            raise DataError(
                "data.columns.timestamp=null: without times nothing can be known so many days "
                "later; set data.split.label_delay_days=0"
            )
        if self.evaluation.policy.method == "budget":
            raise DataError(
                "data.columns.timestamp=null: threshold.method=budget counts alerts a day, and "
                "there are no days; use percentile"
            )

    @property
    def before_test(self) -> pd.DataFrame:
        """The transactions before the test period: (n, d) canonical, in order of time."""
        transactions = self.dataset.transactions
        # In order of time, so that they are the first ones.
        return transactions.iloc[: self.split.before_test(transactions).sum()]

    @property
    def validation_labels(self) -> np.ndarray:
        """The labels of the validation rows that have one: (n,) 0 or 1."""
        transactions = self.before_test
        if "is_fraud" not in transactions:
            return np.empty(0)
        return transactions["is_fraud"][self.split.validation(transactions)].dropna().to_numpy()

    @cached_property
    def strategy(self) -> FeatureStrategy:
        """The strategy, not fitted; warns of single columns that the transactions lack.

        Raises StrategyRefused where they lack what it cannot do without.
        """
        strategy = build(self.strategy_node, STRATEGY)
        if needs_time(strategy) and not self.dataset.source_format.sources("timestamp"):
            raise StrategyRefused(
                f"{type(strategy).__name__} reads times, and these data have none "
                "(data.columns.timestamp=null); features=baseline does without"
            )
        check_strategy(strategy, self.dataset.transactions)
        missing = missing_columns(strategy, self.dataset.transactions)
        if missing:
            _warn_once(
                f"{type(strategy).__name__}: the data have no {', '.join(missing)}; "
                "features that need them are left out"
            )
        return strategy

    @cached_property
    def encoder(self) -> "Encoder":
        """The encoder, not fitted."""
        from fraud_ae.features.encoder import Encoder

        return Encoder(**self.encoder_settings)

    @cached_property
    def recipe(self) -> Recipe:
        """What makes a detector of encoded transactions."""
        return Recipe(
            network=network_settings(self.model_node),
            scorer=build(self.scorer_node, SCORER),
            trainer=self.trainer,
            train_on=self.train_on,
            seed=self.seed,
        )

    @cached_property
    def features_identity(self) -> dict:
        """Everything that decides the encoded transactions."""
        return features_identity(
            fingerprint=self.dataset.fingerprint,
            train_on=self.train_on,
            split=asdict(self.split_settings),
            features=self.strategy_node,
            encoder=self.encoder_settings,
        )

    @cached_property
    def run(self) -> Run:
        """The run, finished or not. Raises DataError where its data cannot be read."""
        identity = run_identity(
            self.features_identity,
            model=self.model_node,
            trainer=asdict(self.trainer),
            scorer=self.scorer_node,
            seed=self.seed,
        )
        return Run(self.folder / "runs", identity)

    @property
    def resumable(self) -> ResumableTraining:
        """The epochs of the run's training that are on disk."""
        return ResumableTraining.of(self.folder / "trainings", self.run.identity, self.retrain)

    @property
    def validation_set(self) -> str:
        """Equal for jobs whose validation rows are the same."""
        return validation_set(self.dataset.fingerprint, asdict(self.split_settings))

    @cached_property
    def target(self) -> TrackingTarget:
        """How a training is tracked, with its data and the configuration that it shows."""
        data = self.dataset
        return self.sweep_target.with_run(
            drawable(self.settings, self.choices, data.fingerprint, self.validation_set),
            DataReference(self.source.name, data.fingerprint, self.source.path),
        )

    @property
    def sweep_target(self) -> TrackingTarget:
        """How what is no single training is tracked."""
        return TrackingTarget(
            mode=self.wandb.mode,
            project=self.wandb.project,
            entity=self.wandb.entity,
            group=self.experiment,
            job_type=self.stage.name,
            tags=tuple(self.stage.tags),
            server=self.server if self.wandb.mode == "online" else None,
        )

    @property
    def server(self) -> Server:
        """The W&B server as this command, and all that it starts, knows it."""
        return _server(self.folder / ".locks", self.wandb.wait_seconds)

    @property
    def known_server(self) -> Server | None:
        """As `server`, or None where this command has tracked nothing so far."""
        return self.server if _server.cache_info().currsize else None

    def training_data(self) -> "tuple[Path, TrainingData]":
        """Transactions before the test period, encoded by what the training rows taught.

        They lie in the experiment under the hash of data, strategy and encoder, so that they are
        encoded once, and processes share them; the first is the folder where they lie.
        Raises StrategyRefused if the strategy cannot be used on them.
        """
        from fraud_ae.experiments.training_data import stored_training_data

        identity = {**self.features_identity, "planted": self.plants}
        folder, made = stored_training_data(self.folder / "encoded", identity, self._encode)
        self._warn_of_leaks(made)
        if names := ", ".join(made.encoded.encoder.left_out_):
            _warn_once(f"left out, with one value or none in all training rows: {names}")
        return folder, made

    def _warn_of_leaks(self, data: "TrainingData") -> None:
        """The audit looks closer; here nobody has to ask for it."""
        from fraud_ae.audit.label_use import features_that_tell_alone

        aucs = features_that_tell_alone(data.encoded)
        leaks = {name: auc for name, auc in aucs.items() if name not in self.allowed_features}
        if leaks:
            told = ", ".join(f"{name} (ROC AUC {auc:.4f})" for name, auc in leaks.items())
            _warn_once(
                f"{told} tells fraud from the rest alone, as what is known only afterwards does: "
                "no figure can be trusted, and nothing is published. Leave it out, or, where it is "
                f"known when a transaction is scored: 'allow_features=[{','.join(leaks)}]'"
            )

    @property
    def plants(self) -> bool:
        """Whether anomalies are planted, which the objective is made of."""
        return self.objective == PLANTED_AUC

    def _encode(self, folder: Path) -> "TrainingData":
        from fraud_ae.experiments.training_data import TrainingData
        from fraud_ae.features.encoded_data import encode

        # In order of time, so that they are the first ones.
        transactions = self.dataset.transactions
        visible = transactions.iloc[: self.split.before_test(transactions).sum()]
        how = (self.train_on, folder, self.computation)
        encoded = encode(self.strategy, self.encoder, visible, self.split.train(visible), *how)
        return TrainingData.of(self.dataset, self.split, encoded, self.plants)


def experiment_folder(cfg: DictConfig) -> Path:
    """The folder of the experiment of a configuration that is not complete yet, as of a sweep."""
    return Path(os.path.expanduser(cfg.outputs_dir)) / cfg.experiment


@functools.lru_cache(maxsize=1)
def _load(node: str, changed: tuple) -> Dataset:
    return build(json.loads(node), SOURCE)


def _changed(path: str) -> tuple[tuple[int, int], ...]:
    """When the files that a path stands for were changed last, and their sizes."""
    try:
        files = table_files(path)
    except DataError:
        # Whoever reads it tells what is wrong; a store of labels is no table.
        files = [file for file in (Path(path),) if file.is_file()]
    return tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files)


@functools.cache
def _server(notes: Path, wait_seconds: float) -> Server:
    return Server.of(notes, wait_seconds)


@functools.cache
def _warn_once(message: str) -> None:
    log.warning(message)
