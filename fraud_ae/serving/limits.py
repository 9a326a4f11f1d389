"""What a service puts up with."""

import asyncio
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from fraud_ae.serving.refusals import Refused

# So much of a body that is too large is still taken from the client, so that it gets its answer.
_TAKEN = 64


@dataclass(frozen=True)
class Limits:
    """max_body: bytes. max_batch: transactions of a request. max_waiting: transactions that wait.

    timeout: seconds, for a body to come and for its answer to be there.
    """

    max_body: int
    max_batch: int
    max_waiting: int
    timeout: float


async def body_of(request: Request, limits: Limits) -> bytes:
    """The body of a request, whether or not its length was announced.

    Raises Refused, 413, where it is too large, and 408 where it does not come in time.
    """
    try:
        async with asyncio.timeout(limits.timeout):
            return await _read(request, limits.max_body)
    except TimeoutError:
        raise Refused(408, f"the body did not come within {limits.timeout:g} seconds") from None
    except ClientDisconnect:
        raise Refused(400, "the client went away") from None


async def _read(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
        elif size > _TAKEN * most:
            break
        else:
            parts.clear()
    if size > most:
        raise Refused(413, f"the body is larger than {most:,} bytes")
    return b"".join(parts)
