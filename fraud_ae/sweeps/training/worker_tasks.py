"""What worker processes do in a sweep: train networks together, and make a run of each.

PyTorch is imported in the functions: the process that hands out the work does without it.
"""

import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_ae.errors import TrainingDiverged
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.experiments.recipe import Recipe
from fraud_ae.experiments.resumable import ResumableTraining
from fraud_ae.experiments.run_store import Run
from fraud_ae.experiments.training_data import TrainingData
from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.sweeps.progress import PROGRESS
from fraud_ae.tracking.target import TrackingTarget

if TYPE_CHECKING:
    from fraud_ae.models.training import TrainedNetwork


@dataclass(frozen=True)
class Task:
    """A run to be made; its fields are arguments of `train_run`."""

    run: Run
    resumable: ResumableTraining
    recipe: Recipe
    evaluation: Evaluation
    target: TrackingTarget


def loop_keys(recipes: Sequence[Recipe]) -> list[Hashable]:
    """Recipes of equal keys can be trained in one loop, on the same data."""
    from fraud_ae.experiments.run import loop_key

    # On the same data all have as many inputs, so that any number does.
    keys = [loop_key(recipe, list(range(8))) for recipe in recipes]
    return [number if key is None else key for number, key in enumerate(keys)]


def train_stack(
    data: Path, tasks: Sequence[Task], sweep: Path
) -> "list[TrainedNetwork | TrainingDiverged]":
    """Networks of several runs, trained in one loop. data: folder of the training data."""
    from fraud_ae.experiments.run import train_networks

    training_data = _data(data)
    recipes, resumable = [task.recipe for task in tasks], [task.resumable for task in tasks]
    with _Progress(sweep, tasks) as progress:
        trained = train_networks(
            recipes,
            [training_data.encoded] * len(recipes),
            training_data.validation_rows,
            resumable=resumable,
            report=progress.report,
        )
    # The checkpoint on disk need not travel between processes.
    return [_without_end(network) for network in trained]


def finish_run(data: Path, task: Task, trained: "TrainedNetwork") -> None:
    """The run of a network that was trained beside others."""
    _train_run(data, task, trained=trained)


def train_alone(data: Path, task: Task, sweep: Path) -> None:
    """A run from the beginning to the end."""
    with _Progress(sweep, [task]) as progress:
        _train_run(data, task, report=lambda row: progress.report(0, row))


def _without_end(
    trained: "TrainedNetwork | TrainingDiverged",
) -> "TrainedNetwork | TrainingDiverged":
    return trained if isinstance(trained, TrainingDiverged) else replace(trained, end=None)


def _train_run(data: Path, task: Task, **how: object) -> None:
    from fraud_ae.experiments.run import train_run

    train_run(
        task.run,
        task.recipe,
        _data(data),
        evaluation=task.evaluation,
        target=task.target,
        resumable=task.resumable,
        **how,
    )


@functools.lru_cache(maxsize=2)
def _data(folder: Path) -> TrainingData:
    return TrainingData.load(folder)


class _Progress:
    """A file that says how far a training is, as long as it goes on."""

    def __init__(self, sweep: Path, tasks: Sequence[Task]) -> None:
        # Of the training and not of the process: two nodes may have the same number, and a training
        # that is done again takes over what the one before has left.
        self._path = sweep / PROGRESS / f"{tasks[0].run.id}.json"
        self._networks = len(tasks)
        self._epochs = max(task.recipe.trainer.max_epochs for task in tasks)
        self._epoch = 0

    def __enter__(self) -> "_Progress":
        self._write()
        return self

    def __exit__(self, *exception: object) -> None:
        self._path.unlink(missing_ok=True)

    def report(self, number: int, row: dict) -> None:
        """An epoch of one of the networks is over."""
        if row["epoch"] > self._epoch:
            self._epoch = row["epoch"]
            self._write()

    def _write(self) -> None:
        progress = {"networks": self._networks, "epoch": self._epoch, "epochs": self._epochs}
        write_json(self._path, progress)
