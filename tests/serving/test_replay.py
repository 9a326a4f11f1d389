"""Asked one by one or by many at once, the service scores as the table at once does."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.http_load import ask, question
from tests.commands import ROOT
from tests.serving.running import RunningService, plain

TOLERANCE = 1e-5


def scores(answers: list[dict]) -> np.ndarray:
    assert not any(answer["repeated"] for answer in answers)
    return np.array([answer["score"] for answer in answers])


def test_one_by_one_is_the_batch(serve, history, validation, batch_scores):
    service = serve("--history", str(history))
    rows = plain(validation)[:150]
    found = scores([service.post("/score", row).json() for row in rows])
    assert np.abs(found - batch_scores[: len(rows)]).max() < TOLERANCE


@pytest.mark.slow
def test_the_whole_period_one_by_one_with_labels_that_come_later(
    serve, history, validation, batch_scores
):
    service = serve("--history", str(history))
    found = []
    for start in range(0, len(validation), 40):
        part = validation.iloc[start : start + 40]
        rows = plain(part.drop(columns="is_fraud"))
        found += [service.post("/score", row).json() for row in rows]
        told = zip(part["transaction_id"], part["is_fraud"], strict=True)
        outcomes = [{"transaction_id": name, "is_fraud": int(label)} for name, label in told]
        assert all(one["known"] for one in service.post("/label", outcomes).json())
    assert np.abs(scores(found) - batch_scores).max() < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("per_second", [None, 200.0], ids=["closed loop", "open loop"])
def test_no_answer_under_load_is_wrong(serve, history, validation, batch_scores, per_second):
    service: RunningService = serve("--history", str(history))
    questions = [question(row) for row in plain(validation)]
    asked, _ = ask("127.0.0.1", service.port, questions, connections=12, per_second=per_second)
    assert {one.status for one in asked} == {200}
    found = scores([one.answer for one in asked])
    assert np.abs(found - batch_scores).max() < TOLERANCE
    assert service.metric("fraud_ae_score_count") == len(validation)
    # Several were scored together.
    assert service.metric("fraud_ae_batch_transactions_count") < len(validation)


@pytest.mark.slow
def test_the_benchmark_checks_every_answer_of_both_loops(model, tmp_path):
    command = [sys.executable, "-m", "benchmarks.service", str(model), "--rate", "60"]
    command += ["--seconds", "4", "--connections", "4", "--json", str(tmp_path / "figures.json")]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert [row["loop"] for row in rows] == ["open", "closed"]
    for row in rows:
        assert row["requests"] == 190
        assert row["p50"] <= row["p95"] <= row["p99"]
