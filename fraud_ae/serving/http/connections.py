"""Limits on connections, below HTTP: their number, their time, and the size of what comes.

Uvicorn bounds neither the time nor the size of a request's head, so that anybody could hold its
connections and its memory without a key. This protocol does, and refuses with 408, 431 or 503.
"""

import asyncio
import http
import logging
from collections import Counter
from ipaddress import IPv6Address
from typing import Any

import httptools
from pydantic_core import to_json
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fraud_ae.errors import UserError
from fraud_ae.serving.errors import RequestRefused

try:
    import resource
except ImportError:  # Windows counts no files
    resource = None  # type: ignore[assignment]

log = logging.getLogger("fraud_ae")

# Of a request's line and headers, and of anything else that is no body.
MOST_HEAD_BYTES = 16_384
MOST_HEADERS = 100
# For a head to come whole, and for a client to take an answer.
SECONDS = 10.0
# A refused client is listened to for a moment: closed at once, it would lose the answer that says
# why. So many at once, and no more bytes than this, or the connection is closed.
_LINGER_SECONDS, _MOST_LINGERING, _MOST_DISCARDED = 1.0, 32, 1_000_000
# A waiting connection of this age gives way to a new one where there are too many.
_GIVES_WAY_SECONDS = 1.0
_SWEPT_SECONDS = 0.5
# Bytes are parsed in parts of this size, to count what one head takes, and so that a connection
# with hundreds of requests in one packet has a few of them parsed at a time.
_PART = 4096
# Files and sockets that a service needs beside its connections.
_OTHER_FILES = 128


def affordable(connections: int) -> int:
    """So many connections, or fewer where the process may not open as many files.

    Raises UserError where hardly any is left.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else None
    if files is None or files in (resource.RLIM_INFINITY, -1):
        return connections
    most = files - _OTHER_FILES
    if most < 1:
        raise UserError(
            f"the limit of open files is {files}; a service needs more than {_OTHER_FILES}: "
            "raise it with ulimit -n"
        )
    if most < connections:
        log.warning(
            "at most %d connections, not %d: the limit of open files (ulimit -n) is %d",
            *(most, connections, files),
        )
    return min(most, connections)


class Connections:
    """The open connections of one server. most: in all. most_per_address: from one address."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most, self._most_per_address = most, most_per_address
        self._open: dict[BoundedProtocol, str] = {}
        self._by_address: Counter[str] = Counter()
        self._no_way_until: dict[str | None, float] = {}
        self.lingering: set[BoundedProtocol] = set()
        self._sweeping = False

    def admit(self, connection: "BoundedProtocol", address: str) -> None:
        """Count a new connection. Raises RequestRefused (503) where there are too many."""
        self._sweep_from_now_on(connection.loop)
        here = self._by_address[address] >= self._most_per_address
        full = here or len(self._open) >= self._most
        if full and not self._make_way(address if here else None, connection.loop.time()):
            where = f"from {address}" if here else "here"
            most = self._most_per_address if here else self._most
            raise RequestRefused(503, f"{most} connections {where} already", retry_after=1)
        self._open[connection] = address
        self._by_address[address] += 1

    def _make_way(self, address: str | None, now: float) -> bool:
        """Close the one that has waited longest for a request; whether there is any.

        address: of those to choose from; None for all.
        """
        # Until then none was old enough, so that many that are refused cost no search.
        if now < self._no_way_until.get(address, now):
            return False
        among = (one for one, its in self._open.items() if address in (None, its))
        oldest = min(among, key=lambda one: one.waiting_since)
        if now < oldest.waiting_since + _GIVES_WAY_SECONDS:
            until = min(oldest.waiting_since, now) + _GIVES_WAY_SECONDS
            self._no_way_until[address] = until
            return False
        self.forget(oldest)
        oldest.abort()
        return True

    def forget(self, connection: "BoundedProtocol") -> None:
        """Count a connection no longer."""
        self.lingering.discard(connection)
        address = self._open.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
                self._no_way_until.pop(address, None)

    def _sweep_from_now_on(self, loop: asyncio.AbstractEventLoop) -> None:
        def sweep() -> None:
            for one in (*self._open, *self.lingering):
                one.check(loop.time())
            loop.call_later(_SWEPT_SECONDS, sweep)

        if not self._sweeping:
            self._sweeping = True
            loop.call_later(_SWEPT_SECONDS, sweep)


class _Flow(FlowControl):
    """Flow control that reads nothing more while what came has not been parsed."""

    held = False

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """One connection, for the argument `http` of uvicorn.Config, with `connections` bound to it."""

    def __init__(self, *arguments: Any, connections: Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._all = connections
        self._refused = False
        # When it began to wait for the head that is not whole; None while a request is answered.
        self._head_since: float | None = None
        # When the last answer was given, of a connection that waits for another request.
        self._idle_since: float | None = None
        self._blocked_since: float | None = None
        self._closing_since: float | None = None
        self._headers = self._head_bytes = self._discarded = 0
        self._progressed = self._in_body = False
        self._unparsed = b""
        # The request in progress; `cycle` is the one that was read last.
        self._answered: RequestResponseCycle | None = None

    @property
    def waiting_since(self) -> float:
        """Since when nothing is done for it; infinite while a request is answered."""
        times = [time for time in (self._idle_since, self._head_since) if time is not None]
        return min(times, default=float("inf"))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit it, or say why not."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._head_since = self.loop.time()
        try:
            self._all.admit(self, _address(self.client))
        except RequestRefused as refused:
            self._refuse(refused)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no longer, and drop what it sent."""
        self._all.forget(self)
        self._unparsed = b""
        self._answer_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, or keep it while earlier requests of this connection wait."""
        if self._refused:
            self._discarded += len(data)
            if self._discarded > _MOST_DISCARDED:
                self.abort()
            return
        if self._head_since is None and (self.cycle is None or self.cycle.response_complete):
            self._head_since = self.loop.time()
        self._unset_keepalive_if_required()
        self._unparsed += data
        self._parse()

    def _parse(self) -> None:
        rest, start = memoryview(self._unparsed), 0
        while start < len(rest) and not self.pipeline and not self._stopped:
            part = rest[start : start + _PART]
            start += len(part)
            self._parse_part(part)
        self._unparsed = b"" if self._stopped else bytes(rest[start:])
        self.flow.held = bool(self._unparsed)
        if self.flow.held:
            self.flow.pause_reading()

    @property
    def _stopped(self) -> bool:
        return self._refused or self.parser is None or self.transport.is_closing()

    def _parse_part(self, part: memoryview) -> None:
        self._progressed = False
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            pass  # answered as if it had not been asked for
        except httptools.HttpParserError as error:
            cause = error.__context__
            refused = cause if isinstance(cause, RequestRefused) else None
            self._refuse(refused or RequestRefused(400, "this is not HTTP"))
            return
        self._head_bytes = 0 if self._progressed else self._head_bytes + len(part)
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(
                RequestRefused(431, f"the headers are larger than {MOST_HEAD_BYTES:,} bytes")
            )

    def on_message_begin(self) -> None:
        """A request, or its trailers, may have MOST_HEADERS."""
        super().on_message_begin()
        self._headers = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the head or of a trailer."""
        self._headers += 1
        if self._headers > MOST_HEADERS:
            raise RequestRefused(431, f"more than {MOST_HEADERS} headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request is answered from here on."""
        self._progressed = self._in_body = True
        self._head_since = self._idle_since = None
        super().on_headers_complete()
        if not self.pipeline:
            self._answered = self.cycle

    def on_body(self, body: bytes) -> None:
        """What of it is too much, the application knows."""
        self._progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """What comes now is another request."""
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with what came meanwhile, after others had their turn."""
        if self.pipeline:
            self._answered = self.pipeline[-1][0]
            super().on_response_complete()
            return
        super().on_response_complete()
        self._idle_since = self.loop.time()
        if self._unparsed:
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._unparsed and not self.pipeline and not self._stopped:
            self._unset_keepalive_if_required()
            self._head_since = self._head_since or self.loop.time()
            self._parse()
            if not self.flow.held:
                self.flow.resume_reading()

    def pause_writing(self) -> None:
        """The client does not take the answer as fast as it is written."""
        super().pause_writing()
        self._blocked_since = self.loop.time()

    def resume_writing(self) -> None:
        """The client took it."""
        super().resume_writing()
        self._blocked_since = None

    def check(self, now: float) -> None:
        """Close it where it has kept the service waiting for too long."""
        if self.transport.is_closing() or self._refused:
            self._closing_since = self._closing_since or now
            if now - self._closing_since > (_LINGER_SECONDS if self._refused else SECONDS):
                self.abort()
        elif self._blocked_since is not None and now - self._blocked_since > SECONDS:
            self.abort()
        elif self._head_since is not None and now - self._head_since > SECONDS:
            self._refuse(RequestRefused(408, f"no request came within {SECONDS:g} seconds"))

    def abort(self) -> None:
        """Close it at once; what the application still answers is dropped."""
        self._answer_no_more()
        self.transport.abort()

    def _answer_no_more(self) -> None:
        # Uvicorn tells the request that was read last, which need not be the one in progress.
        for cycle in (self._answered, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _refuse(self, refused: RequestRefused) -> None:
        """Answer with an error, unless an earlier request waits for its answer, and close."""
        self._refused, self._unparsed = True, b""
        if self.cycle is not None and not self.cycle.response_complete:
            if self.pipeline or self.cycle.response_started or not self._in_body:
                self._answer_no_more()
                self.transport.close()
                return
            # Its own body or trailers are at fault: this is its answer.
            self._answer_no_more()
        body = to_json(refused.body)
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            **refused.headers,
        }
        lines = [f"HTTP/1.1 {refused.status} {http.HTTPStatus(refused.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.transport.write("\r\n".join([*lines, "\r\n"]).encode() + body)
        if len(self._all.lingering) < _MOST_LINGERING:
            self.transport.write_eof()
            self._all.lingering.add(self)
        else:
            self.transport.close()


def _address(client: tuple[str, int] | None) -> str:
    """The address that connections are counted by: of IPv6 the network of a customer, a /64."""
    host = client[0] if client else "a local socket"
    if ":" not in host:
        return host
    address = IPv6Address(host.split("%")[0])
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
