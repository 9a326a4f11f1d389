import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold import METHODS, ThresholdPolicy
from tests.commands import fraud_ae


@pytest.fixture
def model(published, tmp_path) -> Path:
    """A copy of one's own."""
    return shutil.copytree(published.folder / "models" / "final_model", tmp_path / "model")


def test_a_policy_chooses_on_the_held_out_scores(model):
    detector = FraudDetector.load(model)
    scored = detector.held_out_scores()
    assert (scored["score"] > detector.threshold).mean() == pytest.approx(0.05, abs=0.01)
    detector.set_threshold(method="budget", alerts_per_day=0.5)
    days = scored["timestamp"].dt.date.nunique()
    assert 0.3 < (scored["score"] > detector.threshold).sum() / days <= 0.5
    assert detector.threshold_policy == ThresholdPolicy(method="budget", alerts_per_day=0.5)
    with pytest.raises(UserError, match="alerts_a_day"):
        detector.set_threshold(method="budget", alerts_a_day=3)


def shown(printed: str) -> dict[str, list[str]]:
    rows = [line.strip("│ ").split("│") for line in printed.splitlines() if line.startswith("│")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


@pytest.mark.slow
def test_every_way_is_shown_beside_what_is_now(model):
    printed = fraud_ae("threshold", f"--model={model}", cwd=model.parent)
    rows = shown(printed)
    assert max(map(len, printed.splitlines())) <= 80
    assert [name.split()[0] for name in rows] == ["now", *METHODS]
    detector = FraudDetector.load(model).set_threshold(method="best_f1")
    scored = detector.held_out_scores()
    threshold, alerts, _, precision, recall, *_ = rows["best_f1"]
    assert float(threshold) == pytest.approx(detector.threshold, rel=1e-3)
    flagged = scored["score"] > detector.threshold
    assert alerts == f"{flagged.mean():.2%}"
    assert float(precision) == pytest.approx(scored["is_fraud"][flagged].mean(), abs=6e-4)
    found = flagged[scored["is_fraud"] == 1].mean()
    assert float(recall) == pytest.approx(found, abs=6e-4)


@pytest.mark.slow
def test_another_is_saved_only_if_asked(model):
    before = FraudDetector.load(model).threshold
    arguments = ("threshold", f"--model={model}", "--method=percentile", "--percentile=80")
    printed = fraud_ae(*arguments, cwd=model.parent)
    assert "not kept" in printed
    assert FraudDetector.load(model).threshold == before
    fraud_ae(*arguments, "--save", cwd=model.parent)
    saved = FraudDetector.load(model)
    assert saved.threshold == np.percentile(saved.held_out_scores()["score"], 80)
    assert saved.threshold_policy == ThresholdPolicy(percentile=80)
    assert [path.name for path in model.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--value=0.3", "--method=cost"), "give one of them"),
        (("--save",), "needs --method or --value"),
        (("--method=best",), "best_f1"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_is_refused(model, arguments, reason):
    printed = fraud_ae("threshold", f"--model={model}", *arguments, cwd=model.parent, code=2)
    assert reason in printed
    assert "Traceback" not in printed


@pytest.mark.slow
def test_every_command_has_help_with_examples(tmp_path):
    listed = fraud_ae("--help", cwd=tmp_path)
    commands = re.findall(r"^│ (\w+)  ", listed, re.MULTILINE)
    assert {"score", "explain", "threshold"} <= set(commands)
    for command in commands:
        printed = fraud_ae(command, "--help", cwd=tmp_path)
        assert "Examples:" in printed
        assert f"fraud-ae {command}" in printed
        assert max(map(len, printed.splitlines())) <= 80
