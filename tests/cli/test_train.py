"""`python train.py`, as it is typed."""

import json
import random
import re
import shutil

import pandas as pd
import pytest

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.files import MODEL_FILES
from tests.commands import SHARED_DATA, finished_runs, run, run_cold
from tests.damage import mutated

TINY = ("data.n_transactions=2000", "trainer.max_epochs=2", "wandb.mode=disabled")
SMALL = (*TINY, "scorer=reconstruction")


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return folder, run("train.py", *SMALL, cwd=folder)


@pytest.fixture
def trained(trained_once, tmp_path):
    """A folder with one finished run, to be damaged or added to, and what its training printed."""
    folder, printed = trained_once
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path, printed


def test_one_run_ends_with_its_metrics_and_is_not_trained_again(trained):
    folder, first = trained
    last = first.splitlines()[-1]
    figures = dict(pair.split("=") for pair in last.split())
    assert next(iter(figures)) == "final_auc"
    assert {"precision", "recall", "threshold", "best_epoch", "feature_count"} <= set(figures)
    assert "epoch  2/2" in first
    (one,) = finished_runs(folder / "outputs" / "synthetic")
    kept = json.loads((one / "metrics.json").read_text())
    assert f"{kept['final_auc']:.4f}" == figures["final_auc"]
    again = run("train.py", *SMALL, cwd=folder)
    assert "not trained again" in again
    assert "epoch" not in again.replace("best_epoch", "")
    assert again.splitlines()[-1] == last
    forced = run("train.py", *SMALL, "retrain=true", cwd=folder)
    assert "epoch  2/2" in forced
    assert forced.splitlines()[-1] == last


def test_another_threshold_is_read_from_the_same_run(trained):
    folder, _ = trained
    other = run("train.py", *SMALL, "threshold.percentile=80", cwd=folder)
    assert "not trained again" in other
    assert float(re.search(r"alert_rate=(\S+)", other).group(1)) == pytest.approx(0.2, abs=0.01)
    assert len(finished_runs(folder / "outputs" / "synthetic")) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "learned"),
    [
        (("scorer=calibrated", "model.members=2", "data.fraud_ratio=0.1"), {"trees.json"}),
        (("scorer=mahalanobis", "model=masked"), set()),
    ],
)
def test_other_models_and_scorers_are_trained_and_kept(tmp_path, kind, learned):
    printed = run("train.py", *TINY, *kind, cwd=tmp_path)
    figures = dict(pair.split("=") for pair in printed.splitlines()[-1].split())
    assert float(figures["final_auc"]) > 0.5
    (folder,) = finished_runs(tmp_path / "outputs" / "synthetic")
    assert {path.name for path in (folder / "model").iterdir()} == {
        *MODEL_FILES,
        "manifest.json",
        *learned,
    }
    detector = FraudDetector.load(folder / "model")
    assert detector.threshold == pytest.approx(float(figures["threshold"]), abs=1e-4)


def test_help_names_the_groups_and_the_commands(tmp_path):
    printed = run("train.py", "--help", cwd=tmp_path)
    groups = ("features: baseline, behavioural", "scorer: calibrated, mahalanobis", "wandb:")
    for text in groups:
        assert text in printed
    for command in ("-m 'features=glob(*)'", "-m stage=broad", "python pipeline.py"):
        assert command in printed
    assert "schema" not in printed
    # Hydra has the options of a group in one line.
    lines = [line for line in printed.splitlines() if not line.startswith("data:")]
    assert all(len(line) <= 80 for line in lines)


def test_help_does_not_import_torch(tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("torch", "pytorch_lightning", "wandb", "pandas", "sklearn"):
        (blocked / f"{name}.py").write_text("raise SystemExit('imported')\n")
    printed = run_cold("train.py", "--help", cwd=tmp_path, PYTHONPATH=str(blocked))
    assert "imported" not in printed
    mistyped = run_cold("train.py", "seeed=1", cwd=tmp_path, fails=True, PYTHONPATH=str(blocked))
    assert mistyped == "error: seeed: no such key; did you mean seed?\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mutation"),
    [
        ("metrics.json", "digit"),
        ("validation_scores.parquet", "halved"),
        ("model/encoder.json", "missing"),
        ("model/weights.safetensors", "zeros"),
    ],
)
def test_a_damaged_run_is_told_and_trained_again(trained, name, mutation):
    folder, first = trained
    (one,) = finished_runs(folder / "outputs" / "synthetic")
    if mutation == "missing":
        (one / name).unlink()
    else:
        mutated(one / name, mutation, random.Random(0))
    again = run("train.py", *SMALL, cwd=folder)
    (line,) = [line for line in again.splitlines() if "damaged" in line]
    assert f"run {one.name} is damaged ({name}: " in line
    assert again.splitlines()[-1] == first.splitlines()[-1]
    assert "not trained again" in run("train.py", *SMALL, cwd=folder)


@pytest.mark.slow
def test_own_metric_is_computed_stored_and_maximised(tmp_path):
    (tmp_path / "shop_metrics.py").write_text(
        "def caught(y_true, scores):\n    return float(y_true[scores.argsort()[-50:]].sum())\n"
    )
    own = (
        "metrics.extra.caught=shop_metrics.caught",
        "objective=caught",
        "allowed_modules=[shop_metrics]",
    )
    run(
        "train.py",
        "-m",
        "features=baseline,temporal",
        *SMALL[:2],
        *own,
        "objective=caught",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    folder = tmp_path / "outputs" / "synthetic"
    board = pd.read_csv(folder / "leaderboards" / "features.csv")
    assert board["caught"].is_monotonic_decreasing
    assert board["caught"].max() >= 1
    kept = [json.loads((r / "metrics.json").read_text())["caught"] for r in finished_runs(folder)]
    assert sorted(kept, reverse=True) == board["caught"].tolist()


@pytest.mark.slow
def test_a_metric_that_fails_does_not_lose_the_training(tmp_path):
    (tmp_path / "picky.py").write_text(
        "def needs_a_million(y_true, scores):\n    return y_true[1_000_000]\n"
    )
    own = ("metrics.extra.picky=picky.needs_a_million", "allowed_modules=[picky]")
    failed = run("train.py", *SMALL, *own, cwd=tmp_path, fails=True, PYTHONPATH=str(tmp_path))
    assert "error: metrics.extra.picky=picky.needs_a_million: IndexError" in failed
    assert "not trained again" in run("train.py", *SMALL, cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"real data not there: {SHARED_DATA}")
def test_real_transactions_leave_five_finished_runs(tmp_path):
    path = SHARED_DATA / "ecommerce.csv.gz"
    run("train.py", "-m", "features=glob(*)", "data=ecommerce", f"data.path={path}", cwd=tmp_path)
    assert len(finished_runs(tmp_path / "outputs" / "ecommerce")) == 5
