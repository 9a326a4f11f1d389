"""SIGKILL just before and just after a file or folder takes its place that marks what is done."""

import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fraud_ae.detector.versions import Versions
from fraud_ae.runtime.kept_files import read_kept
from tests.commands import run
from tests.disturbed.conftest import EXPERIMENT, PIPELINE, SWEEP
from tests.disturbed.end_states import differences, end_state, wrong_states
from tests.disturbed.killing import Moment, needs_linux, run_killed

pytestmark = [pytest.mark.slow, needs_linux]

# In the order in which a command meets them: what is renamed, or what a database executes.
IN_A_SWEEP = [
    Moment("before", "*/encoded/*/checksums.json"),
    Moment("before", "*/trainings/*/checksums.json"),
    Moment("after", "*/trainings/*.safetensors"),
    Moment("before", "*/runs/*/evaluations/*.json"),
    Moment("before", "*/runs/*/metrics.json"),
    Moment("after", "*/runs/*/metrics.json"),
    Moment("before", "*/result.json", 2),
    Moment("before", "INSERT INTO trial_values*"),
    Moment("before", "*/leaderboards/features.csv"),
    Moment("before", "*/candidate/features_01.yaml"),
    Moment("before", "*/best_features.yaml"),
]
IN_A_PIPELINE = [
    Moment("before", "*/data.json"),
    Moment("before", "*/audit.json"),
    Moment("before", "*/winner.json"),
    Moment("before", "*/models/final_model"),
    Moment("after", "*/models/final_model"),
    # The one before makes way.
    Moment("before", "*/models/.final_model.old"),
    Moment("before", "*/runs/*/metrics.json"),
    Moment("after", "*/runs/*/metrics.json"),
    Moment("before", "*/decisions/0001.json"),
    Moment("after", "*/decisions/0001.json"),
    Moment("before", "*/versions/0001"),
    Moment("after", "*/versions/0001"),
    Moment("before", "*/decisions/history.json"),
    Moment("before", "*/models/production"),
    Moment("after", "*/models/production"),
    Moment("before", "*/report.html"),
]
ROLLBACK = [
    Moment("before", "*/decisions/history.json"),
    Moment("after", "*/decisions/history.json"),
    Moment("before", "*/models/production"),
]
CHANGE = [
    Moment("after", "*/decisions/0002.json"),
    Moment("before", "*/versions/0002"),
    Moment("after", "*/versions/0002"),
    Moment("after", "*/models/production"),
]


def killed(moment: Moment, *command: str, cwd: Path) -> None:
    """Run a command until it kills itself at a moment, which has to come."""
    code, printed = run_killed(moment, *command, cwd=cwd)
    assert code == -signal.SIGKILL, (moment, printed)


def named(moment: Moment) -> str:
    return f"{moment.when} {moment.what}"


@pytest.mark.promise("C17")
@pytest.mark.parametrize(
    ("command", "moments"),
    [(SWEEP, IN_A_SWEEP), (PIPELINE, IN_A_PIPELINE)],
    ids=["train.py", "pipeline.py"],
)
def test_killed_at_each_moment_in_turn_it_ends_as_if_nobody_had(
    undisturbed, tmp_path, command, moments
):
    expected = undisturbed(*command).state
    for moment in moments:
        killed(moment, *command, cwd=tmp_path)
        assert wrong_states(tmp_path / EXPERIMENT) == [], moment
    printed = run(*command, cwd=tmp_path)
    assert "damaged" not in printed
    assert differences(end_state(tmp_path / EXPERIMENT), expected) == []
    assert wrong_states(tmp_path / EXPERIMENT) == []


@pytest.mark.parametrize("moment", CHANGE, ids=named)
def test_a_threshold_that_was_asked_for_is_in_production(undisturbed, tmp_path, moment):
    made = undisturbed(*PIPELINE).cwd
    cwd = shutil.copytree(made, tmp_path / "work", symlinks=True)
    change = ("-m", "fraud_ae", "threshold", "--value", "0.5", "--save")
    killed(moment, *change, cwd=cwd)
    # Whatever was reached, what is in production is whole, and scores.
    run(*score(cwd), cwd=cwd)
    run(*change, cwd=cwd)
    assert wrong_states(cwd / EXPERIMENT) == []
    production = cwd / EXPERIMENT / "models" / "production"
    assert yaml.safe_load((production / "detector.json").read_text())["threshold"] == 0.5


@pytest.mark.parametrize("moment", ROLLBACK, ids=named)
def test_a_rollback_goes_one_version_back(undisturbed, tmp_path, moment):
    made = undisturbed(*PIPELINE).cwd
    change = ("-m", "fraud_ae", "threshold", "--value", "0.5", "--save")
    changed = undisturbed(*change, after=made).cwd
    cwd = shutil.copytree(changed, tmp_path / "work", symlinks=True)
    versions = Versions(cwd / EXPERIMENT / "models")
    assert versions.in_production == "0002"
    killed(moment, "-m", "fraud_ae", "rollback", cwd=cwd)
    assert versions.in_production == "0002"
    assert "version 0001 is in production" in run("-m", "fraud_ae", "rollback", cwd=cwd)
    assert versions.stack() == ["0001"]
    assert versions.in_production == "0001"
    assert read_kept(versions.decision_file("0002"), lambda path: path) is not None
    assert wrong_states(cwd / EXPERIMENT) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_file_of_scores_is_there_whole_or_not_at_all(undisturbed, tmp_path, when):
    made = undisturbed(*PIPELINE).cwd
    cwd = shutil.copytree(made, tmp_path / "work", symlinks=True)
    killed(Moment(when, "scores.csv"), *score(cwd), cwd=cwd)
    assert (cwd / "scores.csv").exists() == (when == "after")
    run(*score(cwd), cwd=cwd)
    run(*score(made), cwd=made)
    pd.testing.assert_frame_equal(pd.read_csv(cwd / "scores.csv"), pd.read_csv(made / "scores.csv"))


def test_a_model_scores_whenever_its_export_is_killed(undisturbed, tmp_path):
    cwd = shutil.copytree(undisturbed(*PIPELINE).cwd, tmp_path / "work", symlinks=True)
    export = ("-m", "fraud_ae", "export")
    run(*score(cwd), cwd=cwd)
    expected = (cwd / "scores.csv").read_text()
    moments = [Moment(when, "*/model.onnx") for when in ("before", "after")]
    for moment in [*moments, Moment("before", "*/manifest.json")]:
        killed(moment, *export, cwd=cwd)
        run(*score(cwd), cwd=cwd)
        assert (cwd / "scores.csv").read_text() == expected, moment
    run(*export, cwd=cwd)
    run(*score(cwd), cwd=cwd)
    assert (cwd / "scores.csv").read_text() == expected
    assert wrong_states(cwd / EXPERIMENT) == []


def score(cwd: Path) -> tuple[str, ...]:
    """The command that scores the transactions of an experiment; their file is made."""
    from fraud_ae.data.sources import synthetic

    file = cwd / "transactions.parquet"
    if not file.is_file():
        synthetic(n_transactions=1000).transactions.to_parquet(file)
    return ("-m", "fraud_ae", "score", file.name, "-o", "scores.csv")
