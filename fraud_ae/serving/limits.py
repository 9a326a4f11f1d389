"""Limits on requests: their size, their number and their duration."""

import asyncio
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from fraud_ae.serving.errors import RequestRefused

# A body that is too large is read up to so many times the limit, so that the client gets the error.
_MOST_DISCARDED = 64


@dataclass(frozen=True)
class Limits:
    """max_body: bytes. max_batch: transactions of a request. max_waiting: those in the queue.

    timeout: seconds, for the body to arrive and, again, for its results. max_connections: open ones
    in all, and max_per_address: those from one address.
    """

    max_body: int
    max_batch: int
    max_waiting: int
    timeout: float
    max_connections: int
    max_per_address: int


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body of a request, with or without a Content-Length.

    Raises RequestRefused: 413 if it is too large, 408 if it does not arrive in time.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.timeout):
            async for part in request.stream():
                size += len(part)
                if size <= limits.max_body:
                    parts.append(part)
                elif size > _MOST_DISCARDED * limits.max_body:
                    break
                else:
                    parts.clear()
    except TimeoutError:
        message = f"the body did not come within {limits.timeout:g} seconds"
        raise RequestRefused(408, message) from None
    except ClientDisconnect:
        raise RequestRefused(400, "the client went away") from None
    if size > limits.max_body:
        raise RequestRefused(413, f"the body is larger than {limits.max_body:,} bytes")
    return b"".join(parts)
