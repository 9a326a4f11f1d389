"""Which run a pipeline takes for production, and what all that shows it say of it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from fraud_ae.evaluation.bootstrap import paired_bootstrap
from fraud_ae.experiments.run_store import SCORES
from fraud_ae.pipeline.comparison import compare_experiments
from tests.commands import board, fraud_ae, run

pytestmark = pytest.mark.slow
SWEEPS = ("features", "broad", "refined", "final")
DATA = ("data.n_transactions=2000", "experiment=small", "scorer=reconstruction")
GRID = ("model.latent_dim=4,8", "model.activation=relu", "trainer.batch_size=128")
OVERRIDES = (
    "gate.force=true",
    'overrides.features=["features=baseline,combined","trainer.max_epochs=2"]',
    f'overrides.broad=["trainer.max_epochs=2",{",".join(json.dumps(value) for value in GRID)}]',
    'overrides.refined=["trainer.max_epochs=3"]',
    'overrides.final=["trainer.max_epochs=5"]',
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A pipeline of short trainings: its folder, and what it printed."""
    cwd = tmp_path_factory.mktemp("whole")
    return cwd / "outputs" / "small", run("pipeline.py", *DATA, *OVERRIDES, cwd=cwd)


def winner(folder) -> dict:
    return yaml.safe_load((folder / "model_info.yaml").read_text())["figures"]["winner"]


def test_the_best_of_all_stages_wins_and_of_a_tie_the_shorter_training(whole):
    folder, printed = whole
    bests = [board(folder, stage).iloc[0] for stage in SWEEPS]
    kept = [pd.read_parquet(folder / "runs" / best["run_id"] / SCORES) for best in bests]
    reference = kept[int(np.argmax([best["final_auc"] for best in bests]))]
    tied = []
    for best, own in zip(bests, kept, strict=True):
        pd.testing.assert_series_equal(own["transaction_id"], reference["transaction_id"])
        both = (own["score"], reference["score"], reference["customer_id"])
        gain = paired_bootstrap(reference["is_fraud"], *both)
        if gain["low"] <= 0 <= gain["high"]:
            tied.append((best["epochs"], -best["final_auc"], best["run_id"]))
    info = winner(folder)
    assert info["run_id"] == min(tied)[2]
    assert info["stage"] == info["candidate"].removesuffix("_01")
    assert board(folder, info["stage"])["run_id"].iloc[0] == info["run_id"]
    assert f"candidate={info['candidate']}\nwinner: {info['candidate']}, run {info['run_id']}" in (
        printed
    )


def test_the_winner_is_the_run_of_its_sweep_and_is_not_trained_again(whole):
    folder, _ = whole
    swept = set().union(*(board(folder, stage)["run_id"] for stage in SWEEPS))
    kept = {path.parent.name for path in folder.glob("runs/*/metrics.json")}
    info = yaml.safe_load((folder / "model_info.yaml").read_text())
    assert kept - swept == {info["run_id"]}


def test_all_that_shows_a_model_tells_of_the_same_winner(whole):
    folder, printed = whole
    info = winner(folder)
    decision = json.loads((folder / "winner.json").read_text())
    assert decision["run_id"] == info["run_id"]
    assert decision["reason"] == info["reason"]
    assert f"winner    {info['candidate']}: " in printed
    shown = fraud_ae("compare", cwd=folder.parents[1])
    assert f"winner    {info['candidate']}: " in shown
    (row,) = compare_experiments(folder.parent).to_dict("records")
    assert (row["stage"], row["winner"]) == (info["stage"], info["run_id"])
    assert f"<b>{info['candidate']}</b>: {info['reason']}" in (folder / "report.html").read_text()


def test_another_threshold_alone_keeps_the_winner(whole, tmp_path):
    folder = tmp_path / "outputs" / "small"
    shutil.copytree(whole[0], folder, symlinks=True)
    arguments = ("stage=production", *DATA, "threshold.percentile=80")
    printed = run("train.py", *arguments, cwd=tmp_path)
    assert winner(folder)["run_id"] == winner(whole[0])["run_id"]
    assert "finished before, not fitted again" in printed


def test_a_candidate_that_is_named_wins_whatever_the_others_reached(whole, tmp_path):
    folder = tmp_path / "outputs" / "small"
    shutil.copytree(whole[0], folder, symlinks=True)
    for name in ("final_01", "features_01"):
        printed = run("train.py", "stage=production", f"candidate={name}", *DATA, cwd=tmp_path)
        if name != winner(whole[0])["candidate"]:
            assert f"winner    {name}: asked for" in printed
        stage = name.removesuffix("_01")
        assert winner(folder)["stage"] == stage
        assert winner(folder)["run_id"] == board(folder, stage)["run_id"].iloc[0]


def test_after_the_feature_sweep_alone_its_best_becomes_the_model(tmp_path):
    arguments = (*DATA, "trainer.max_epochs=2")
    run("train.py", "-m", "features=baseline,combined", *arguments, cwd=tmp_path)
    printed = run("train.py", "stage=production", *arguments, cwd=tmp_path)
    folder = tmp_path / "outputs" / "small"
    assert winner(folder)["run_id"] == board(folder, "features")["run_id"].iloc[0]
    assert "the only stage that can be compared" in printed
