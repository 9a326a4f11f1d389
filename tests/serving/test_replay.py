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


@pytest.fixture
def service(serve, history) -> RunningService:
    return serve("--history", str(history))


@pytest.fixture
def expected(batch_scores, validation) -> np.ndarray:
    return batch_scores[-len(validation) :]


def scores(answers: list[dict]) -> np.ndarray:
    assert not any(answer["repeated"] for answer in answers)
    return np.array([answer["score"] for answer in answers])


@pytest.mark.slow
def test_the_whole_period_one_by_one_with_labels_that_come_later(service, validation, expected):
    results = []
    for start in range(0, len(validation), 40):
        part = validation.iloc[start : start + 40]
        rows = plain(part.drop(columns="is_fraud"))
        results += [service.post("/score", row).json() for row in rows]
        outcomes = part[["transaction_id", "is_fraud"]].to_dict("records")
        assert all(one["known"] for one in service.post("/label", outcomes).json())
    assert np.abs(scores(results) - expected).max() < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("per_second", [None, 200.0], ids=["closed loop", "open loop"])
def test_no_answer_under_load_is_wrong(service, validation, expected, per_second):
    questions = [question(row) for row in plain(validation)]
    asked, _ = ask("127.0.0.1", service.port, questions, connections=12, per_second=per_second)
    assert {one.status for one in asked} == {200}
    results = scores([one.answer for one in asked])
    assert np.abs(results - expected).max() < TOLERANCE
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
