"""Killed, stopped, started twice, or on something that cannot be served."""

import json
import queue
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from tests.commands import ROOT, run, run_cold
from tests.disturbed.killing import Moment, killed_at, needs_linux
from tests.serving.running import RunningService, plain

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows(validation):
    return plain(validation)


def test_every_result_that_was_given_is_stored_after_sigkill(serve, rows, history):
    service = serve("--history", str(history))
    imported = service.stored
    waiting, results = queue.SimpleQueue(), []
    for row in rows:
        waiting.put(row)

    def ask() -> None:
        with requests.Session() as session:
            while not waiting.empty():
                row = waiting.get()
                try:
                    response = session.post(f"{service.url}/score", json=row, timeout=60)
                except requests.RequestException:
                    return
                results.append(response.json())

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for thread in clients:
        thread.start()
    while len(results) < 60:
        time.sleep(0.01)
    service.stop(signal.SIGKILL)
    for thread in clients:
        thread.join()
    reopened = serve()
    stored = reopened.stored
    # A result may have been stored whose response was lost.
    assert imported + len(results) <= stored <= imported + len(results) + 6
    by_id = {row["transaction_id"]: row for row in rows}
    for start in range(0, len(results), 500):
        part = results[start : start + 500]
        repeated = reopened.post("/score", [by_id[result["transaction_id"]] for result in part])
        assert repeated.json() == [{**result, "repeated": True} for result in part]
    assert reopened.stored == stored


@pytest.mark.promise("C17")
@needs_linux
@pytest.mark.parametrize("statement", ["COMMIT", "INSERT INTO transactions*"])
def test_killed_at_a_statement_of_its_store_it_holds_what_was_answered(
    model, rows, tmp_path, statement
):
    service = RunningService(
        model, tmp_path, command=killed_at(Moment("before", statement, 9), "-m", "fraud_ae")
    )
    results, asked = [], iter(rows[:20])
    with suppress(requests.ConnectionError):
        while True:
            results.append(service.post("/score", next(asked)).json())
    assert service.stop() == -signal.SIGKILL
    assert 0 < len(results) < 9
    reopened = RunningService(model, tmp_path)
    try:
        # What was never answered is scored as if it came for the first time.
        assert reopened.stored == len(results)
        repeated = reopened.post("/score", rows[: len(results) + 1]).json()
    finally:
        reopened.stop()
    assert repeated[:-1] == [{**result, "repeated": True} for result in results]
    assert not repeated[-1]["repeated"]


def test_sigterm_answers_what_waits_and_closes_the_store(serve, rows):
    service = serve()
    many = [{**rows[n % len(rows)], "transaction_id": f"N{n}"} for n in range(600)]
    parts = [many[start : start + 100] for start in range(0, 600, 100)]
    with ThreadPoolExecutor(len(parts)) as pool:
        waiting = [pool.submit(requests.post, f"{service.url}/score", json=p) for p in parts]
        # A request that has not arrived by then is refused by the operating system.
        while service.stored + service.metric("fraud_ae_waiting_transactions") < 600:
            assert not all(response.done() for response in waiting)
        assert service.stop() == 0
        responses = [response.result() for response in waiting]
    assert [len(response.json()) for response in responses] == [100] * 6
    assert not service.store.with_name("history.db-wal").exists()
    assert serve().metric('fraud_ae_history{kind="answers"}') == 600


def test_a_history_counts_once_however_often_it_is_given(serve, history, rows):
    first = serve("--history", str(history))
    before = first.stored
    first.post("/score", rows[:5])
    first.stop()
    reopened = serve("--history", str(history))
    assert ", 0 new" in reopened.printed
    assert reopened.stored == before + 5


def refused(model, folder, *options: str, **environment: str) -> str:
    """The one line of an error that `fraud-ae serve` ends with."""
    options = ("--port", "0", "--store", str(folder / "other.db"), *options)
    command = ("serve", f"--model={model}", *options)
    ends = run_cold if environment else run
    printed = ends("-m", "fraud_ae", *command, cwd=folder, fails=True, **environment).strip()
    assert printed.startswith("error: "), printed
    assert "\n" not in printed
    return printed


def test_what_cannot_be_served_is_said_in_one_line(serve, model, tmp_path):
    assert "no such folder" in refused(tmp_path / "nothing", tmp_path)
    damaged = shutil.copytree(model, tmp_path / "damaged")
    (damaged / "encoder.json").write_text(json.dumps({}))
    assert "changed since it was saved: encoder.json" in refused(damaged, tmp_path)
    assert "no such file" in refused(model, tmp_path, "--history", "nothing.csv")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        error = refused(model, tmp_path, "--port", port)
    assert f"127.0.0.1 port {port}: cannot listen there (Address already in use)" in error
    assert "cannot listen there" in refused(model, tmp_path, "--host", "nowhere.invalid")
    assert "FRAUD_AE_API_KEY: a key must be" in refused(model, tmp_path, FRAUD_AE_API_KEY="ä")
    service = serve()
    assert "another service has it" in refused(model, tmp_path, "--store", str(service.store))


def test_a_history_that_is_no_table_of_transactions_is_named(model, tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    options = ("--port", "0", "--store", str(tmp_path / "other.db"), "--history", "bad.csv")
    printed = run("-m", "fraud_ae", "serve", f"--model={model}", *options, cwd=tmp_path, fails=True)
    assert printed.startswith("error: bad.csv: ")
    assert "Traceback" not in printed


def test_without_a_key_a_service_for_others_warns(serve):
    service = serve("--host", "0.0.0.0")
    assert "anybody who reaches 0.0.0.0 can ask and label" in service.printed
    service.stop()
    assert "anybody" not in serve("--host", "0.0.0.0", "--api-key", "x").printed


def test_without_the_extra_it_says_what_to_install(model, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'uvicorn' else find(name, *a)\n"
    )
    error = refused(model, tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert error == "error: uvicorn not installed: pip install 'fraud_ae[serve]'"
