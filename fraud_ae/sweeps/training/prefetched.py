"""The trainings that a batch of jobs needs: done before the jobs, together and side by side."""

import itertools
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from fraud_ae.configuration.build import (
    evaluation_of,
    experiment_folder,
    kept_training,
    recipe_of,
    run_of,
    tracked_run,
    training_data_of,
)
from fraud_ae.errors import TrainingDiverged, UserError
from fraud_ae.experiments.resumable import KeptTraining
from fraud_ae.experiments.run_store import Run
from fraud_ae.runtime.workers import Workers
from fraud_ae.sweeps.training.trained_runs import Trained
from fraud_ae.sweeps.training.worker_tasks import (
    Task,
    finish_run,
    loop_keys,
    train_alone,
    train_stack,
)


@dataclass
class _Wanted:
    """A run that is to be trained: for which jobs, and what is locked meanwhile.

    choices: the option of each config group.
    """

    run: Run
    config: dict
    choices: Mapping[str, str]
    jobs: list[int]
    lock: FileLock

    @cached_property
    def kept(self) -> KeptTraining:
        """What is there of its training."""
        return kept_training(self.config, self.run)

    @property
    def features(self) -> Hashable:
        """Equal where the encoded transactions are."""
        identity = self.run.identity
        return json.dumps([identity["data"], identity["features"], identity["encoder"]])

    @property
    def training(self) -> Hashable:
        """Equal where the network is: neither scorer nor threshold have a part in it."""
        identity = self.run.identity
        return json.dumps([identity[key] for key in ("model", "trainer", "seed")])


class TrainingsAhead:
    """Trains what a batch of jobs needs, and says which job has all that it needs.

    What several jobs share is trained once. Networks that can share a loop do; everything else runs
    side by side in the workers.

    configs: resolved, one for each job, whose runs were not finished. choices: for each, the option
    of each config group. sweep: the folder of the
    sweep. trained: is told what was trained. stack_size: most networks in one loop.
    """

    def __init__(
        self,
        configs: Sequence[dict],
        choices: Sequence[Mapping[str, str]],
        sweep: Path,
        trained: Trained,
        workers: Workers,
        stack_size: int,
    ) -> None:
        self._configs = configs
        self._choices = choices
        self._sweep = sweep
        self._trained = trained
        self._workers = workers
        self._stack_size = stack_size
        self._pending: dict[Future, Any] = {}

    def ready(self) -> Iterator[int]:
        """The number of each job, as soon as its run is there, or nothing can be done for it."""
        wanted: dict[str, _Wanted] = {}
        for number, (config, choices) in enumerate(zip(self._configs, self._choices, strict=True)):
            run = run_of(config)
            if run.id not in wanted:
                wanted[run.id] = _Wanted(run, config, choices, [], run.lock())
            wanted[run.id].jobs.append(number)
        try:
            yield from self._train(wanted)
        except BaseException:
            # Nobody waits any more for what the workers are at.
            self._workers.kill()
            raise
        finally:
            for each in wanted.values():
                each.lock.release()

    def _train(self, wanted: dict[str, _Wanted]) -> Iterator[int]:
        # In order, so that two sweeps with the same runs never wait for each other.
        for each in (wanted[key] for key in sorted(wanted)):
            each.lock.acquire()
            if self._trained.reusable(each.run, each.config["retrain"]):
                yield from self._done(each)
        left = [each for each in wanted.values() if each.lock.is_locked]
        for group in _grouped(left, key=lambda each: each.features):
            try:
                folder, _ = training_data_of(group[0].config, experiment_folder(group[0].config))
            except UserError:  # the jobs meet it again, and say so
                for each in group:
                    yield from self._done(each)
                continue
            self._submit(self._loops(group), folder)
        while self._pending:
            for future in self._workers.ended(self._pending):
                yield from self._pending.pop(future)(future)

    def _done(self, each: _Wanted) -> list[int]:
        """The jobs of a run may look it up."""
        each.lock.release()
        return each.jobs

    def _loops(self, group: list[_Wanted]) -> list[list[list[_Wanted]]]:
        """Networks that can share a loop, each with the runs that share it.

        To tell takes the networks themselves, which only the workers build.
        """
        networks = _grouped(group, key=lambda each: each.training)
        if len(networks) == 1:
            return [networks]
        recipes = [recipe_of(same[0].config) for same in networks]
        keys = self._workers.outcome(self._workers.submit(loop_keys, recipes))
        keyed = zip(keys, networks, strict=True)
        return [[network for _, network in loop] for loop in _grouped(keyed, key=lambda p: p[0])]

    def _submit(self, loops: list[list[list[_Wanted]]], folder: Path) -> None:
        for stack in self._stacks(loops):
            runs = [each for same in stack for each in same]
            if len(runs) == 1:
                self._submit_alone(runs[0], folder)
            else:
                self._submit_together(stack, folder)

    def _stacks(self, loops: list[list[list[_Wanted]]]) -> list[list[list[_Wanted]]]:
        """Parts of the loops, none too long, and at least one for each worker."""
        stacks: list[list[list[_Wanted]]] = []
        for loop in loops:
            stacks += _chunks(loop, self._stack_size)
        while len(stacks) < self._workers.count and max(map(len, stacks)) > 1:
            longest = max(stacks, key=len)
            stacks.remove(longest)
            stacks += _chunks(longest, -(-len(longest) // 2))
        return sorted(stacks, key=len, reverse=True)

    def _submit_alone(self, each: _Wanted, folder: Path) -> None:
        future = self._workers.submit(train_alone, folder, _task(each), self._sweep)
        self._pending[future] = lambda future: self._finished(each, future)

    def _submit_together(self, stack: list[list[_Wanted]], folder: Path) -> None:
        tasks = [_task(same[0]) for same in stack]
        future = self._workers.submit(train_stack, folder, tasks, self._sweep)
        self._pending[future] = lambda future: self._finish_stack(stack, folder, future)

    def _finish_stack(
        self, stack: list[list[_Wanted]], folder: Path, future: Future
    ) -> Iterator[int]:
        for same, network in zip(stack, self._workers.outcome(future), strict=True):
            for each in same:
                if isinstance(network, TrainingDiverged):
                    self._trained.diverged[each.run.id] = network
                    yield from self._done(each)
                    continue
                finishing = self._workers.submit(finish_run, folder, _task(each), network)
                self._pending[finishing] = lambda future, each=each: self._finished(each, future)

    def _finished(self, each: _Wanted, future: Future) -> Iterator[int]:
        try:
            self._workers.outcome(future)
        except TrainingDiverged as error:
            self._trained.diverged[each.run.id] = error
        except UserError:
            # Of the job's own, which meets it again.
            if not each.run.finished:
                raise
        if each.run.id not in self._trained.diverged:
            self._trained.add(each.run)
        yield from self._done(each)


def _task(each: _Wanted) -> Task:
    config = each.config
    return Task(
        run=each.run,
        kept=each.kept,
        recipe=recipe_of(config),
        evaluation=evaluation_of(config),
        target=tracked_run(config, each.choices),
        config=config,
    )


def _grouped(items: Iterable, key) -> list[list]:
    """Items of equal keys, in the order of the first of each."""
    groups: dict[Hashable, list] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _chunks(items: list, size: int) -> list[list]:
    """Parts of at most so many items, as equal as can be."""
    parts = -(-len(items) // size)
    bounds = [len(items) * number // parts for number in range(parts + 1)]
    return [items[start:end] for start, end in itertools.pairwise(bounds)]
