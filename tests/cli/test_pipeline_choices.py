"""What a user chooses on the command line of `python pipeline.py`."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.commands import board, run

SMALL = ("data.n_transactions=2000", "trainer.max_epochs=2", "scorer=reconstruction")


@pytest.mark.slow
def test_a_closed_gate_stops_with_success_and_says_how_to_force(tmp_path):
    printed = run("pipeline.py", *SMALL, "gate.baseline_auc=0.99", cwd=tmp_path)
    folder = tmp_path / "outputs" / "synthetic"
    assert "gate: stop" in printed
    assert "gate.force=true" in printed
    decision = json.loads((folder / "decision.json").read_text())
    assert not decision["tune"]
    assert decision["baseline_auc"] == 0.99
    assert not (folder / "leaderboards" / "broad.csv").exists()
    assert not (folder / "models").exists()


@pytest.mark.slow
def test_a_fixed_value_shrinks_the_grid(tmp_path):
    fixed = ("model.latent_dim=4", "trainer.batch_size=256", "model.activation=tanh")
    printed = run("pipeline.py", "stages=[broad]", *SMALL, *fixed, cwd=tmp_path)
    assert len(board(tmp_path / "outputs" / "synthetic", "broad")) == 4
    assert "broad 4/4" in printed


@pytest.mark.slow
def test_candidates_of_other_data_are_refused(tmp_path):
    arguments = ("experiment=one", "gate.force=true", *SMALL)
    run("pipeline.py", *arguments, "stages=[features]", cwd=tmp_path)
    printed = run(
        "pipeline.py", *arguments, "stages=[broad]", "data.seed=3", cwd=tmp_path, fails=True
    )
    assert "features_01 of outputs/one was tuned on other data" in printed
    assert "Traceback" not in printed


@pytest.mark.slow
def test_one_stage_and_overrides_for_it_alone(tmp_path):
    own = '["model.latent_dim=4,5","model.activation=choice(tanh)","trainer.batch_size=choice(64)"]'
    printed = run("pipeline.py", "stages=[broad]", *SMALL, f"overrides.broad={own}", cwd=tmp_path)
    broad = board(tmp_path / "outputs" / "synthetic", "broad")
    assert len(broad) == 2 * 1 * 1 * 2 * 2
    assert set(broad["model.latent_dim"]) == {4, 5}
    assert set(broad["model.activation"]) == {"tanh"}
    assert "gate:" not in printed
    none = run("pipeline.py", "stages=[]", cwd=tmp_path, code=2)
    assert none.startswith("error: stages=[]: no stage is to be run; known are features, broad")
    unknown = run("pipeline.py", "stages=[braod]", cwd=tmp_path, fails=True)
    assert "did you mean broad?" in unknown


@pytest.mark.slow
def test_strategies_without_their_columns_are_left_out_with_a_line(tmp_path):
    rng = np.random.default_rng(0)
    n = 3000
    table = pd.DataFrame({f"V{i}": rng.normal(size=n) for i in range(1, 29)})
    table.insert(0, "Time", np.sort(rng.uniform(0, 172_000, n)).round())
    table["Amount"] = rng.gamma(2, 40, n).round(2)
    table["Class"] = (rng.random(n) < 0.02).astype(int)
    table.loc[table["Class"] == 1, "V1"] += 2
    table.to_csv(tmp_path / "creditcard.csv", index=False)
    printed = run(
        "pipeline.py",
        "data=creditcard",
        "data.path=creditcard.csv",
        "stages=[features]",
        cwd=tmp_path,
    )
    assert "left out of the feature sweep: behavioural" in printed
    assert "left out of the feature sweep: demographic_risk" in printed
    features = board(tmp_path / "outputs" / "creditcard", "features")
    assert set(features["features"]) == {"baseline", "temporal", "combined"}
    assert features["final_auc"].max() > 0.8


@pytest.mark.slow
def test_a_run_that_was_half_done_is_trained_again(tmp_path):
    arguments = (*SMALL, "experiment=half")
    first = run("train.py", *arguments, cwd=tmp_path)
    (folder,) = (tmp_path / "outputs" / "half" / "runs").iterdir()
    (folder / "metrics.json").unlink()
    (folder / "model" / "weights.safetensors").write_bytes(b"half")
    second = run("train.py", *arguments, cwd=tmp_path)
    assert second.splitlines()[-1] == first.splitlines()[-1]
    assert len(list(folder.glob("wandb/offline-run-*"))) == 1
