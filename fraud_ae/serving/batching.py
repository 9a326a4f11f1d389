"""The scoring thread: queued requests are scored in batches, in their order of arrival."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from fraud_ae.serving.errors import RequestRefused

# Most tasks of a batch; so many take hardly longer than one.
AT_ONCE = 64
# Who would wait longer than so many seconds is refused: after an overload the queue is soon empty.
MOST_SECONDS = 1.0
# Weight of the last batch in the running mean of how long one takes.
_WEIGHT = 0.2
# How long to wait for a batch to fill: clients that just got a response send the next request soon.
_GATHERED_SECONDS = 0.003

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass
class _Queued(Generic[Task]):
    """A request of some tasks, or a function to call between two batches.

    counted: how much it adds to what waits, in tasks.
    """

    future: asyncio.Future
    counted: int
    tasks: Sequence[Task] = ()
    function: Callable[[], Any] | None = None

    @property
    def size(self) -> int:
        """Number of tasks; a function counts as a full batch, so that it does not wait."""
        return AT_ONCE if self.function else len(self.tasks)


class ScoringThread(Generic[Task, Result]):
    """Scores the tasks of several requests together, and runs other functions in the same thread.

    score: n tasks -> n results; called in this thread alone, as are the functions given to `run`.
    most_waiting: limit of the queue, in tasks. All methods belong to the event loop that runs when
    it is made.
    """

    def __init__(self, score: Callable[[list[Task]], list[Result]], most_waiting: int) -> None:
        self._score, self._most_waiting = score, most_waiting
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Queued[Task]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        # Size of the last batch.
        self._last_size = 0
        # Number of tasks without a result, and seconds that AT_ONCE of them take, a running mean;
        # changed in the event loop alone.
        self.waiting = 0
        self._batch_seconds = 0.0
        self._thread = threading.Thread(target=self._work, name="scoring", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether another task would be accepted."""
        try:
            self.check_room()
        except RequestRefused:
            return False
        return self._thread.is_alive()

    def check_room(self, tasks: int = 1) -> None:
        """Raise RequestRefused (503) if so many tasks more are too many.

        More than the queue's limit are accepted while the queue is empty.
        """
        if self._stopping:
            raise RequestRefused(503, "the service is being stopped", retry_after=5)
        seconds = self.waiting / AT_ONCE * self._batch_seconds
        if self.waiting and (self.waiting + tasks > self._most_waiting or seconds > MOST_SECONDS):
            raise RequestRefused(503, f"{self.waiting} transactions wait already", retry_after=1)

    def submit(self, tasks: Sequence[Task]) -> "asyncio.Future[list[Result]]":
        """A future of the results of some tasks. Raises RequestRefused as `check_room`."""
        self.check_room(len(tasks))
        return self._put(len(tasks), tasks=tasks)

    def run(self, function: Callable[[], Any], tasks: int = 0) -> asyncio.Future:
        """Call a function between two batches; a future of what it returns or raises.

        tasks: so many it takes the time of. Raises RequestRefused as `check_room`, if there are
        any; without, it is never refused.
        """
        if tasks:
            self.check_room(tasks)
        return self._put(tasks, function=function)

    async def stop(self) -> None:
        """Score what is queued, accept nothing more, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _put(self, counted: int, **entry: Any) -> asyncio.Future:
        queued: _Queued[Task] = _Queued(self._loop.create_future(), counted, **entry)
        self.waiting += counted
        with self._changed:
            self._queue.append(queued)
            self._changed.notify()
        return queued.future

    def _work(self) -> None:
        """In the thread, as are the next two methods."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping)
                if not self._queue:
                    return
                batch = self._take()
            started = time.perf_counter()
            results = self._results(batch)
            seconds = time.perf_counter() - started
            self._loop.call_soon_threadsafe(self._resolve, batch, results, seconds)

    def _take(self) -> list[_Queued[Task]]:
        """The next function to call by itself, or the requests of the next batch."""
        # As many tasks as the last batch had are likely to come.
        expected = min(self._last_size, AT_ONCE)
        self._changed.wait_for(
            lambda: self._stopping or sum(queued.size for queued in self._queue) >= expected,
            _GATHERED_SECONDS,
        )
        batch = [self._queue.popleft()]
        size = batch[0].size
        while self._queue and size + self._queue[0].size <= AT_ONCE:
            batch.append(self._queue.popleft())
            size += batch[-1].size
        if not batch[0].function:
            self._last_size = size
        return batch

    def _results(self, batch: Sequence[_Queued[Task]]) -> list[Any]:
        """The result of each entry of a batch, or the exception that it raises."""
        function = batch[0].function
        tasks = [task for request in batch for task in request.tasks]
        try:
            if function:
                return [function()]
            results = iter(self._score(tasks))
        except Exception as error:  # raised again where the future is awaited
            if len(batch) == 1:
                return [error]
            # One request is at fault; the others are scored by themselves.
            return [result for request in batch for result in self._results([request])]
        return [list(islice(results, len(request.tasks))) for request in batch]

    def _resolve(
        self, batch: Sequence[_Queued[Task]], results: Sequence[Any], seconds: float
    ) -> None:
        """In the event loop."""
        counted = sum(queued.counted for queued in batch)
        if counted:
            # A batch that was not full is taken to last as long as a full one.
            full = seconds * AT_ONCE / max(counted, AT_ONCE)
            weight = _WEIGHT if self._batch_seconds else 1.0
            self._batch_seconds += weight * (full - self._batch_seconds)
        for queued, result in zip(batch, results, strict=True):
            self.waiting -= queued.counted
            if queued.future.done():
                continue  # the client disconnected or its request timed out
            if isinstance(result, Exception):
                queued.future.set_exception(result)
            else:
                queued.future.set_result(result)
