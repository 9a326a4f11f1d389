import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from fraud_ae.configuration.parts import Gate
from fraud_ae.errors import UserError
from fraud_ae.evaluation.bootstrap import paired_bootstrap
from fraud_ae.experiments.identity import validation_set
from fraud_ae.experiments.run_store import SCORES
from fraud_ae.pipeline.gate import decide, explain
from fraud_ae.sweeps.leaderboard import write_leaderboard
from fraud_ae.tracking.remote_runs import RemoteRun
from tests.sweeps.test_leaderboard import result


def validation(n: int = 2000) -> pd.DataFrame:
    """Validation rows of 200 customers, one in ten of them fraud."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "transaction_id": pd.Series(range(n)).astype("str"),
            "customer_id": pd.Series(rng.integers(0, 200, n)).astype("str"),
            "is_fraud": (rng.random(n) < 0.1).astype(np.int8),
        }
    )


def scores(gain: float, seed: int = 1) -> np.ndarray:
    """Scores that see the more of the frauds, the higher the gain is."""
    noise = np.random.default_rng(seed).normal(size=2000)
    return (noise + gain * validation()["is_fraud"]).to_numpy(np.float32)


def auc(found: np.ndarray) -> float:
    return roc_auc_score(validation()["is_fraud"], found)


def sweep(folder: Path, rows: pd.DataFrame | None = None, **found: np.ndarray) -> None:
    """A finished feature sweep in which each strategy gave these scores."""
    results = []
    for name, strategy_scores in found.items():
        run = folder / "runs" / name
        run.mkdir(parents=True)
        kept = (validation() if rows is None else rows).assign(score=strategy_scores)
        kept.to_parquet(run / SCORES, index=False)
        choices = {"candidate": None, "features": name, "model": "autoencoder"}
        results.append(result(name, auc(strategy_scores), choices=choices))
    write_leaderboard(folder, "features", results)


def decision(folder: Path, baseline_auc=0.6, min_gain=0.0, force=False) -> dict:
    found = decide(folder, Gate(baseline_auc, min_gain, force))
    assert json.loads((folder / "decision.json").read_text()) == found
    return found


def test_goes_on_with_a_clear_gain(tmp_path):
    best, baseline = scores(2.0), scores(1.0)
    sweep(tmp_path, baseline=baseline, combined=best)
    found = decision(tmp_path)
    assert found["tune"]
    assert not found["forced"]
    assert found["failed"] == []
    assert (found["best_strategy"], found["run_id"]) == ("combined", "combined")
    assert found["final_auc"] == pytest.approx(auc(best))
    assert found["baseline_strategy_auc"] == pytest.approx(auc(baseline))
    assert found["gain_over_baseline_auc"] == pytest.approx(auc(best) - 0.6)
    gain = found["gain_over_baseline_strategy"]
    assert gain["difference"] == pytest.approx(auc(best) - auc(baseline))
    assert 0 < gain["low"] < gain["difference"] < gain["high"]
    shown = explain(found)
    assert "gate: tune" in shown
    assert f"{gain['low']:+.4f} to {gain['high']:+.4f}" in shown


def test_the_interval_is_that_of_the_customers_of_the_same_rows(tmp_path):
    best, baseline = scores(1.2), scores(1.0, seed=2)
    sweep(tmp_path, baseline=baseline, combined=best)
    rows = validation()
    expected = paired_bootstrap(rows["is_fraud"], best, baseline, rows["customer_id"])
    assert decision(tmp_path)["gain_over_baseline_strategy"] == expected


def test_rows_are_matched_by_their_ids(tmp_path):
    sweep(tmp_path, baseline=scores(1.0), combined=scores(2.0))
    expected = decision(tmp_path)["gain_over_baseline_strategy"]
    path = tmp_path / "runs" / "baseline" / SCORES
    pd.read_parquet(path).sample(frac=1, random_state=0).to_parquet(path, index=False)
    assert decision(tmp_path)["gain_over_baseline_strategy"] == expected


def test_a_gain_within_noise_stops_and_says_how_far_it_may_go(tmp_path):
    sweep(tmp_path, baseline=scores(1.0, seed=2), combined=scores(1.1))
    found = decision(tmp_path)
    gain = found["gain_over_baseline_strategy"]
    assert gain["low"] < 0 < gain["difference"] < gain["high"]
    assert not found["tune"]
    shown = explain(found)
    for part in ("gate: stop", f"{gain['low']:+.4f}", "gate.min_gain=0.0", "gate.force=true"):
        assert part in shown


def test_the_least_gain_moves_the_gate(tmp_path):
    sweep(tmp_path, baseline=scores(1.0), combined=scores(2.0))
    low = decision(tmp_path)["gain_over_baseline_strategy"]["low"]
    assert decision(tmp_path, min_gain=low - 0.001)["tune"]
    stopped = decision(tmp_path, min_gain=low + 0.001)
    assert not stopped["tune"]
    assert stopped["min_gain"] == low + 0.001
    assert f"gate.min_gain={low + 0.001}" in explain(stopped)


def test_a_negative_least_gain_lets_noise_pass(tmp_path):
    sweep(tmp_path, baseline=scores(1.0, seed=2), combined=scores(1.1))
    assert decision(tmp_path, min_gain=-0.5)["tune"]


def test_the_baseline_strategy_itself_is_not_worth_tuning(tmp_path):
    sweep(tmp_path, baseline=scores(2.0), combined=scores(1.0))
    found = decision(tmp_path, min_gain=-0.5)
    assert not found["tune"]
    assert "no strategy is better than the baseline strategy" in explain(found)


def test_a_figure_at_the_given_baseline_is_not_above_it(tmp_path):
    sweep(tmp_path, baseline=scores(1.0), combined=scores(2.0))
    found = decision(tmp_path, baseline_auc=auc(scores(2.0)))
    assert not found["tune"]
    assert len(found["failed"]) == 1
    assert f"gate.baseline_auc={found['baseline_auc']}" in explain(found)


def test_all_reasons_are_told_at_once(tmp_path):
    sweep(tmp_path, baseline=scores(1.0, seed=2), combined=scores(1.1))
    assert len(decision(tmp_path, baseline_auc=0.99)["failed"]) == 2


def test_force_goes_on_and_keeps_the_reasons(tmp_path):
    sweep(tmp_path, baseline=scores(2.0), combined=scores(1.0))
    found = decision(tmp_path, force=True)
    assert found["tune"]
    assert found["forced"]
    assert found["failed"]
    assert "gate: tune (gate.force=true)" in explain(found)


def test_force_where_the_gate_is_open_is_not_said_to_have_forced(tmp_path):
    sweep(tmp_path, baseline=scores(1.0), combined=scores(2.0))
    assert not decision(tmp_path, force=True)["forced"]


def test_without_the_baseline_strategy_only_the_given_figure_is_asked(tmp_path):
    sweep(tmp_path, combined=scores(1.0))
    found = decision(tmp_path)
    assert found["tune"]
    assert found["baseline_strategy_auc"] is None
    assert found["gain_over_baseline_strategy"] is None
    assert "not compared" in explain(found)


def with_configurations(folder: Path) -> str:
    """Each run says which transactions it is of; gives their validation set."""
    data = {"fingerprint": "f", "split": {"label_delay_days": 7}}
    for run in (folder / "runs").iterdir():
        (run / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    return validation_set("f", data["split"])


def run_of_others(name: str, strategy: str, final_auc: float, rows: str) -> RemoteRun:
    figures = {"final_auc": final_auc}
    where = {"user": "ana", "created": "2026-11-20", "url": f"https://w/{name}"}
    return RemoteRun(name, "other", "features", strategy, "f", rows, figures=figures, **where)


@pytest.mark.parametrize(("theirs", "tunes"), [(0.6, True), (0.99, False)])
def test_a_baseline_that_others_ran_on_the_same_rows_stands_in(tmp_path, theirs, tunes):
    sweep(tmp_path, combined=scores(2.0))
    rows = with_configurations(tmp_path)
    others = [
        run_of_others("a", "baseline", theirs, rows),
        run_of_others("b", "baseline", 0.999, "other rows"),
    ]
    found = decide(tmp_path, Gate(0.6), others)
    assert found["tune"] is tunes
    assert found["baseline_strategy_auc"] == theirs
    assert found["baseline_strategy_from"]["url"] == "https://w/a"
    gain = found["gain_over_baseline_strategy"]
    assert gain["difference"] == pytest.approx(auc(scores(2.0)) - theirs)
    told = explain(found)
    assert f"baseline strategy   {theirs:.4f}  baseline, run by ana, https://w/a" in told
    assert "without an interval" in told


def test_a_baseline_that_was_run_here_counts_whatever_others_reached(tmp_path):
    sweep(tmp_path, baseline=scores(1.0), combined=scores(2.0))
    others = [run_of_others("a", "baseline", 0.999, with_configurations(tmp_path))]
    found = decide(tmp_path, Gate(0.6), others)
    assert found["tune"]
    assert found["baseline_strategy_from"] is None
    assert found["gain_over_baseline_strategy"]["low"] > 0


def test_a_better_strategy_of_others_is_named_and_is_no_candidate(tmp_path):
    sweep(tmp_path, baseline=scores(1.0), combined=scores(2.0))
    rows = with_configurations(tmp_path)
    others = [
        run_of_others("a", "payday", 0.99, rows),
        run_of_others("combined", "combined", 0.999, rows),  # the very run that is here
    ]
    found = decide(tmp_path, Gate(0.6), others)
    assert found["best_strategy"] == "combined"
    assert found["best_elsewhere"]["strategy"] == "payday"
    told = explain(found)
    assert "best elsewhere      0.9900  payday, run by ana, https://w/a" in told
    assert "python train.py features=payday" in told


def test_without_customers_single_rows_are_drawn(tmp_path):
    rows = validation().drop(columns="customer_id")
    sweep(tmp_path, rows, baseline=scores(1.0), combined=scores(2.0))
    found = decision(tmp_path)
    assert found["tune"]
    assert found["gain_over_baseline_strategy"]["low"] > 0


def test_one_customer_alone_cannot_tell(tmp_path):
    rows = validation().assign(customer_id="C1")
    sweep(tmp_path, rows, baseline=scores(1.0), combined=scores(2.0))
    found = decision(tmp_path)
    assert not found["tune"]
    assert "unknown" in explain(found)


def test_a_feature_sweep_without_figures_cannot_be_judged(tmp_path):
    with pytest.raises(UserError, match="feature sweep"):
        decide(tmp_path, Gate(0.6))
    choices = {"candidate": None, "features": "baseline", "model": "autoencoder"}
    write_leaderboard(tmp_path, "features", [result("baseline", None, choices=choices)])
    with pytest.raises(UserError, match="both classes"):
        decide(tmp_path, Gate(0.6))
