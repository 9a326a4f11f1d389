"""The thread that scores: order, what waits, and one request at fault."""

import asyncio
import threading

import pytest

from fraud_ae.serving.batching import AT_ONCE, ScoringThread
from fraud_ae.serving.errors import RequestRefused


class Slow:
    """Answers a task with its double, once it may; remembers what came together."""

    def __init__(self) -> None:
        self.may, self.began = threading.Event(), threading.Event()
        self.batches: list[list] = []

    def __call__(self, tasks: list) -> list:
        self.began.set()
        assert self.may.wait(10)
        self.batches.append(tasks)
        if "bad" in tasks:
            raise ValueError("bad")
        return [2 * task for task in tasks]


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))


async def held(slow: Slow, thread: ScoringThread):
    """A first request that keeps the thread busy until `slow.may` is set."""
    first = thread.submit([0])
    await asyncio.to_thread(slow.began.wait, 10)
    return first


def test_what_waits_is_answered_together_in_its_order():
    async def scenario():
        slow = Slow()
        thread = ScoringThread(slow, most_waiting=1000)
        first = await held(slow, thread)
        others = [thread.submit([number, number]) for number in range(1, 5)]
        slow.may.set()
        assert await first == [0]
        assert [await other for other in others] == [[2 * n, 2 * n] for n in range(1, 5)]
        assert slow.batches == [[0], [1, 1, 2, 2, 3, 3, 4, 4]]
        assert thread.waiting == 0
        await thread.stop()

    run(scenario)


def test_a_long_list_does_not_wait_for_company():
    async def scenario():
        slow = Slow()
        thread = ScoringThread(slow, most_waiting=1000)
        await held(slow, thread)
        answers = [thread.submit([1] * (AT_ONCE - 1)), thread.submit([2, 2]), thread.submit([3])]
        slow.may.set()
        await asyncio.gather(*answers)
        assert [len(batch) for batch in slow.batches] == [1, AT_ONCE - 1, 3]
        await thread.stop()

    run(scenario)


def test_one_at_fault_fails_alone():
    async def scenario():
        slow = Slow()
        thread = ScoringThread(slow, most_waiting=1000)
        await held(slow, thread)
        good, bad, other = (thread.submit([task]) for task in (1, "bad", 3))
        slow.may.set()
        assert await good == [2]
        assert await other == [6]
        with pytest.raises(ValueError, match="bad"):
            await bad
        await thread.stop()

    run(scenario)


def test_too_many_are_told_to_come_back_and_a_long_list_is_taken_alone():
    async def scenario():
        slow = Slow()
        thread = ScoringThread(slow, most_waiting=3)
        first = await held(slow, thread)
        second = thread.submit([1, 2])
        assert not thread.ready
        with pytest.raises(RequestRefused, match="3 transactions wait already") as refused:
            thread.submit([3])
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        slow.may.set()
        await asyncio.gather(first, second)
        assert thread.ready
        assert await thread.submit([1] * 5) == [2] * 5
        await thread.stop()

    run(scenario)


def test_a_call_runs_between_what_came_before_it_and_after():
    async def scenario():
        slow, seen = Slow(), []
        thread = ScoringThread(slow, most_waiting=1000)
        await held(slow, thread)
        before = thread.submit([1])
        call = asyncio.ensure_future(thread.run(lambda: seen.extend(slow.batches)))
        await asyncio.sleep(0)
        after = thread.submit([2])
        slow.may.set()
        await asyncio.gather(before, call, after)
        assert seen == [[0], [1]]
        with pytest.raises(ZeroDivisionError):
            await thread.run(lambda: 1 / 0)
        await thread.stop()

    run(scenario)


def test_what_waits_is_answered_before_the_end_and_nothing_is_taken_after_it():
    async def scenario():
        slow = Slow()
        thread = ScoringThread(slow, most_waiting=1000)
        first = await held(slow, thread)
        second = thread.submit([1])
        stopped = asyncio.ensure_future(thread.stop())
        await asyncio.sleep(0.01)
        with pytest.raises(RequestRefused, match="being stopped"):
            thread.submit([2])
        slow.may.set()
        await stopped
        assert [await first, await second] == [[0], [2]]
        assert not thread.ready

    run(scenario)


def test_whoever_left_is_not_waited_for():
    async def scenario():
        slow = Slow()
        thread = ScoringThread(slow, most_waiting=1000)
        first = await held(slow, thread)
        first.cancel()
        slow.may.set()
        assert await thread.submit([4]) == [8]
        assert thread.waiting == 0
        await thread.stop()

    run(scenario)
