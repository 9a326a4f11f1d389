"""Killed, stopped, started twice, or on something that cannot be served."""

import json
import queue
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.commands import ROOT, run
from tests.serving.running import plain


@pytest.fixture(scope="module")
def rows(validation):
    return plain(validation)


@pytest.mark.slow
def test_every_answer_that_was_given_is_there_after_sigkill(serve, rows, history):
    service = serve("--history", str(history))
    remembered = service.metric('fraud_ae_history{kind="transactions"}')
    left, answers = queue.SimpleQueue(), []
    for row in rows:
        left.put(row)

    def ask() -> None:
        with requests.Session() as session:
            while not left.empty():
                row = left.get()
                try:
                    answer = session.post(f"{service.url}/score", json=row, timeout=60)
                except requests.RequestException:
                    return
                answers.append(answer.json())

    asking = [threading.Thread(target=ask) for _ in range(6)]
    for thread in asking:
        thread.start()
    while len(answers) < 60:
        time.sleep(0.01)
    service.kill()
    for thread in asking:
        thread.join()
    reopened = serve()
    kept = reopened.metric('fraud_ae_history{kind="transactions"}')
    # An answer may have been kept that did not get back any more.
    assert remembered + len(answers) <= kept <= remembered + len(answers) + 6
    by_id = {row["transaction_id"]: row for row in rows}
    asked = [by_id[answer["transaction_id"]] for answer in answers]
    found = [
        one
        for start in range(0, len(asked), 500)
        for one in reopened.post("/score", asked[start:][:500]).json()
    ]
    assert found == [{**answer, "repeated": True} for answer in answers]
    assert reopened.metric('fraud_ae_history{kind="transactions"}') == kept


@pytest.mark.slow
def test_sigterm_answers_what_waits_and_closes_the_store(serve, rows):
    service = serve()
    many = [{**rows[n % len(rows)], "transaction_id": f"N{n}"} for n in range(600)]
    parts = [many[start : start + 100] for start in range(0, 600, 100)]
    with ThreadPoolExecutor(len(parts)) as pool:
        waiting = [pool.submit(requests.post, f"{service.url}/score", json=p) for p in parts]
        while service.metric("fraud_ae_waiting_transactions") < 200:
            assert not all(answer.done() for answer in waiting)
        assert service.stop() == 0
        answers = [answer.result() for answer in waiting]
    assert [len(answer.json()) for answer in answers] == [100] * 6
    assert not service.store.with_name("history.db-wal").exists()
    reopened = serve()
    assert reopened.metric('fraud_ae_history{kind="answers"}') == 600


@pytest.mark.slow
def test_a_history_counts_once_however_often_it_is_given(serve, history, rows):
    first = serve("--history", str(history))
    before = first.metric('fraud_ae_history{kind="transactions"}')
    first.post("/score", rows[:5])
    first.stop()
    reopened = serve("--history", str(history))
    assert ", 0 new" in reopened.printed
    assert reopened.metric('fraud_ae_history{kind="transactions"}') == before + 5


def refused(model, folder, *options: str, **environment: str) -> str:
    environment = {"PYTHONPATH": str(ROOT), **environment}
    command = (
        "serve",
        f"--model={model}",
        "--store",
        str(folder / "other.db"),
        "--port",
        "0",
        *options,
    )
    printed = run("fraud_ae/__main__.py", *command, cwd=folder, fails=True, **environment)
    told = printed.strip()
    assert told.startswith("error: "), told
    assert "\n" not in told
    return told


@pytest.mark.slow
def test_what_cannot_be_served_is_told_in_one_line(model, tmp_path):
    assert "no such folder" in refused(tmp_path / "nothing", tmp_path)
    damaged = shutil.copytree(model, tmp_path / "damaged")
    (damaged / "encoder.json").write_text(json.dumps({}))
    assert "changed since it was saved: encoder.json" in refused(damaged, tmp_path)
    assert "no such file" in refused(model, tmp_path, "--history", "nothing.csv")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    told = run(
        *(
            "fraud_ae/__main__.py",
            "serve",
            f"--model={model}",
            "--port",
            "0",
            "--history",
            "bad.csv",
        ),
        *("--store", str(tmp_path / "other.db")),
        cwd=tmp_path,
        fails=True,
        PYTHONPATH=str(ROOT),
    )
    assert told.startswith("error: bad.csv: ")
    assert "Traceback" not in told


@pytest.mark.slow
def test_what_cannot_be_listened_on_or_kept_is_told_in_one_line(serve, model, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = refused(model, tmp_path, "--port", port)
    assert f"127.0.0.1 port {port}: cannot listen there (Address already in use)" in told
    assert "cannot listen there" in refused(model, tmp_path, "--host", "nowhere.invalid")
    assert "--api-key: must be" in refused(model, tmp_path, "--api-key", "")
    service = serve()
    assert "another service has it" in refused(model, tmp_path, "--store", str(service.store))


@pytest.mark.slow
def test_without_a_key_a_service_for_others_warns(serve):
    service = serve("--host", "0.0.0.0")
    assert "anybody who reaches 0.0.0.0 can ask and label" in service.printed
    assert "anybody" not in serve_again(service, serve, "--host", "0.0.0.0", "--api-key", "x")


def serve_again(service, serve, *options: str) -> str:
    service.stop()
    return serve(*options).printed


@pytest.mark.slow
def test_without_the_extra_it_says_what_to_install(model, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'uvicorn' else find(name, *a)\n"
    )
    told = refused(model, tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert told == "error: uvicorn not installed: pip install 'fraud_ae[serve]'"
