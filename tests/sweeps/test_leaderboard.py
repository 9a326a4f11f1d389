import itertools
import json
import math

import pandas as pd
import pytest

from fraud_ae.sweeps.leaderboard import (
    leaderboard,
    ranked,
    read_leaderboard,
    read_results,
    tuning_gain,
    winners,
    write_leaderboard,
)


def result(run_id: str, auc: float | None, f1: float = 0.1, **changes) -> dict:
    return {
        "status": "finished",
        "reason": None,
        "run_id": run_id,
        "reused": False,
        "choices": {"candidate": None, "features": "combined", "model": "autoencoder"},
        "parameters": {"model.latent_dim": 8, "threshold.percentile": 95.0, "run": run_id},
        "extra": [],
        "objective": auc,
        "data": "fingerprint",
        "metrics": {"final_auc": auc, "f1": f1},
        **changes,
    }


def test_best_objective_comes_first_and_f1_decides_between_equals():
    results = [
        result("a", 0.7),
        result("b", 0.9, f1=0.2, parameters={"threshold.percentile": 90.0}),
        result("b", 0.9, f1=0.4, parameters={"threshold.percentile": 95.0}),
    ]
    assert [(r["run_id"], r["metrics"]["f1"]) for r in ranked(results)] == [
        ("b", 0.4),
        ("b", 0.2),
        ("a", 0.1),
    ]


def test_winners_are_different_trainings_each_with_its_better_threshold():
    results = [
        result(run, auc, f1=f1, parameters={"p": p, "run": run})
        for run, auc in (("a", 0.9), ("b", 0.8), ("c", 0.7))
        for p, f1 in ((90, 0.1), (95, 0.3))
    ]
    best = winners(results, keep=2)
    assert [(r["run_id"], r["parameters"]["p"]) for r in best] == [("a", 95), ("b", 95)]


def test_what_failed_or_has_no_figure_never_wins_and_comes_last():
    results = [
        result("x", None, status="refused", metrics={}, parameters={"k": 1}),
        result("n", None, parameters={"k": 2}),
        result("a", 0.6, parameters={"k": 3}),
    ]
    assert ranked(results)[0]["run_id"] == "a"
    assert [r["run_id"] for r in winners(results, keep=10)] == ["a"]


@pytest.mark.promise("B11")
def test_a_figure_that_is_no_number_ranks_nowhere(tmp_path):
    figures = [0.5, math.nan, 0.7, math.nan, 0.6, 0.4]
    for order in itertools.permutations(range(len(figures)), 3):
        results = [result(f"r{n}", figures[n], f1=math.nan, parameters={"k": n}) for n in order]
        (tmp_path / "result.json").write_text(json.dumps(results))
        board = leaderboard(json.loads((tmp_path / "result.json").read_text()))
        known = board["final_auc"].dropna().tolist()
        assert known == sorted((figures[n] for n in order if n not in (1, 3)), reverse=True)
        assert board["final_auc"].head(len(known)).notna().all()
        assert len(winners(results, keep=10)) == len(known)


def test_the_same_combination_asked_for_twice_is_one_row():
    assert len(leaderboard([result("a", 0.9), result("a", 0.9)])) == 1


def test_leaderboard_comes_back_from_its_file(tmp_path):
    auc = 0.1 + 0.2
    write_leaderboard(tmp_path, "broad", [result("0123", auc), result("b", 0.2)])
    board = read_leaderboard(tmp_path, "broad")
    assert board["rank"].tolist() == [1, 2]
    assert board["final_auc"].iloc[0] == auc
    assert board["run_id"].iloc[0] == "0123"
    assert read_leaderboard(tmp_path, "final") is None


def test_own_metrics_are_columns():
    own = result("a", 0.9, extra=["cost"], metrics={"final_auc": 0.9, "f1": 0.1, "cost": 3.0})
    assert leaderboard([own])["cost"].tolist() == [3.0]


def test_results_are_read_in_the_order_of_the_jobs(tmp_path):
    for number in (10, 9, 0):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps(result(f"run{number}", 0.5)))
    (tmp_path / "11").mkdir()  # still running
    assert [r["run_id"] for r in read_results(tmp_path)] == ["run0", "run9", "run10"]
    assert isinstance(leaderboard(read_results(tmp_path)), pd.DataFrame)


def test_what_tuning_brought_is_that_of_the_stage_of_the_winner():
    bests = {"features": 0.8, "broad": 0.9, "final": 0.7}
    boards = {stage: leaderboard([result(stage, auc)]) for stage, auc in bests.items()}
    gains = {s: tuning_gain(boards, "final_auc", s) for s in (None, "broad", "features")}
    assert [gain["stage"] for gain in gains.values()] == ["final", "broad", "features"]
    assert [gain["gain"] for gain in gains.values()] == pytest.approx([-0.1, 0.1, 0.0])
