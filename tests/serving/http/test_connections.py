"""Connections without a key: half a request, an endless one, or too many; others are answered."""

import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

import pytest

from tests.serving.running import KEY, RunningService

HALF = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "
GET = b"GET %s HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n"


def connected(service: RunningService) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=60)


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def send_on(service: RunningService, begin: bytes, more: bytes, most: int) -> bytes:
    """Sends the same again and again up to so many bytes; the answer."""
    with connected(service) as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(begin)
            for _ in range(most // len(more)):
                connection.sendall(more)
        return received(connection)


def until(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.promise("A4")
@pytest.mark.slow
def test_half_a_head_is_given_up_after_ten_seconds(shared):
    """However it is drawn out: nothing at all, half a line, a letter or a blank line at a time."""
    with ExitStack() as stack:
        begun = time.monotonic()
        silent, half, letters, blanks = (stack.enter_context(connected(shared)) for _ in range(4))
        half.sendall(HALF)
        letters.sendall(HALF)
        for _ in range(12):
            time.sleep(1)
            with suppress(OSError):
                letters.sendall(b"a")
            with suppress(OSError):
                blanks.sendall(b"\r\n")
        for connection in (silent, half, letters, blanks):
            assert received(connection).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert time.monotonic() - begun < 60


@pytest.mark.slow
def test_after_an_answer_half_a_head_or_a_body_that_drips_is_given_up_too(shared):
    unread = b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with connected(shared) as head, connected(shared) as body:
        head.sendall(GET % (b"/health", KEY.encode()) + HALF)
        body.sendall(unread)
        for _ in range(14):
            time.sleep(1)
            for connection in (head, body):
                with suppress(OSError):
                    connection.sendall(b"a")
        for connection in (head, body):
            answers = received(connection)
            assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"HTTP/1.1 408 " in answers


@pytest.mark.slow
def test_an_answer_that_nobody_takes_is_given_up(shared):
    """More of them than the system keeps for a socket."""
    before = shared.connections
    with connected(shared) as connection:
        connection.sendall(GET % (b"/swagger/swagger-ui-bundle.js", KEY.encode()) * 20)
        time.sleep(1)
        assert shared.connections == before + 1
        until(lambda: shared.connections == before)


@pytest.mark.promise("A4")
@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (HALF, b"a" * 60_000),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n" * 5000),
        (b"GET /", b"a" * 60_000),
        (b"\r\n" * 9000, b"\r\n" * 9000),
        (b"POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 5000),
        (b"POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", b"a" * 60_000),
        (b"POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 60_000),
    ],
    ids=["header", "headers", "url", "blanks", "trailers", "trailer", "extension"],
)
def test_an_endless_head_is_refused_and_takes_no_memory(shared, begin, more):
    begin = begin.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nX-API-Key: %s\r\n" % KEY.encode())
    shared.get("/health")
    before = shared.memory
    answer = send_on(shared, begin, more, 60_000_000)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b'{"error":' in answer
    assert shared.memory - before < 20_000_000
    started = time.monotonic()
    assert shared.get("/health").ok
    assert time.monotonic() - started < 2


def test_a_hundred_headers_of_sixteen_thousand_bytes_are_taken(shared):
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 150) for number in range(98))
    with connected(shared) as connection:
        request = b"GET /health HTTP/1.1\r\nHost: x\r\n%sConnection: close\r\n\r\n" % headers
        assert 15_000 < len(request) < 16_384
        for start in range(0, len(request), 1000):
            connection.sendall(request[start : start + 1000])
        assert received(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_many_requests_in_one_packet_do_not_hold_up_others(shared):
    requests = GET % (b"/openapi.json", KEY.encode()) * 1500
    with connected(shared) as connection:
        connection.sendall(requests)
        seconds = []
        for _ in range(20):
            started = time.monotonic()
            assert shared.get("/health").ok
            seconds.append(time.monotonic() - started)
        assert sorted(seconds)[10] < 0.5
        # Each is answered, in its turn, while the client takes the answers.
        rest, count = b"", 0
        while count < 1500:
            part = rest + connection.recv(1 << 20)
            count += part.count(b"HTTP/1.1 200 OK\r\n")
            rest = part[-16:] if not part.endswith(b"\r\n") else b""


@pytest.mark.slow
def test_too_many_connections_from_one_address_are_refused_until_some_go(serve):
    service = serve("--max-per-address", "20")
    with ExitStack() as stack:
        held = [stack.enter_context(connected(service)) for _ in range(20)]
        for connection in held:
            connection.sendall(HALF)
        refused = stack.enter_context(connected(service))
        answer = received(refused)
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"retry-after: 1\r\n" in answer.lower()
        assert b"20 connections from 127.0.0.1 already" in answer
        # Those that only wait give way to whoever asks, before their time is up.
        time.sleep(1.5)
        with connected(service) as other:
            other.sendall(GET % (b"/health", b"-"))
            assert other.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def soon_between(service: RunningService, fewest: int, most: int) -> bool:
    """Whether so many connections are there within some seconds: accepting them takes its time."""
    for _ in range(25):
        if fewest <= service.connections <= most:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.promise("A4")
@pytest.mark.slow
def test_few_files_are_not_used_up_by_connections(model, tmp_path):
    """Of 1,400 half requests, none is there after 25 s, and the service is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4000), hard), hard))
    limited = ["bash", "-c", 'ulimit -n 1024; exec "$@"', "-", sys.executable, "-m", "fraud_ae"]
    service = RunningService(model, tmp_path, "--max-per-address", "5000", command=limited)
    try:
        with ExitStack() as stack:
            for _ in range(1400):
                with suppress(OSError):
                    stack.enter_context(connected(service)).sendall(HALF)
            assert soon_between(service, 0, 800 + 32)
            time.sleep(1.5)
            # It was accepted after all of them.
            assert service.get("/health").ok
            time.sleep(25)
            assert service.connections <= 1
            assert service.get("/health").ok
        assert "Too many open files" not in service.printed
    finally:
        service.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_a_low_limit_of_files_is_said_and_kept(model, tmp_path):
    def limited(files: int) -> list[str]:
        start = f'ulimit -n {files}; exec "$@"'
        return ["bash", "-c", start, "-", sys.executable, "-m", "fraud_ae"]

    service = RunningService(model, tmp_path, command=limited(200))
    try:
        with ExitStack() as stack:
            for _ in range(300):
                with suppress(OSError):
                    stack.enter_context(connected(service)).sendall(HALF)
            assert soon_between(service, 60, 72 + 32)
            time.sleep(1.5)
            assert service.get("/health").ok
    finally:
        ended = service.stop()
    assert ended == 0
    assert "at most 72 connections, not 800" in service.printed
    assert "Too many open files" not in service.printed
    refused = subprocess.run(
        [*limited(100), "serve", f"--model={model}", "--port", "0"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert refused.returncode == 2
    assert "raise it with ulimit -n" in refused.stderr
