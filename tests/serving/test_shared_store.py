"""Several services answer from one history in a real PostgreSQL."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from benchmarks.http_load import ask, question
from fraud_ae.errors import UserError
from fraud_ae.serving.store import HistoryStore
from tests.commands import fraud_ae, run_cold
from tests.postgresql import PostgreSQL, needs_postgresql
from tests.serving.running import RunningService, plain
from tests.serving.test_replay import TOLERANCE
from tests.serving.test_store import append

pytestmark = [pytest.mark.scale, pytest.mark.slow, needs_postgresql]
Start = Callable[..., list[RunningService]]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@pytest.fixture
def password(server, monkeypatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def start(serve, server) -> Iterator[Start]:
    """Starts some services with one store."""
    started = []

    def starts(store: str, number: int, *options: str) -> list[RunningService]:
        new = [
            serve("--store", store, *options, environment=server.environment) for _ in range(number)
        ]
        started.extend(new)
        return new

    yield starts
    for service in started:
        service.stop()
        assert server.password not in service.printed


def test_the_period_in_turn_by_three_processes_is_scored_as_the_table(
    start, server, history, validation, batch_scores
):
    store = server.database("replay")
    services = start(store, 3, "--history", str(history))
    results = []
    for begin in range(0, len(validation), 40):
        part = validation.iloc[begin : begin + 40]
        for number, row in enumerate(plain(part.drop(columns="is_fraud"))):
            results.append(services[number % 3].post("/score", row).json())
        outcomes = part[["transaction_id", "is_fraud"]].to_dict("records")
        known = services[begin // 40 % 3].post("/label", outcomes).json()
        assert all(one["known"] for one in known)
    scores = np.array([one["score"] for one in results])
    assert np.abs(scores - batch_scores[-len(validation) :]).max() < TOLERANCE
    assert not any(one["repeated"] for one in results)
    assert len({service.stored for service in services}) == 1


def test_one_that_is_killed_under_load_loses_nothing(
    start, server, history, validation, batch_scores
):
    store = server.database("killed")
    services = start(store, 3, "--history", str(history))
    questions = [question(row) for row in plain(validation)]
    before = services[0].stored
    killer = threading.Timer(1.0, services[1].process.kill)
    killer.start()
    ports = [service.port for service in services]
    asked, _ = ask("127.0.0.1", ports, questions, connections=12)
    killer.join()
    assert services[1].process.wait(60) == -9
    assert {one.status for one in asked} == {200}
    scores = np.array([one.answer["score"] for one in asked])
    assert np.abs(scores - batch_scores[-len(validation) :]).max() < TOLERANCE
    assert services[0].stored == services[2].stored == before + len(validation)
    ids = [one.answer["transaction_id"] for one in asked]
    again = services[2].post("/score", plain(validation)).json()
    assert [one["transaction_id"] for one in again] == ids
    assert [one["score"] for one in again] == scores.tolist()
    assert all(one["repeated"] for one in again)


def test_an_id_that_several_are_asked_for_at_once_is_recorded_once(start, server, validation):
    services = start(server.database("once"), 2)
    rows = plain(validation.iloc[:40])
    with ThreadPoolExecutor(8) as threads:
        for row in rows:
            futures = [threads.submit(services[n % 2].post, "/score", row) for n in range(6)]
            answers = [future.result().json() for future in futures]
            assert sorted(answer.pop("repeated") for answer in answers) == [False] + [True] * 5
            assert all(answer == answers[0] for answer in answers)
    assert services[0].stored == len(rows)
    changed = rows[0] | {"amount": rows[0]["amount"] + 1}
    assert {service.post("/score", changed).status_code for service in services} == {409}
    assert services[1].post("/score", rows[1] | {"transaction_id": "a\0b"}).status_code == 422


def test_a_lost_database_is_a_503_and_comes_back_by_itself(start, server, validation):
    (service,) = start(server.database("lost"), 1)
    rows = plain(validation.iloc[:4])
    first = service.post("/score", rows[0]).json()
    server.stop()
    try:
        refused = service.post("/score", rows[1])
        assert refused.status_code == 503
        assert "the store cannot be reached" in refused.json()["error"]
        assert refused.headers["Retry-After"] == "1"
        assert service.get("/ready").status_code == 503
        assert service.get("/health").ok
    finally:
        server.start()
    for _ in range(100):
        if service.get("/ready").ok:
            break
        time.sleep(0.1)
    assert service.post("/score", rows[0]).json() == first | {"repeated": True}
    # A connection that ended while nobody asked is no client's business.
    server.stop()
    server.start()
    assert service.post("/score", rows[2]).status_code == 200
    assert service.stored == 2


def test_both_databases_keep_and_forget_the_same(served, server, password, tmp_path, transactions):
    stores = [
        HistoryStore(store, served.kinds, served.history)
        for store in (tmp_path / "history.db", server.database("same"))
    ]
    # Late ones too.
    mixed = pd.concat([transactions.iloc[50::2], transactions.iloc[51::8]])
    for begin in range(0, len(mixed), 200):
        part, frames = mixed.iloc[begin : begin + 200], []
        for store in stores:
            frames.append(store.with_history(store.columns(part.iloc[:20]))[0])
            append(store, part)
            store.label(transactions["transaction_id"].iloc[begin // 2], True)
            store.prune()
        pd.testing.assert_frame_equal(*frames)
    counts = [store.review.counts() for store in stores]
    assert counts[0] == counts[1]
    assert counts[0]["transactions"] < len(mixed)
    day = mixed["timestamp"].iloc[-1].normalize()
    period = (day - pd.Timedelta(days=3), day + pd.Timedelta(days=1))
    one, other = (store.review.alerts(*period, above=0.1) for store in stores)
    assert sorted(map(str, one)) == sorted(map(str, other))
    pd.testing.assert_frame_equal(*(store.review.scores(*period) for store in stores))
    for store in stores:
        store.close()
    customer = mixed["customer_id"].iloc[-1]
    printed = [
        fraud_ae("forget", f"--customer={customer}", "--store", store.where, cwd=tmp_path)
        for store in stores
    ]
    removed = [text.partition(": ")[2].splitlines()[0] for text in printed]
    assert removed[0] == removed[1]
    assert "removed 0 transactions" not in removed[0]


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("postgresql://shop:secret-word@127.0.0.1/x", "holds a password"),
        ("postgresql://shop:secret/word@127.0.0.1/x", "must be a file or postgresql://"),
        ("postgresql://127.0.0.1/x?user=shop&password=secret-word", "holds a password"),
        ("mysql://shop:secret-word@127.0.0.1/x", "must be a file or postgresql://"),
        ("postgresql://shop@127.0.0.1:1/x", "onnection refused"),
    ],
)
def test_what_is_no_store_is_refused_without_its_password(served, store, message):
    with pytest.raises(UserError, match=message) as refusal:
        HistoryStore(store, served.kinds, served.history)
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_another_version_and_a_wrong_password_are_refused(model, tmp_path, server, start):
    store = server.database("version")
    (service,) = start(store, 1)
    assert f"store    {store}\n" in service.printed
    service.stop()
    server.query("UPDATE fraud_ae.store_version SET version = 9", "version")
    assert "a store of version 9" in refused(model, tmp_path, store, **server.environment)
    error = refused(model, tmp_path, store, PGPASSWORD="secret-word")
    assert "password authentication failed" in error
    with_password = store.replace("@", ":secret-word@")
    assert "--store: holds a password" in refused(model, tmp_path, with_password)


def refused(model, folder, store: str, **environment: str) -> str:
    """The one line of an error that `fraud-ae serve` ends with."""
    command = ("serve", f"--model={model}", "--port=0", "--store", store)
    environment = {"PATH": os.environ["PATH"], **environment}
    printed = run_cold("-m", "fraud_ae", *command, cwd=folder, fails=True, **environment).strip()
    assert printed.startswith("error: "), printed
    assert "\n" not in printed
    assert "secret" not in printed
    return printed
