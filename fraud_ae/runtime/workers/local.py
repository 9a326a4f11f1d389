"""Processes of this machine, of one thread each, which train side by side."""

import functools
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from fraud_ae.errors import WorkerLost
from fraud_ae.runtime.named_objects import allowed_modules
from fraud_ae.runtime.threads import available_cores
from fraud_ae.runtime.workers.workers import Raised, Submitted, Workers, run_logged

# What a worker needs takes seconds to import: once for all of them, where the system can do that.
_PRELOADED = [
    "fraud_ae.experiments.run",
    "xgboost",
    "wandb.sdk.launch",
    # What the commands import, which every worker begins with.
    "fraud_ae.sweeps.launcher",
    "fraud_ae.runtime.fork_server",
]
# Windows has one way only.
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_WARNINGS = "PYTHONWARNINGS"


class LocalWorkers(Workers):
    """Runs functions in processes that live until this one ends; one worker is this process.

    A process that is killed or that crashes takes with it what it was at, and nothing else:
    each has a pool of its own, as all that a pool of several was given is lost with one of them.
    """

    advice = "hydra.launcher.workers=1 needs the least memory"

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self._lock = threading.RLock()
        self._waiting: deque[Submitted] = deque()
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()

    def start(self, folder: Path) -> None:
        """Begin the server that processes are forked from; they see every folder."""
        if self.count > 1 and not (self._idle or self._busy):
            _context()

    def submit(self, function: Callable, *arguments: Any) -> Submitted:
        """Run it as soon as a worker is free; see `outcome` for the result."""
        submitted = Submitted(function, arguments)
        if self.count == 1:
            _do(submitted)
        else:
            self._waiting.append(submitted)
            self._hand_out()
        return submitted

    def kill(self) -> None:
        """End the processes, whatever they are doing."""
        with self._lock:
            for submitted in self._waiting:
                submitted.cancel()
            self._waiting.clear()
            for process in [*self._idle, *self._busy]:
                process.kill()
            self._idle.clear()
            self._busy.clear()

    def _hand_out(self) -> None:
        """Give what waits to processes that are free, as many as there may be."""
        with self._lock:
            while self._waiting and (self._idle or len(self._busy) < self.count):
                process = self._idle.pop() if self._idle else _Process()
                submitted = self._waiting.popleft()
                try:
                    running = process.run(submitted)
                except BrokenProcessPool:  # it was killed while it had nothing to do
                    process.end()
                    self._waiting.appendleft(submitted)
                    continue
                except RuntimeError:  # this process ends, and takes no more
                    submitted.cancel()
                    continue
                self._busy.add(process)
                running.add_done_callback(partial(self._take_back, process, submitted))

    def _take_back(self, process: "_Process", submitted: Submitted, running: Future) -> None:
        """What a process has done, in a thread of its pool."""
        error = CancelledError() if running.cancelled() else running.exception()
        with self._lock:
            # Those that were killed by us are not among them any more.
            if process in self._busy:
                self._busy.remove(process)
                if isinstance(error, BrokenProcessPool):
                    process.end()
                else:
                    self._idle.append(process)
        if isinstance(error, BrokenProcessPool):
            lost = WorkerLost(
                "a worker process ended early, as one does that is killed or that finds no memory"
            )
            lost.__cause__ = error
            submitted.set_exception(lost)
        elif error is not None:
            submitted.set_exception(error)
        else:
            submitted.set_result(running.result())
        self._hand_out()


class _Process:
    """A pool of one process; it begins to start at once."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=_context(), initializer=_begin)
        self._pid = self._pool.submit(os.getpid)

    def run(self, submitted: Submitted) -> Future:
        """Raises BrokenProcessPool where the process has ended."""
        # The server that it was forked from may be older than what is allowed now.
        allowed = allowed_modules()
        return self._pool.submit(run_logged, submitted.function, submitted.arguments, allowed)

    def kill(self) -> None:
        """End it, whatever it is doing, and hand it nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.end()

    def end(self) -> None:
        """End what is left of it, as soon as its number is known.

        A pool also takes a process for lost that lives, if the fork server was killed.
        """
        self._pid.add_done_callback(_kill)


def _kill(pid: Future) -> None:
    # No number comes of one that has ended before it was asked.
    if not pid.cancelled() and pid.exception() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid.result(), _KILL)


def shared_workers(count: int | None = None) -> LocalWorkers:
    """The workers of this process, as many as it may use cores unless a number is given."""
    return _shared(available_cores() if count is None else count)


# One pool for a number, however it came to be that number.
_shared = functools.cache(LocalWorkers)


def _do(submitted: Submitted) -> None:
    try:
        submitted.set_result((submitted.function(*submitted.arguments), []))
    except Exception as error:
        submitted.set_result((Raised(error), []))


def _context() -> multiprocessing.context.BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with _interrupts_blocked(), _silent_about_leaks():
        multiprocessing.resource_tracker.ensure_running()
    with _interrupts_blocked():
        multiprocessing.forkserver.ensure_running()
    return context


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Of what is started within, which goes on so: Ctrl-C at a terminal reaches all processes.

    It is for the command itself, which then ends the others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _silent_about_leaks() -> Iterator[None]:
    """What a command leaves that is stopped or killed, a process cleans up, and warns of it.

    It takes its warnings' filters from the environment that it is started in.
    """
    before = os.environ.get(_WARNINGS)
    os.environ[_WARNINGS] = ",".join(filter(None, [before, "ignore:resource_tracker"]))
    try:
        yield
    finally:
        if before is None:
            del os.environ[_WARNINGS]
        else:
            os.environ[_WARNINGS] = before


def _begin() -> None:
    """What a worker does first."""
    from threadpoolctl import threadpool_limits

    # An interrupt is for the process that waits; it ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed must not go on writing into runs."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
