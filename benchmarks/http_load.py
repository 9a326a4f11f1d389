"""A client that asks a service as fast as wanted, over a few connections that stay open."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Question:
    """A transaction, and whom it must not overtake: its customer and its terminal."""

    body: bytes
    keys: frozenset[str]


@dataclass
class Asked:
    """status: of HTTP. answer: its JSON. seconds: from when it could be asked to the answer."""

    status: int
    answer: Any
    seconds: float


def question(transaction: dict[str, Any]) -> Question:
    """The question about a transaction, plain values by canonical name."""
    keys = {
        f"{name} {transaction[name]}"
        for name in ("customer_id", "terminal_id")
        if transaction.get(name) is not None
    }
    return Question(json.dumps(transaction).encode(), frozenset(keys))


def ask(
    host: str,
    port: int,
    questions: Sequence[Question],
    *,
    connections: int,
    per_second: float | None = None,
    key: str | None = None,
) -> tuple[list[Asked], float]:
    """Post every question to `/score` and return what was answered, in order, and the seconds.

    per_second: open loop: each question is due at its time, however slow the answers are, and its
    seconds count from then. None: closed loop, each connection asks again as soon as it can. Two
    transactions of the same customer or terminal are never on their way together, because they
    could arrive in another order than that of their times: the seconds of the second one count from
    the answer to the first.
    """
    run = _Run(questions, connections, per_second)
    return asyncio.run(run.all(host, port, key))


class _Run:
    def __init__(
        self, questions: Sequence[Question], connections: int, per_second: float | None
    ) -> None:
        self._questions, self._number, self._rate = questions, connections, per_second
        self._left = list(range(len(questions)))[::-1]
        self._held: list[int] = []
        self._busy: set[str] = set()
        # When the last one of each key was answered.
        self._answered: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._answers: list[Asked | None] = [None] * len(questions)

    async def all(self, host: str, port: int, key: str | None) -> tuple[list[Asked], float]:
        streams = [await asyncio.open_connection(host, port) for _ in range(self._number)]
        self._head = f"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        if key is not None:
            self._head += f"X-API-Key: {key}\r\n"
        self._started = time.perf_counter()
        await asyncio.gather(*(self._connection(*stream) for stream in streams))
        seconds = time.perf_counter() - self._started
        for _, writer in streams:
            writer.close()
        assert all(self._answers)
        return self._answers, seconds  # type: ignore[return-value]

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self._left or self._held:
            number, wait = self._next()
            if number is None:
                self._changed.clear()
                try:
                    async with asyncio.timeout(wait):
                        await self._changed.wait()
                except TimeoutError:
                    pass
                continue
            question = self._questions[number]
            self._busy |= question.keys
            due = time.perf_counter() if self._rate is None else self._due(number)
            due = max(due, *(self._answered.get(key, 0.0) for key in question.keys))
            head = f"{self._head}Content-Length: {len(question.body)}\r\n\r\n"
            writer.write(head.encode() + question.body)
            status, answer = await _response(reader)
            self._answers[number] = Asked(status, answer, time.perf_counter() - due)
            self._busy -= question.keys
            self._answered |= dict.fromkeys(question.keys, time.perf_counter())
            self._changed.set()

    def _due(self, number: int) -> float:
        return self._started + number / (self._rate or 1.0)

    def _next(self) -> tuple[int | None, float | None]:
        """A question that may be asked now, or how long to wait for one."""
        blocked = set(self._busy)
        for place, number in enumerate(self._held):
            keys = self._questions[number].keys
            if not keys & blocked:
                return self._held.pop(place), None
            blocked |= keys
        while self._left:
            number = self._left[-1]
            if self._rate is not None:
                early = self._due(number) - time.perf_counter()
                if early > 0:
                    return None, early
            self._left.pop()
            keys = self._questions[number].keys
            if not keys & blocked:
                return number, None
            self._held.append(number)
            blocked |= keys
            if len(self._held) > 200:
                break
        return None, None


async def _response(reader: asyncio.StreamReader) -> tuple[int, Any]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return status, json.loads(await reader.readexactly(length))
