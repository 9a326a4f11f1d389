"""Processes of one thread each, which train side by side."""

import functools
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as futures_wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

from fraud_ae.errors import WorkerLost
from fraud_ae.runtime.threads import available_cores

log = logging.getLogger("fraud_ae")

# What a worker needs takes seconds to import: once for all of them, where the system can do that.
_PRELOADED = [
    "fraud_ae.experiments.run",
    "xgboost",
    "wandb.sdk.launch",
    # What the commands import, which every worker begins with.
    "fraud_ae.sweeps.launcher",
    "fraud_ae.runtime.fork_server",
]
_WAKE_SECONDS = 0.5


class Workers:
    """Runs functions in processes that live until this one ends; one worker is this process.

    Functions and their arguments must be picklable. What workers log is logged here, each message
    once.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        self._told: set[str] = set()

    def start(self) -> None:
        """Begin what takes seconds before the first process can start, and do not wait for it."""
        if self.count > 1 and self._pool is None:
            _context()

    def submit(self, function: Callable, *arguments: Any) -> Future:
        """Run it as soon as a worker is free; see `outcome` for the result."""
        if self.count == 1:
            return _done(function, arguments)
        if self._pool is None:
            self._pool = _new_pool(self.count)
        return self._pool.submit(_logged, function, arguments)

    def ended(self, futures: Iterable[Future]) -> set[Future]:
        """Those of some futures that have ended; waits until one has."""
        ended: set[Future] = set()
        while not ended:
            # An interrupt that reaches another thread is seen only when this one wakes up.
            ended, _ = futures_wait(futures, _WAKE_SECONDS, return_when=FIRST_COMPLETED)
        return ended

    def outcome(self, future: Future) -> Any:
        """The result of what was submitted, or the exception that it raised.

        Raises WorkerLost if a process was killed.
        """
        self.ended([future])
        try:
            result, messages = future.result()
        except BrokenProcessPool as error:
            self.kill()
            raise WorkerLost(
                "a worker process ended early, as one does that is killed or that finds no memory; "
                "the same command goes on where this one stopped (hydra.launcher.workers=1 needs "
                "the least memory)"
            ) from error
        for level, message in messages:
            if message not in self._told:
                self._told.add(message)
                log.log(level, message)
        if isinstance(result, _Raised):
            raise result.error
        return result

    def kill(self) -> None:
        """End the processes, whatever they are doing."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.kill()
            self._pool = None


def shared_workers(count: int | None = None) -> Workers:
    """The workers of this process, as many as it may use cores unless a number is given."""
    return _shared(available_cores() if count is None else count)


# One pool for a number, however it came to be that number.
_shared = functools.cache(Workers)


class _Raised:
    """An exception, as a result: so what was logged before it comes along."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append((record.levelno, record.getMessage()))


def _logged(function: Callable, arguments: tuple) -> tuple[Any, list[tuple[int, str]]]:
    collected = _Collected()
    log.addHandler(collected)
    log.propagate = False
    try:
        return function(*arguments), collected.messages
    except Exception as error:
        # A traceback does not travel.
        error.add_note("".join(traceback.format_exception(error)))
        return _Raised(error), collected.messages
    finally:
        log.removeHandler(collected)


def _done(function: Callable, arguments: tuple) -> Future:
    future: Future = Future()
    try:
        future.set_result((function(*arguments), []))
    except Exception as error:
        future.set_result((_Raised(error), []))
    return future


def _new_pool(count: int) -> ProcessPoolExecutor:
    pool = ProcessPoolExecutor(count, mp_context=_context(), initializer=_begin)
    # All processes at once: the pool does not see the end of one that it starts later, until
    # something else happens.
    for _ in range(count):
        pool.submit(os.getpid)
    return pool


def _context() -> multiprocessing.context.BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    multiprocessing.forkserver.ensure_running()
    return context


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
