"""The scoring thread: queued requests are scored in batches, in their order of arrival."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fraud_ae.serving.errors import RequestRefused

log = logging.getLogger("fraud_ae")

# Most tasks of a batch; so many take hardly longer than one.
AT_ONCE = 64
# How long to wait for a batch to fill: clients that just got a response send the next request soon.
_GATHERED_SECONDS = 0.003

Task = TypeVar("Task")
Result = TypeVar("Result")
# A function to run in the scoring thread, and the future of what it returns.
_Call = tuple[Callable[[], Any], asyncio.Future]
# The future of a request, what to set it to, and the number of its tasks.
_Outcome = tuple[asyncio.Future, Any, int]


@dataclass
class _QueuedRequest(Generic[Task]):
    tasks: Sequence[Task]
    future: asyncio.Future


class ScoringThread(Generic[Task, Result]):
    """Scores the tasks of several requests together, and runs other functions in the same thread.

    score: n tasks -> n results; called in this thread alone, as are the functions given to `run`.
    most_waiting: limit of the queue, in tasks.
    """

    def __init__(self, score: Callable[[list[Task]], list[Result]], most_waiting: int) -> None:
        self._score, self._most_waiting = score, most_waiting
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_QueuedRequest[Task] | tuple[Callable[[], Any], asyncio.Future]] = (
            deque()
        )
        self._changed = threading.Condition()
        self._stopping = False
        # Size of the last batch.
        self._last_size = 0
        # Number of tasks without a result; changed in the event loop alone.
        self.waiting = 0
        self._thread = threading.Thread(target=self._work, name="scoring", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether another task would be accepted."""
        return self._thread.is_alive() and not self._stopping and self.waiting < self._most_waiting

    def submit(self, tasks: Sequence[Task]) -> "asyncio.Future[list[Result]]":
        """A future of the results of some tasks.

        Raises RequestRefused (503) if the queue is full. A request longer than the queue's limit is
        accepted while the queue is empty.
        """
        if self._stopping:
            raise RequestRefused(503, "the service is being stopped", retry_after=5)
        if self.waiting and self.waiting + len(tasks) > self._most_waiting:
            raise RequestRefused(503, f"{self.waiting} transactions wait already", retry_after=1)
        request = _QueuedRequest(tasks, self._loop.create_future())
        self.waiting += len(tasks)
        self._put(request)
        return request.future

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call a function between two batches; returns or raises what it does."""
        called: asyncio.Future = self._loop.create_future()
        self._put((function, called))
        return await called

    async def stop(self) -> None:
        """Score what is queued, accept nothing more, and end the thread."""
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
                batch = self._take()
            if isinstance(batch, tuple):
                function, called = batch
                self._publish([(called, _outcome(function), 0)])
            else:
                self._publish(self._score_batch(batch))

    def _gather(self) -> None:
        """Wait a moment until as many tasks are queued as the last batch had."""
        deadline = time.monotonic() + _GATHERED_SECONDS
        while not self._stopping and sum(map(_size, self._queue)) < min(self._last_size, AT_ONCE):
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._changed.wait(remaining):
                return

    def _take(self) -> list[_QueuedRequest[Task]] | _Call:
        """The next function to call, or the next batch: requests up to the next such function."""
        first = self._queue.popleft()
        if isinstance(first, tuple):
            return first
        batch, number = [first], len(first.tasks)
        while self._queue:
            next_entry = self._queue[0]
            if isinstance(next_entry, tuple) or number + len(next_entry.tasks) > AT_ONCE:
                break
            batch.append(next_entry)
            number += len(next_entry.tasks)
            self._queue.popleft()
        self._last_size = number
        return batch

    def _score_batch(self, requests: list[_QueuedRequest[Task]]) -> list[_Outcome]:
        tasks = [task for request in requests for task in request.tasks]
        results = _outcome(lambda: self._score(tasks))
        if isinstance(results, Exception):
            if len(requests) == 1:
                return [(requests[0].future, results, len(tasks))]
            # One request is at fault; the others are scored by themselves.
            return [outcome for request in requests for outcome in self._score_batch([request])]
        outcomes, start = [], 0
        for request in requests:
            end = start + len(request.tasks)
            outcomes.append((request.future, results[start:end], end - start))
            start = end
        return outcomes

    def _publish(self, outcomes: list[_Outcome]) -> None:
        self._loop.call_soon_threadsafe(self._resolve, outcomes)

    def _resolve(self, outcomes: list[_Outcome]) -> None:
        for future, outcome, number in outcomes:
            self.waiting -= number
            if future.done():
                continue  # the client disconnected or its request timed out
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _size(entry: Any) -> int:
    """Number of tasks; a function to call counts as a full batch, so that it does not wait."""
    return AT_ONCE if isinstance(entry, tuple) else len(entry.tasks)


def _outcome(function: Callable[[], Any]) -> Any:
    """What a function returns, or the exception that it raises."""
    try:
        return function()
    except Exception as error:  # raised again where the future is awaited
        return error
