"""A client that asks a service as fast as wanted, over a few connections that stay open."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# So many questions wait at most: for a connection, or for an answer that they must not overtake.
_MOST_WAITING = 200


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
    ports: int | Sequence[int],
    questions: Sequence[Question],
    *,
    connections: int,
    per_second: float | None = None,
    key: str | None = None,
) -> tuple[list[Asked], float]:
    """Post every question to `/score` and return what was answered, in order, and the seconds.

    ports: of one service, or of several over which the connections are spread. One that ends is
    asked no more, and what it has not answered is asked of the others, as a load balancer does.
    per_second: open loop: each question is due at its time, however slow the answers are, and its
    seconds count from then. None: closed loop, each connection asks again as soon as it can. Two
    transactions of the same customer or terminal are never on their way together, because they
    could arrive in another order than that of their times: the seconds of the second one count from
    the answer to the first.
    """
    head = f"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    if key is not None:
        head += f"X-API-Key: {key}\r\n"
    addresses = [(host, port) for port in ([ports] if isinstance(ports, int) else ports)]
    return asyncio.run(_ask_all(addresses, head, questions, connections, per_second))


async def _ask_all(
    addresses: Sequence[tuple[str, int]],
    head: str,
    questions: Sequence[Question],
    connections: int,
    per_second: float | None,
) -> tuple[list[Asked], float]:
    streams = [
        await asyncio.open_connection(*addresses[number % len(addresses)])
        for number in range(connections)
    ]
    free: asyncio.Queue = asyncio.Queue()
    for stream in streams:
        free.put_nowait(stream)
    waiting = asyncio.Semaphore(_MOST_WAITING)

    async def ask_one(question: Question, earlier: set[asyncio.Task], due: float) -> Asked:
        if earlier:
            await asyncio.wait(earlier)
            due = max(due, time.perf_counter())
        message = f"{head}Content-Length: {len(question.body)}\r\n\r\n".encode() + question.body
        while True:
            reader, writer = await free.get()
            if per_second is None:
                due = time.perf_counter()
            try:
                writer.write(message)
                status, answer = await _response(reader)
                break
            except (OSError, asyncio.IncompleteReadError):
                writer.close()
                streams.remove((reader, writer))
                if not streams:
                    raise
        seconds = time.perf_counter() - due
        free.put_nowait((reader, writer))
        waiting.release()
        return Asked(status, answer, seconds)

    tasks: list[asyncio.Task] = []
    # The last question about each customer and terminal.
    last: dict[str, asyncio.Task] = {}
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, question in enumerate(questions):
            due = started + number / per_second if per_second else started
            await asyncio.sleep(due - time.perf_counter())
            await waiting.acquire()
            earlier = {last[key] for key in question.keys if key in last and not last[key].done()}
            tasks.append(group.create_task(ask_one(question, earlier, due)))
            last |= dict.fromkeys(question.keys, tasks[-1])
    seconds = time.perf_counter() - started
    for _, writer in streams:
        writer.close()
    return [task.result() for task in tasks], seconds


async def _response(reader: asyncio.StreamReader) -> tuple[int, Any]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return status, json.loads(await reader.readexactly(length))
