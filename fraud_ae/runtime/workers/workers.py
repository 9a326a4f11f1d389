"""What workers of every kind do: they run functions, and give back results, errors and messages."""

import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as futures_wait
from pathlib import Path
from typing import Any

from fraud_ae.errors import WorkerLost
from fraud_ae.runtime.named_objects import allow_modules

log = logging.getLogger("fraud_ae")

_WAKE_SECONDS = 0.5
# A result, or the exception in its place, and what was logged: level and message.
Outcome = tuple[Any, list[tuple[int, str]]]


class Submitted(Future):
    """The result to come of a function that was handed to workers, and what was handed to them.

    The result is an `Outcome`; WorkerLost is raised where there is none to come.
    """

    def __init__(self, function: Callable, arguments: tuple) -> None:
        super().__init__()
        self.function = function
        self.arguments = arguments


class Workers(ABC):
    """Run functions side by side; functions and their arguments must be picklable.

    What they log is logged here, each message once. What a worker was at that is lost is lost
    alone: the others go on.

    count: functions at a time. advice: what to do where one is lost again and again.
    """

    count: int
    advice: str

    def __init__(self) -> None:
        self._logged: set[str] = set()

    @abstractmethod
    def start(self, folder: Path) -> None:
        """Begin what takes seconds before the first function can run, and do not wait for it.

        Comes before the first `submit`; further calls are free. folder: of the experiment, which
        every worker must see. Raises UserError where one does not.
        """

    @abstractmethod
    def submit(self, function: Callable, *arguments: Any) -> Submitted:
        """Run it as soon as a worker is free; see `outcome` for the result."""

    @abstractmethod
    def kill(self) -> None:
        """End what runs, whatever it is doing."""

    def ended(self, futures: Iterable[Future]) -> set[Future]:
        """Those of some futures that have ended; waits until one has."""
        ended: set[Future] = set()
        while not ended:
            # An interrupt that reaches another thread is seen only when this one wakes up.
            ended, _ = futures_wait(futures, _WAKE_SECONDS, return_when=FIRST_COMPLETED)
        return ended

    def outcome(self, submitted: Submitted) -> Any:
        """The result of what was submitted, or the exception that it raised.

        Raises WorkerLost if its worker was lost; the others go on.
        """
        self.ended([submitted])
        result, messages = submitted.result()
        for level, message in messages:
            if message not in self._logged:
                self._logged.add(message)
                log.log(level, message)
        if isinstance(result, Raised):
            raise result.error
        return result

    def outcome_at_last(self, submitted: Submitted) -> Any:
        """As `outcome`, but what a worker was at that was lost is tried once more."""
        try:
            return self.outcome(submitted)
        except WorkerLost as error:
            log.warning("%s; what it was at is tried once more", error)
            again = self.submit(submitted.function, *submitted.arguments)
        try:
            return self.outcome(again)
        except WorkerLost as error:
            raise WorkerLost(
                f"{error}, twice; the same command goes on where this one stopped ({self.advice})"
            ) from error


class Raised:
    """An exception, as a result: so what was logged before it comes along."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def run_logged(function: Callable, arguments: tuple, allowed: list[str]) -> Outcome:
    """What a worker does with a function. allowed: modules beside the package's own."""
    allow_modules(allowed)
    collected = _Collected()
    log.addHandler(collected)
    propagate, log.propagate = log.propagate, False
    try:
        return function(*arguments), collected.messages
    except Exception as error:
        # A traceback does not travel.
        error.add_note("".join(traceback.format_exception(error)))
        return Raised(error), collected.messages
    finally:
        log.removeHandler(collected)
        log.propagate = propagate


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append((record.levelno, record.getMessage()))
