"""The scoring thread: order, the queue, and one request at fault."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from fraud_ae.serving.batching import AT_ONCE, MOST_SECONDS, ScoringThread
from fraud_ae.serving.errors import RequestRefused

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Doubling:
    """Results in the double of each task, once it may; remembers the batches."""

    def __init__(self) -> None:
        self.may_go_on, self.began = threading.Event(), threading.Event()
        self.batches: list[list] = []

    def __call__(self, tasks: list) -> list:
        self.began.set()
        assert self.may_go_on.wait(10)
        self.batches.append(tasks)
        if "bad" in tasks:
            raise ValueError("bad")
        return [2 * task for task in tasks]


@pytest.fixture
def score() -> Doubling:
    return Doubling()


@pytest.fixture
async def thread(score) -> AsyncIterator[ScoringThread]:
    """One that is busy with a first task."""
    thread = ScoringThread(score, most_waiting=100)
    thread.first = thread.submit([0])
    await asyncio.to_thread(score.began.wait, 10)
    yield thread
    await thread.stop()
    assert thread.waiting == 0
    assert not thread.ready


async def test_queued_requests_are_scored_together_in_their_order(score, thread):
    others = [thread.submit([number, number]) for number in range(1, 5)]
    score.may_go_on.set()
    assert await thread.first == [0]
    assert [await other for other in others] == [[2 * n, 2 * n] for n in range(1, 5)]
    assert score.batches == [[0], [1, 1, 2, 2, 3, 3, 4, 4]]


async def test_a_batch_has_a_limit(score, thread):
    results = [thread.submit([1] * (AT_ONCE - 1)), thread.submit([2, 2]), thread.submit([3])]
    score.may_go_on.set()
    await asyncio.gather(*results)
    assert [len(batch) for batch in score.batches] == [1, AT_ONCE - 1, 3]


async def test_one_at_fault_fails_alone(score, thread):
    good, bad, other = (thread.submit([task]) for task in (1, "bad", 3))
    score.may_go_on.set()
    assert [await good, await other] == [[2], [6]]
    with pytest.raises(ValueError, match="bad"):
        await bad


async def test_a_full_queue_refuses_more_and_an_empty_one_takes_a_long_list(score, thread):
    second = thread.submit([1] * 99)
    assert not thread.ready
    with pytest.raises(RequestRefused, match="100 transactions wait already") as refused:
        thread.submit([3])
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
    score.may_go_on.set()
    await asyncio.gather(thread.first, second)
    assert thread.ready
    assert await thread.submit([1] * 150) == [2] * 150


async def test_a_function_runs_between_what_came_before_it_and_after(score, thread):
    before = thread.submit([1])
    batches = thread.run(score.batches.copy)
    after = thread.submit([2])
    score.may_go_on.set()
    assert await batches == [[0], [1]]
    assert [await before, await after] == [[2], [4]]
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 / 0)


async def test_what_is_queued_is_scored_before_the_end_and_nothing_more_accepted(score, thread):
    second = thread.submit([1])
    stopped = asyncio.ensure_future(thread.stop())
    await asyncio.sleep(0.01)
    with pytest.raises(RequestRefused, match="being stopped"):
        thread.submit([2])
    score.may_go_on.set()
    await stopped
    assert [await thread.first, await second] == [[0], [2]]


async def test_a_client_that_left_is_not_waited_for(score, thread):
    thread.first.cancel()
    score.may_go_on.set()
    assert await thread.submit([4]) == [8]


async def test_functions_that_count_are_refused_where_too_many_wait(score, thread):
    second = thread.run(lambda: "done", tasks=98)
    assert thread.waiting == 99
    with pytest.raises(RequestRefused, match="99 transactions wait already"):
        thread.run(lambda: None, tasks=2)
    # What the service itself needs is called all the same.
    third = thread.run(lambda: "reloaded")
    score.may_go_on.set()
    assert [await second, await third] == ["done", "reloaded"]


@pytest.mark.slow
async def test_twice_what_it_can_do_is_refused_above_a_second_of_waiting():
    full_seconds = 0.05
    per_second = 2 * AT_ONCE / full_seconds

    def slow(tasks: list) -> list:
        time.sleep(full_seconds * max(len(tasks) / AT_ONCE, 0.5))
        return tasks

    thread = ScoringThread(slow, most_waiting=1_000_000)
    await thread.submit([1])
    refused, longest, futures = 0, 0, []
    started, sent = time.monotonic(), 0
    while (now := time.monotonic()) < started + 5:
        due = int((now - started) * per_second)
        for _ in range(due - sent):
            try:
                futures.append(thread.submit([1]))
            except RequestRefused:
                refused += 1
        longest = max(longest, thread.waiting)
        sent = due
        await asyncio.sleep(0.005)
    assert refused > 0.2 * sent
    assert futures
    # A second of batches that take at least half of the time of full ones.
    assert longest <= MOST_SECONDS * AT_ONCE / (full_seconds / 2) + 1
    assert await asyncio.gather(*futures) == [[1]] * len(futures)
    assert thread.ready
    await thread.stop()
