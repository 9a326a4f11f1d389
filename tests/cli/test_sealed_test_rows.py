"""Nothing but the stage for production reads the test rows."""

import json

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.sources import synthetic
from fraud_ae.detector.files import MODEL_FILES
from tests.commands import board, run
from tests.sealed_transactions import SealBroken, sealed

ONE = ("model.latent_dim=4", "model.activation=relu", "trainer.learning_rate=0.001")
ONE += ("trainer.batch_size=128", "threshold.percentile=90")
SMALL = ("data.n_transactions=2000", "trainer.max_epochs=2", "wandb.mode=disabled")
STAGES = ("features", "broad", "refined", "final")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The outputs of a pipeline of true transactions, and of one whose test rows are sealed."""
    cwd = tmp_path_factory.mktemp("sealed")
    grid = ",".join(f'"{value}"' for value in ONE)
    common = (*SMALL, "gate.force=true", f"overrides.broad=[{grid}]", "data.fraud_ratio=0.05")
    run("pipeline.py", *common, f"stages=[{','.join(STAGES)}]", "experiment=plain", cwd=cwd)
    target = "data._target_=tests.sealed_transactions.sealed"
    broken = run("pipeline.py", *common, target, "experiment=sealed", cwd=cwd, fails=True)
    return cwd / "outputs" / "plain", cwd / "outputs" / "sealed", broken


def test_the_seal_holds():
    dataset, plain = sealed(n_transactions=2000), synthetic(n_transactions=2000)
    transactions, n_open = dataset.transactions, dataset.transactions.n_open
    assert 1000 < n_open < 2000
    assert dataset.fingerprint == plain.fingerprint
    first = np.arange(2000) < n_open
    for taken in (transactions[first], transactions.iloc[:n_open], transactions.head(n_open)):
        pd.testing.assert_frame_equal(taken, plain.transactions.head(n_open))
    pd.testing.assert_series_equal(transactions["timestamp"], plain.transactions["timestamp"])
    for read in (
        lambda: transactions["amount"],
        lambda: transactions[["amount", "timestamp"]],
        lambda: transactions[np.arange(2000) == n_open],
        lambda: transactions.iloc[: n_open + 1],
        lambda: transactions.tail(1),
        lambda: transactions.loc[0],
        lambda: transactions.to_numpy(),
        lambda: transactions.assign(amount=1.0),
        lambda: transactions.copy(),
    ):
        with pytest.raises(SealBroken):
            read()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_before_production_comes_to_the_same_without_them(folders, stage):
    plain, sealed_, _ = folders
    expected = board(plain, stage).drop(columns="train_seconds")
    found = board(sealed_, stage).drop(columns=["train_seconds", "data._target_"])
    assert len(expected) == (5 if stage == "features" else 1)
    assert expected["final_auc"].notna().all()
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.slow
def test_every_run_has_the_same_model_scores_and_figures(folders):
    plain, sealed_, _ = folders
    finished = sorted(path.parent.name for path in plain.glob("runs/*/metrics.json"))
    assert len(finished) >= 5
    for name in finished:
        ours, theirs = plain / "runs" / name, sealed_ / "runs" / name
        for file in MODEL_FILES:
            assert (ours / "model" / file).read_bytes() == (theirs / "model" / file).read_bytes()
        kept = [pd.read_parquet(f / "validation_scores.parquet") for f in (ours, theirs)]
        pd.testing.assert_frame_equal(*kept)
        figures = [json.loads((f / "metrics.json").read_text()) for f in (ours, theirs)]
        assert {k: v for k, v in figures[0].items() if k != "train_seconds"} == {
            k: v for k, v in figures[1].items() if k != "train_seconds"
        }
    assert (sealed_ / "decision.json").read_text() == (plain / "decision.json").read_text()


@pytest.mark.slow
def test_production_reads_them(folders):
    _, sealed_, broken = folders
    assert "SealBroken" in broken
    assert "stage=production" in broken
    assert not (sealed_ / "models").exists()
    assert not (sealed_ / "model_info.yaml").exists()
