"""Another model is loaded while the service answers; a bad one is refused."""

import itertools
import json
import signal
import threading
import time

import pytest

from fraud_ae.data.input_schema import INPUT_SCHEMA
from fraud_ae.detector.manifest import write_manifest
from fraud_ae.runtime.atomic_files import write_json
from tests.serving.running import link_production, plain


@pytest.fixture
def rows(validation):
    return plain(validation)


@pytest.mark.slow
def test_sighup_loads_a_model_while_requests_are_answered(serve, models, rows):
    service = serve(model=models / "production")
    seen, done = [], threading.Event()

    def ask() -> None:
        for number in itertools.count():
            if done.is_set():
                return
            row = {**rows[0], "transaction_id": f"N{number}"}
            seen.append(service.post("/score", row))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        wait_for(lambda: len(seen) > 2)
        link_production(models, "nowhere")
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the model stays small " in service.printed)
        link_production(models, "second")
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "second" in seen[-1].json()["model"])
    finally:
        done.set()
        asking.join()
    assert {response.status_code for response in seen} == {200}
    versions = [response.json()["model"] for response in seen]
    # One after the other, and never back.
    assert versions == sorted(versions)
    assert len(set(versions)) == 2


def wait_for(condition) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_a_model_of_other_columns_is_loaded_with_its_columns(serve, models, rows):
    service = serve(model=models / "production")
    assert service.post("/score", rows[0]).ok
    saved = models / "second" / INPUT_SCHEMA
    schema = json.loads(saved.read_text())
    needed = ("transaction_id", "customer_id", "timestamp", "amount")
    for column in schema["columns"]:
        column["needed"] = column["name"] in needed
    write_json(saved, schema)
    write_manifest(models / "second")
    link_production(models, "second")
    bare = {name: rows[1][name] for name in needed}
    assert service.post("/score", bare).status_code == 422
    assert service.post("/reload").ok
    assert service.post("/score", bare).ok


@pytest.mark.slow
def test_a_model_that_cannot_score_its_example_is_refused(serve, models):
    service = serve(model=models / "production")
    saved = models / "second" / INPUT_SCHEMA
    saved.write_text(saved.read_text().replace('"amount": ', '"amount": -'))
    write_manifest(models / "second")
    link_production(models, "second")
    refused = service.post("/reload")
    assert refused.status_code == 409
    assert "its own example is refused: amount: must be a number" in refused.json()["error"]
