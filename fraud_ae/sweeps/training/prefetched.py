"""The trainings that a batch of jobs needs: done before the jobs, together and side by side."""

import itertools
import json
import logging
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from fraud_ae.configuration.job import Job
from fraud_ae.errors import TrainingDiverged, UserError, WorkerLost
from fraud_ae.experiments.run_store import Run
from fraud_ae.runtime.workers.workers import Workers
from fraud_ae.sweeps.training.trained_runs import TrainedRuns
from fraud_ae.sweeps.training.worker_tasks import (
    Task,
    finish_run,
    loop_keys,
    train_alone,
    train_stack,
)

log = logging.getLogger("fraud_ae")


@dataclass
class _PendingRun:
    """A run that is to be trained: by which job, for which ones, and what is locked meanwhile."""

    job: Job
    jobs: list[int]
    lock: FileLock

    @property
    def run(self) -> Run:
        return self.job.run

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


class PrefetchedTrainings:
    """Trains what a batch of jobs needs, and says which job has all that it needs.

    What several jobs share is trained once. Networks that can share a loop do; everything else runs
    side by side in the workers.

    jobs: whose runs were not finished. sweep: the folder of the sweep. trained: is told what was
    trained. stack_size: most networks in one loop.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        sweep: Path,
        trained: TrainedRuns,
        workers: Workers,
        stack_size: int,
    ) -> None:
        self._jobs = jobs
        self._sweep = sweep
        self._trained = trained
        self._workers = workers
        self._stack_size = stack_size
        self._pending: dict[Future, Any] = {}
        # What a process was at that was killed, with its data; and which of these were tried again.
        self._lost: list[tuple[_PendingRun, Path]] = []
        self._tried_again: set[str] = set()

    def ready(self) -> Iterator[int]:
        """The number of each job, as soon as its run is there, or nothing can be done for it."""
        wanted: dict[str, _PendingRun] = {}
        for number, job in enumerate(self._jobs):
            if job.run.id not in wanted:
                wanted[job.run.id] = _PendingRun(job, [], job.run.lock())
            wanted[job.run.id].jobs.append(number)
        try:
            yield from self._train(wanted)
        except BaseException:
            # Nobody waits any more for what the workers are at.
            self._workers.kill()
            raise
        finally:
            for wanted_run in wanted.values():
                wanted_run.lock.release()

    def _train(self, wanted: dict[str, _PendingRun]) -> Iterator[int]:
        # In order, so that two sweeps with the same runs never wait for each other.
        for wanted_run in (wanted[key] for key in sorted(wanted)):
            wanted_run.lock.acquire()
            if self._trained.reusable(wanted_run.run, wanted_run.job.retrain):
                yield from self._done(wanted_run)
        left = [wanted_run for wanted_run in wanted.values() if wanted_run.lock.is_locked]
        for group in _grouped(left, key=lambda wanted_run: wanted_run.features):
            try:
                folder, _ = group[0].job.training_data()
            except UserError:  # the jobs meet it again, and say so
                for wanted_run in group:
                    yield from self._done(wanted_run)
                continue
            self._submit(self._loops(group), folder)
        while self._pending or self._lost:
            if not self._pending:
                # By itself, so that it finds the most memory, and takes nothing else with it.
                self._submit_alone(*self._lost.pop(0))
            for future in self._workers.ended(self._pending):
                yield from self._pending.pop(future)(future)

    def _done(self, wanted_run: _PendingRun) -> list[int]:
        """The jobs of a run may look it up."""
        wanted_run.lock.release()
        return wanted_run.jobs

    def _loops(self, group: list[_PendingRun]) -> list[list[list[_PendingRun]]]:
        """Networks that can share a loop, each with the runs that share it.

        To tell takes the networks themselves, which only the workers build.
        """
        networks = _grouped(group, key=lambda wanted_run: wanted_run.training)
        if len(networks) == 1:
            return [networks]
        recipes = [same[0].job.recipe for same in networks]
        keys = self._workers.outcome_at_last(self._workers.submit(loop_keys, recipes))
        keyed = zip(keys, networks, strict=True)
        return [[network for _, network in loop] for loop in _grouped(keyed, key=lambda p: p[0])]

    def _submit(self, loops: list[list[list[_PendingRun]]], folder: Path) -> None:
        for stack in self._stacks(loops):
            runs = [wanted_run for same in stack for wanted_run in same]
            if len(runs) == 1:
                self._submit_alone(runs[0], folder)
            else:
                self._submit_together(stack, folder)

    def _stacks(self, loops: list[list[list[_PendingRun]]]) -> list[list[list[_PendingRun]]]:
        """Parts of the loops, none too long, and at least one for each worker."""
        stacks: list[list[list[_PendingRun]]] = []
        for loop in loops:
            stacks += _chunks(loop, self._stack_size)
        while len(stacks) < self._workers.count and max(map(len, stacks)) > 1:
            longest = max(stacks, key=len)
            stacks.remove(longest)
            stacks += _chunks(longest, -(-len(longest) // 2))
        return sorted(stacks, key=len, reverse=True)

    def _submit_alone(self, wanted_run: _PendingRun, folder: Path) -> None:
        future = self._workers.submit(train_alone, folder, _task(wanted_run), self._sweep)
        self._pending[future] = lambda future: self._finished(wanted_run, folder, future)

    def _submit_together(self, stack: list[list[_PendingRun]], folder: Path) -> None:
        tasks = [_task(same[0]) for same in stack]
        future = self._workers.submit(train_stack, folder, tasks, self._sweep)
        self._pending[future] = lambda future: self._finish_stack(stack, folder, future)

    def _finish_stack(
        self, stack: list[list[_PendingRun]], folder: Path, future: Future
    ) -> Iterator[int]:
        try:
            trained = self._workers.outcome(future)
        except WorkerLost as error:
            yield from self._try_again([run for same in stack for run in same], folder, error)
            return
        for same, network in zip(stack, trained, strict=True):
            for wanted_run in same:
                if isinstance(network, TrainingDiverged):
                    self._trained.failed[wanted_run.run.id] = network
                    yield from self._done(wanted_run)
                    continue
                finishing = self._workers.submit(finish_run, folder, _task(wanted_run), network)
                self._pending[finishing] = lambda future, wanted_run=wanted_run: self._finished(
                    wanted_run, folder, future
                )

    def _finished(self, wanted_run: _PendingRun, folder: Path, future: Future) -> Iterator[int]:
        try:
            self._workers.outcome(future)
        except WorkerLost as error:
            yield from self._try_again([wanted_run], folder, error)
            return
        except TrainingDiverged as error:
            self._trained.failed[wanted_run.run.id] = error
        except UserError:
            # Of the job's own, which meets it again.
            if not wanted_run.run.finished:
                raise
        if wanted_run.run.id not in self._trained.failed:
            self._trained.add(wanted_run.run)
        yield from self._done(wanted_run)

    def _try_again(self, lost: list[_PendingRun], folder: Path, error: WorkerLost) -> Iterator[int]:
        """Each by itself once nothing else is left to do; those that were lost before have failed.

        Which of several a process was killed for is not known.
        """
        for wanted_run in lost:
            run = wanted_run.run
            if run.finished:
                self._trained.add(run)
                yield from self._done(wanted_run)
            elif run.id in self._tried_again:
                self._trained.failed[run.id] = WorkerLost(
                    f"{error}, twice; the same command tries it again ({self._workers.advice})"
                )
                yield from self._done(wanted_run)
            else:
                self._tried_again.add(run.id)
                self._lost.append((wanted_run, folder))
                log.warning("run %s: %s; it is tried once more, alone", run.id, error)


def _task(wanted_run: _PendingRun) -> Task:
    job = wanted_run.job
    return Task(
        run=job.run,
        resumable=job.resumable,
        recipe=job.recipe,
        evaluation=job.evaluation,
        target=job.target,
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
