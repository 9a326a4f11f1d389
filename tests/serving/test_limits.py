"""What is too much, too slow or no transaction at all: refused, and nothing else happens."""

import concurrent.futures
import json
import socket
import time

import pytest

from tests.serving.running import KEY, plain


@pytest.fixture(scope="module")
def rows(validation):
    return plain(validation, "L")


def raw(service, request: bytes, shut: bool = False) -> bytes:
    """What a socket gets for some bytes."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(request)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
            if not shut and b"\r\n\r\n" in b"".join(parts):
                break
    return b"".join(parts)


def test_a_body_that_is_too_large_is_refused_announced_or_not(shared):
    body = b"[" + b" " * 3_000_000 + b"]"
    announced = shared.ask("POST", "/score", data=body)
    assert announced.status_code == 413
    assert announced.json() == {"error": "the body is larger than 1,000,000 bytes"}
    chunked = shared.ask("POST", "/score", data=iter([body[:700_000], body[700_000:1_400_000]]))
    assert chunked.status_code == 413
    assert shared.get("/health").ok


def test_a_list_that_is_too_long_or_has_a_bad_transaction_is_refused_whole(shared, rows):
    before = shared.stored
    refused = shared.post("/score", rows[:51])
    assert refused.status_code == 413
    assert refused.json() == {"error": "51 in one request; at most 50"}
    labels = [{"transaction_id": "x", "is_fraud": True}] * 51
    assert shared.post("/label", labels).status_code == 413
    refused = shared.post("/score", [*rows[:3], {**rows[3], "amount": -5}])
    assert refused.status_code == 422
    assert refused.json()["field"] == "3.amount"
    assert shared.stored == before


@pytest.mark.slow
def test_too_many_at_once_are_asked_to_come_back(serve, rows):
    service = serve("--max-waiting", "3")
    parts = [rows[start : start + 75] for start in range(0, 600, 75)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda part: service.post("/score", part), parts))
    assert {response.status_code for response in responses} == {200, 503}
    for response in responses:
        if response.status_code == 503:
            assert response.headers["retry-after"] == "1"
            assert "wait already" in response.json()["error"]
    # Whoever comes back is answered, each once.
    for part in parts:
        assert len(service.post("/score", part).json()) == len(part)
    assert service.stored == 600


@pytest.mark.slow
def test_what_takes_too_long_is_answered_when_asked_again(serve, validation):
    service = serve(
        *("--timeout", "0.2", "--max-body", "9000000", "--max-batch", "4000", "--max-waiting", "9")
    )
    body = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    assert raw(service, body).startswith(b"HTTP/1.1 408 ")
    rows = plain(validation) * 5
    rows = [{**row, "transaction_id": f"Q{n}"} for n, row in enumerate(rows)][:4000]
    late = service.post("/score", rows)
    assert late.status_code == 503
    assert late.headers["retry-after"] == "1"
    assert "not answered within 0.2 seconds" in late.json()["error"]
    until = time.monotonic() + 60
    while (retried := service.post("/score", rows[0])).status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert retried.json()["repeated"]
    assert service.stored == 4000


NASTY = [
    *(b"", b" ", b"null", b"true", b"0", b"-", b'"text"', b"{", b"}", b"[", b"]", b"[[]]", b"{}"),
    *(b"[{}]", b"[null]", b"NaN", b"[NaN]", b"Infinity", b"-Infinity", b"1e999", b"[1e999]"),
    *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b'"\\ud800"', b"'single'", b"{'a': 1}", b"// hello"),
    *(b"[1,]", b'{"a": 1,}', b'{"a" 1}', b"[" * 100_000, b'{"a":' * 5000, b"9" * 5000),
    *(b"<xml/>", b"a=1&b=2", b"--boundary\r\n\r\n", b"\x1f\x8b\x08\x00", b"\xef\xbb\xbf{}"),
    *(b'{"__proto__": 1}', b'{"transaction_id": {"$ne": 1}}', b'[{"transaction_id": []}]'),
]
ODD_BUT_RIGHT = [
    {"transaction_id": "nul \x00 and \u2028 and \U0001f600"},
    {"customer_id": "'; DROP TABLE transactions; --"},
    {"customer_id": -7},
    {"terminal_id": True},
    {"amount": 0},
    {"amount": -0.0},
    {"amount": 1e-320},
    {"amount": 1e15},
    {"timestamp": "1900-01-01"},
    {"device": "<script>alert(1)</script>"},
    {"device": None, "quantity": None, "customer_age": None, "terminal_id": None},
    {"__proto__": {"amount": 1}, "constructor": None, "": 0},
]


@pytest.mark.parametrize("path", ["/score", "/label"])
def test_nothing_nasty_is_an_error_of_the_service(shared, path):
    for body in NASTY:
        response = shared.ask("POST", path, data=body)
        assert response.status_code in (400, 413, 422), (body[:40], response.text)
        assert set(response.json()) <= {"error", "field"}
        assert len(response.text) < 2000
    assert "the body is not JSON" in shared.ask("POST", path, data=b"[NaN]").json()["error"]


def test_odd_values_that_are_allowed_are_scored(shared, rows):
    odd = [
        {**rows[1], "transaction_id": f"odd {number}", **change}
        for number, change in enumerate(ODD_BUT_RIGHT)
    ]
    results = shared.post("/score", odd).json()
    assert [one["transaction_id"] for one in results] == [row["transaction_id"] for row in odd]
    assert all(one["repeated"] for one in shared.post("/score", odd).json())


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%00%ff/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /pages/../app.py HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /pages/%2e%2e/app.py HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_hardly_http_is_refused(shared, request_):
    request_ = request_.replace(b"Host: x", b"Host: x\r\nX-API-Key: " + KEY.encode())
    response = raw(shared, request_, shut=True)
    assert response.startswith(b"HTTP/1.1 4") or response == b""
    assert b"Traceback" not in response
    assert b"import" not in response
    assert shared.get("/health").ok


def test_a_client_that_goes_away_harms_nobody(shared, rows):
    body = json.dumps(rows[2]).encode()
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Length: %d\r\n\r\n"
    head %= (KEY.encode(), len(body))
    for sent in (head, head + body[:50], head + body):
        with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as connection:
            connection.sendall(sent)
    assert shared.post("/score", rows[3]).status_code == 200
