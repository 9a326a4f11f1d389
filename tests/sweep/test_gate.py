import json

import pytest

from fraud_ae.errors import UserError
from fraud_ae.sweep.gate import decide, explain
from fraud_ae.sweep.leaderboard import write_leaderboard
from tests.sweep.test_leaderboard import result


def sweep(folder, **aucs: float | None) -> None:
    results = [
        result(name, auc, choices={"candidate": None, "features": name, "model": "autoencoder"})
        for name, auc in aucs.items()
    ]
    write_leaderboard(folder, "features", results)


def test_goes_on_above_both_baselines(tmp_path):
    sweep(tmp_path, baseline=0.72, combined=0.80)
    decision = decide(tmp_path, baseline_auc=0.70, force=False)
    assert decision["tune"]
    assert not decision["forced"]
    assert decision["best_strategy"] == "combined"
    assert decision["gain_over_baseline_strategy"] == pytest.approx(0.08)
    assert decision["gain_over_baseline_auc"] == pytest.approx(0.10)
    assert json.loads((tmp_path / "decision.json").read_text()) == decision


@pytest.mark.parametrize(
    ("aucs", "baseline_auc", "why"),
    [
        ({"baseline": 0.60, "combined": 0.69}, 0.70, "gate.baseline_auc=0.7"),
        ({"baseline": 0.60, "combined": 0.70}, 0.70, "gate.baseline_auc=0.7"),
        ({"baseline": 0.80, "combined": 0.75}, 0.70, "of the baseline strategy"),
        ({"baseline": 0.80, "combined": 0.80}, 0.70, "of the baseline strategy"),
    ],
)
def test_stops_otherwise_and_says_why_and_how_to_force(tmp_path, aucs, baseline_auc, why):
    sweep(tmp_path, **aucs)
    decision = decide(tmp_path, baseline_auc, force=False)
    assert not decision["tune"]
    shown = explain(decision)
    assert why in shown
    assert "gate.force=true" in shown


def test_force_goes_on_and_keeps_the_reasons(tmp_path):
    sweep(tmp_path, baseline=0.60, combined=0.65)
    decision = decide(tmp_path, 0.70, force=True)
    assert decision["tune"]
    assert decision["forced"]
    assert decision["failed"]


def test_force_where_the_gate_is_open_is_not_said_to_have_forced(tmp_path):
    sweep(tmp_path, baseline=0.60, combined=0.75)
    assert not decide(tmp_path, 0.70, force=True)["forced"]


def test_without_the_baseline_strategy_only_the_given_figure_is_asked(tmp_path):
    sweep(tmp_path, combined=0.75)
    decision = decide(tmp_path, 0.70, force=False)
    assert decision["tune"]
    assert decision["baseline_strategy_auc"] is None


def test_a_feature_sweep_without_figures_cannot_be_judged(tmp_path):
    with pytest.raises(UserError, match="feature sweep"):
        decide(tmp_path, 0.70, force=False)
    sweep(tmp_path, baseline=None)
    with pytest.raises(UserError, match="both classes"):
        decide(tmp_path, 0.70, force=False)
