"""Objects from a resolved configuration; each is built once for all jobs of a process.

What encodes transactions is imported in the functions: finished runs are looked up without it.
"""

import functools
import inspect
import json
import logging
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.utils import instantiate

from fraud_ae.configuration.command_line import OUTPUTS
from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import BOUNDARIES, Split, split_by_time
from fraud_ae.errors import UserError
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.threshold import ThresholdPolicy
from fraud_ae.experiments.recipe import Recipe
from fraud_ae.experiments.resumable import KeptTraining
from fraud_ae.experiments.run_store import Run, features_identity, run_identity
from fraud_ae.features.strategy import check_strategy, missing_columns
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.tracking.server import Server
from fraud_ae.tracking.target import TrackedRun

if TYPE_CHECKING:
    from fraud_ae.experiments.training_data import TrainingData
    from fraud_ae.features.encoder import Encoder

log = logging.getLogger("fraud_ae")

# Groups whose options W&B's panels tell apart by name.
_NAMED = ("features", "model", "scorer")

# Settings of `data` that say how its transactions are used, not where they come from.
_USE = ("name", "train_on", "split")


def build(node: dict) -> object:
    """The object that a node's `_target_` names, and no other: nested ones must be named too."""
    try:
        return instantiate(node, _execution_whitelist_=sorted(_targets(node)), _convert_="all")
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"{node.get('_target_')}: {cause}") from error


def dataset_of(config: dict) -> Dataset:
    """The transactions of a configuration."""
    source = {k: v for k, v in config["data"].items() if k not in _USE}
    files = (source.get("path"), source.get("labels"))
    changed = tuple(_changed(file) for file in files if file)
    return _load(json.dumps(source, sort_keys=True), changed)


def _changed(file: str) -> tuple[int, int] | None:
    """When a file was changed last, and its size; None where it is not there."""
    stat = Path(file).stat() if Path(file).is_file() else None
    return (stat.st_mtime_ns, stat.st_size) if stat else None


@functools.lru_cache(maxsize=1)
def _load(source: str, changed: tuple) -> Dataset:
    return build(json.loads(source))


def split_of(config: dict, dataset: Dataset) -> Split:
    """The parts of the transactions of a configuration."""
    settings = config["data"]["split"]
    return split_by_time(
        dataset.transactions["timestamp"],
        fractions=settings["fractions"],
        label_delay_days=settings["label_delay_days"],
        dates={name: settings[name] for name in BOUNDARIES},
    )


def strategy_of(config: dict, dataset: Dataset) -> object:
    """The strategy of a configuration, which the transactions have columns for.

    Raises StrategyRefused where they have not; warns of single columns that are missing.
    """
    strategy = build(config["features"])
    check_strategy(strategy, dataset.transactions)
    missing = missing_columns(strategy, dataset.transactions)
    if missing:
        _warn_once(
            f"{type(strategy).__name__}: the data have no {', '.join(missing)}; "
            "features that need them are left out"
        )
    return strategy


@functools.cache
def _warn_once(message: str) -> None:
    log.warning(message)


def encoder_of(config: dict) -> "Encoder":
    """The encoder of a configuration, not fitted."""
    from fraud_ae.features.encoder import Encoder

    return Encoder(**config["encoder"])


def recipe_of(config: dict) -> Recipe:
    """What makes a detector of encoded transactions."""
    return Recipe(
        network=_network_settings(config["model"]),
        scorer=build(config["scorer"]),
        trainer=TrainerSettings(**config["trainer"]),
        train_on=config["data"]["train_on"],
        seed=config["seed"],
    )


def _network_settings(model: dict) -> dict:
    """Class path and arguments of a network, which is built when its inputs are known."""
    arguments = dict(model)
    path = arguments.pop("_target_")
    try:
        network_class = pkgutil.resolve_name(path)
        own = {name: value for name, value in arguments.items() if name != "members"}
        inspect.signature(network_class).bind(n_inputs=1, **own)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"model._target_={path}: {error}") from error
    return {"class": path, **arguments}


def training_data_of(config: dict, folder: Path) -> "tuple[Path, TrainingData]":
    """Transactions before the test period, encoded by what the training rows taught.

    folder: of the experiment. Kept there under the hash of data, strategy and encoder, so that they
    are encoded once, and processes share them; the first is the folder where they lie.
    Raises StrategyRefused if the strategy cannot be used on them.
    """
    from fraud_ae.experiments.training_data import TrainingData, stored_training_data
    from fraud_ae.features.encoded_data import encode

    dataset = dataset_of(config)
    identity = features_identity(config, dataset.fingerprint)

    def make(folder: Path) -> TrainingData:
        split = split_of(config, dataset)
        # In order of time, so that they are the first ones.
        visible = dataset.transactions.iloc[: split.before_test(dataset.transactions).sum()]
        encoded = encode(
            strategy_of(config, dataset),
            encoder_of(config),
            visible,
            split.train(visible),
            config["data"]["train_on"],
            folder,
        )
        return TrainingData.of(dataset, split, encoded)

    return stored_training_data(folder / "encoded", identity, make)


def experiment_folder(config: dict) -> Path:
    """Where everything about the experiment of a configuration lies."""
    return OUTPUTS / config["experiment"]


def run_of(config: dict) -> Run:
    """The run of a configuration, finished or not. Raises UserError if its data cannot be read."""
    identity = run_identity(config, dataset_of(config).fingerprint)
    return Run(experiment_folder(config) / "runs", identity)


def kept_training(config: dict, run: Run) -> KeptTraining:
    """What is there of the training of a run."""
    folder = run.folder.parent.with_name("trainings")
    return KeptTraining.of(folder, run.identity, config["retrain"])


def evaluation_of(config: dict) -> Evaluation:
    """How the scores of a configuration are read."""
    metrics = config["metrics"]
    return Evaluation(
        policy=ThresholdPolicy(**config["threshold"]),
        extra=metrics["extra"],
        top_k=metrics["top_k"],
        replicates=metrics["replicates"],
    )


def tracked_run(config: dict, choices: Mapping[str, str]) -> TrackedRun:
    """How a training of a configuration is logged to W&B. choices: the option of each group."""
    wandb, stage = config["wandb"], config["stage"]
    return TrackedRun(
        mode=wandb["mode"],
        project=wandb["project"],
        entity=wandb["entity"],
        group=config["experiment"],
        job_type=stage["name"],
        tags=tuple(stage["tags"]),
        choices={group: choices[group] for group in _NAMED if group in choices},
        server=tracked_server(config) if wandb["mode"] == "online" else None,
    )


def tracked_server(config: dict) -> Server:
    """The W&B server as this command, and all that it starts, knows it."""
    return _server(experiment_folder(config) / ".locks", config["wandb"]["wait_seconds"])


def known_server(config: dict) -> Server | None:
    """As `tracked_server`, or None where this command has tracked nothing so far."""
    return tracked_server(config) if _server.cache_info().currsize else None


@functools.cache
def _server(notes: Path, wait_seconds: float) -> Server:
    return Server.of(notes, wait_seconds)


def _targets(node: object) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_targets, node))
    if not isinstance(node, dict):
        return set()
    own = {node["_target_"]} if "_target_" in node else set()
    return own.union(*map(_targets, node.values()))
