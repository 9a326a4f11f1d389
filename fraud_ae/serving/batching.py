"""One thread that scores: requests that wait are answered together, in their order of arrival."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fraud_ae.serving.refusals import Refused

log = logging.getLogger("fraud_ae")

# Waiting transactions that are scored together; so many take hardly longer than one.
AT_ONCE = 64
# Clients that were just answered ask again in a moment, and are worth waiting for that long.
_GATHERED_SECONDS = 0.003

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass
class _Waiting(Generic[Task]):
    tasks: Sequence[Task]
    answered: asyncio.Future


class ScoringThread(Generic[Task, Result]):
    """Answers tasks, several requests' at once, and runs whatever else needs the same thread.

    answer: gives a result for each of n tasks; called in this thread alone, as are the functions of
    `run`. most_waiting: so many tasks may wait.
    """

    def __init__(self, answer: Callable[[list[Task]], list[Result]], most_waiting: int) -> None:
        self._answer, self._most_waiting = answer, most_waiting
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Waiting[Task] | tuple[Callable[[], Any], asyncio.Future]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        # How many tasks were answered the last time.
        self._last = 0
        # Of tasks that have not been answered yet; changed in the event loop alone.
        self.waiting = 0
        self._thread = threading.Thread(target=self._work, name="scoring", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether another task would be taken."""
        return self._thread.is_alive() and not self._stopping and self.waiting < self._most_waiting

    def submit(self, tasks: Sequence[Task]) -> "asyncio.Future[list[Result]]":
        """The results of some tasks, once they are there.

        Raises Refused, 503, where too many wait already; a request longer than what may wait is
        taken as long as nothing else waits.
        """
        if self._stopping:
            raise Refused(503, "the service is being stopped", retry_after=5)
        if self.waiting and self.waiting + len(tasks) > self._most_waiting:
            raise Refused(503, f"{self.waiting} transactions wait already", retry_after=1)
        waiting = _Waiting(tasks, self._loop.create_future())
        self.waiting += len(tasks)
        self._put(waiting)
        return waiting.answered

    async def run(self, function: Callable[[], Any]) -> Any:
        """What a function returns or raises that is called between two batches."""
        called: asyncio.Future = self._loop.create_future()
        self._put((function, called))
        return await called

    async def stop(self) -> None:
        """Answer what waits, take nothing more, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _put(self, entry: Any) -> None:
        with self._changed:
            self._queue.append(entry)
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if not self._queue:
                    return
                self._gather()
                taken = self._take()
            if isinstance(taken, tuple):
                function, called = taken
                self._tell([(called, _outcome(function), 0)])
            else:
                self._tell(self._batch(taken))

    def _gather(self) -> None:
        """Wait a moment for as many tasks as there were the last time."""
        until = time.monotonic() + _GATHERED_SECONDS
        while not self._stopping and sum(map(_size, self._queue)) < min(self._last, AT_ONCE):
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def _take(self) -> list[_Waiting[Task]] | tuple[Callable[[], Any], asyncio.Future]:
        """The next call, or all requests before the next call that may be answered together."""
        first = self._queue.popleft()
        if isinstance(first, tuple):
            return first
        taken, number = [first], len(first.tasks)
        while self._queue:
            following = self._queue[0]
            if isinstance(following, tuple) or number + len(following.tasks) > AT_ONCE:
                break
            taken.append(following)
            number += len(following.tasks)
            self._queue.popleft()
        self._last = number
        return taken

    def _batch(self, taken: list[_Waiting[Task]]) -> list[tuple[asyncio.Future, Any, int]]:
        together = [task for waiting in taken for task in waiting.tasks]
        results = _outcome(lambda: self._answer(together))
        if isinstance(results, Exception):
            if len(taken) == 1:
                return [(taken[0].answered, results, len(together))]
            # One of them is at fault, and the others must not suffer from it.
            return [told for waiting in taken for told in self._batch([waiting])]
        outcomes, start = [], 0
        for waiting in taken:
            end = start + len(waiting.tasks)
            outcomes.append((waiting.answered, results[start:end], end - start))
            start = end
        return outcomes

    def _tell(self, outcomes: list[tuple[asyncio.Future, Any, int]]) -> None:
        self._loop.call_soon_threadsafe(self._resolve, outcomes)

    def _resolve(self, outcomes: list[tuple[asyncio.Future, Any, int]]) -> None:
        for future, outcome, number in outcomes:
            self.waiting -= number
            if future.done():
                continue  # its client has gone or was told to come back
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _size(entry: Any) -> int:
    """How many tasks; a call is not to be kept waiting."""
    return AT_ONCE if isinstance(entry, tuple) else len(entry.tasks)


def _outcome(function: Callable[[], Any]) -> Any:
    """What a function returns, or the exception that it raises."""
    try:
        return function()
    except Exception as error:  # whoever waits for it is told
        return error
