"""Another model is taken up while the service answers; a bad one is refused."""

import itertools
import json
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from fraud_ae.data.input_schema import INPUT_SCHEMA
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.manifest import write_manifest
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.runtime.atomic_files import write_json
from tests.serving.running import plain


@pytest.fixture
def rows(validation):
    return plain(validation)


@pytest.fixture
def models(model, tmp_path) -> Path:
    """A folder with two models, of which `production` leads to the first."""
    folder = tmp_path / "models"
    for name, threshold in (("first", 0.5), ("second", 1e9)):
        shutil.copytree(model, folder / name)
        FraudDetector.load(model).set_threshold(threshold).save(folder / name)
        info = folder / name / MODEL_INFO
        info.write_text(info.read_text().replace("run_id: ", f"run_id: {name}", 1))
        write_manifest(folder / name)
    (folder / "production").symlink_to("first")
    return folder


def lead_to(models: Path, name: str) -> None:
    draft = models / "draft"
    draft.symlink_to(name)
    draft.replace(models / "production")


def test_another_model_is_taken_up_and_a_bad_one_is_not(serve, models, rows):
    service = serve(model=models / "production")
    first = service.post("/score", rows[0]).json()
    assert "first" in first["model"]
    assert first["threshold"] == 0.5
    lead_to(models, "second")
    assert service.post("/reload").json()["model"] == service.get("/model").json()["version"]
    second = service.post("/score", rows[1]).json()
    assert "second" in second["model"]
    assert second["threshold"] == 1e9
    # What was answered stays as it was answered.
    assert service.post("/score", rows[0]).json() == {**first, "repeated": True}
    assert service.metric("fraud_ae_threshold") == 1e9
    document = service.get("/openapi.json").json()
    told = document["paths"]["/score"]["post"]["responses"]["200"]["content"]["application/json"]
    assert told["examples"]["one"]["value"]["threshold"] == 1e9

    weights = models / "first" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    for damaged in ("first", "nowhere"):
        lead_to(models, damaged)
        refused = service.post("/reload")
        assert refused.status_code == 409
        assert "the model stays small second" in refused.json()["error"]
        assert "\n" not in refused.json()["error"]
        assert service.post("/score", rows[2]).json()["model"] == second["model"]
    assert service.metric('fraud_ae_reloads_total{result="refused"}') == 2
    assert service.metric('fraud_ae_reloads_total{result="taken"}') == 1


@pytest.mark.slow
def test_a_hang_up_takes_up_a_model_while_others_are_answered(serve, models, rows):
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
        lead_to(models, "nowhere")
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the model stays small first" in service.printed)
        lead_to(models, "second")
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "second" in seen[-1].json()["model"])
    finally:
        done.set()
        asking.join()
    assert {answer.status_code for answer in seen} == {200}
    versions = [answer.json()["model"] for answer in seen]
    assert "first" in versions[0]
    # One after the other, and never back.
    assert versions == sorted(versions)


def wait_for(condition) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_a_model_that_takes_other_columns_is_taken_up_with_its_columns(serve, models, rows):
    service = serve(model=models / "production")
    assert service.post("/score", rows[0]).ok
    detector = FraudDetector.load(models / "second")
    saved = detector.folder / INPUT_SCHEMA
    schema = json.loads(saved.read_text())
    for column in schema["columns"]:
        column["needed"] = column["name"] in (
            "transaction_id",
            "customer_id",
            "timestamp",
            "amount",
        )
    write_json(saved, schema)
    write_manifest(detector.folder)
    lead_to(models, "second")
    bare = {k: rows[1][k] for k in ("transaction_id", "customer_id", "timestamp", "amount")}
    assert service.post("/score", bare).status_code == 422
    assert service.post("/reload").ok
    assert service.post("/score", bare).ok


@pytest.mark.slow
def test_a_model_that_cannot_score_its_own_example_is_refused(serve, models):
    service = serve(model=models / "production")
    saved = models / "second" / INPUT_SCHEMA
    saved.write_text(saved.read_text().replace('"amount": ', '"amount": -'))
    write_manifest(models / "second")
    lead_to(models, "second")
    refused = service.post("/reload")
    assert refused.status_code == 409
    assert "its own example is refused: amount: must be a number" in refused.json()["error"]
