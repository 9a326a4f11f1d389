"""Which stage's candidate becomes the model for production."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

from fraud_ae.configuration.command_line import candidate_folder
from fraud_ae.detector.files import MODEL_FILES
from fraud_ae.evaluation.bootstrap import paired_bootstrap
from fraud_ae.evaluation.planted_figures import planted_auc
from fraud_ae.experiments.run_store import Run
from fraud_ae.sweeps.callback import finish_stage
from fraud_ae.sweeps.candidates import write_candidates
from fraud_ae.sweeps.winner import WINNER, choose_winner, explain, origin, read_winner

STAGES = ("features", "broad", "refined", "final")
ROWS = 2000


def validation(customers: int = 200) -> pd.DataFrame:
    """Validation rows, one in ten of them fraud."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "transaction_id": pd.Series(range(ROWS)).astype("str"),
            "customer_id": pd.Series(rng.integers(0, 200, ROWS) % customers).astype("str"),
            "is_fraud": (rng.random(ROWS) < 0.1).astype(np.int8),
        }
    )


def scores(gain: float, seed: int = 1) -> np.ndarray:
    """Scores that see the more of the frauds, the higher the gain is."""
    noise = np.random.default_rng(seed).normal(size=ROWS)
    return (noise + gain * validation()["is_fraud"]).to_numpy(np.float32)


class Stages:
    """An experiment whose sweeps have ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended = 0

    def end(
        self,
        stage: str,
        found: np.ndarray,
        epochs: int,
        *,
        objective: str = "final_auc",
        reached: float | None = None,
        rows: pd.DataFrame | None = None,
        validation_set: str = "rows",
    ) -> str:
        """A sweep whose best run gave these scores; the id of that run."""
        rows = validation() if rows is None else rows
        run = Run(self.folder / "runs", {"stage": stage, "scores": found.tolist()})
        run.start()
        run.write_scores(rows.assign(score=found))
        run.write_history([{"epoch": 1, "val_loss": 0.5}])
        run.model_folder.mkdir()
        for name in MODEL_FILES:
            (run.model_folder / name).touch()
        if objective == "planted_auc":
            kind = pd.Series(np.where(rows["is_fraud"] == 1, "night", None))
            planted = rows.assign(kind=kind, score=found)
            run.write_planted_scores(planted)
            reached = planted_auc(planted)
        run.finish({"train_seconds": 1.0})
        figures = {"final_auc": roc_auc_score, "average_precision": average_precision_score}
        if reached is None:
            reached = float(figures[objective](rows["is_fraud"], found))
        winner = {
            "run_id": run.id,
            "metrics": {"final_auc": 0.5, "epochs": epochs},
            "overrides": {"trainer": {"max_epochs": epochs}},
            "data": "fingerprint",
            "validation_set": validation_set,
            "maximised": objective,
            "objective": reached,
        }
        write_candidates(self.folder, stage, [winner])
        # As the clock of a machine has it that jumps back after each sweep.
        self.ended += 1
        moment = (1_000_000 - self.ended) * 10**9
        os.utime(candidate_folder(self.folder) / f"{stage}_01.yaml", ns=(moment, moment))
        return run.id

    @property
    def paths(self) -> list[Path]:
        paths = [candidate_folder(self.folder) / f"{stage}_01.yaml" for stage in STAGES]
        return [path for path in paths if path.is_file()]

    def winner(self) -> dict:
        """What was decided and kept."""
        name = choose_winner(self.paths)
        decision = read_winner(self.folder)
        assert decision["candidate"] == name
        assert max(map(len, explain(decision).splitlines())) <= 80
        return decision


@pytest.fixture
def stages(tmp_path) -> Stages:
    return Stages(tmp_path / "experiment")


def test_a_final_stage_that_is_worse_loses_to_an_earlier_one(stages):
    best, worse = scores(2.0), scores(1.0, seed=2)
    run_id = stages.end("broad", best, 10)
    stages.end("final", worse, 50)
    decision = stages.winner()
    assert (decision["candidate"], decision["stage"]) == ("broad_01", "broad")
    assert decision["run_id"] == run_id
    rows = validation()
    expected = paired_bootstrap(rows["is_fraud"], worse, best, rows["customer_id"])
    final = decision["contenders"][1]
    assert {k: final[k] for k in ("difference", "low", "high")} == {
        k: expected[k] for k in ("difference", "low", "high")
    }
    assert final["high"] < 0
    shown = explain(decision)
    assert f"winner: broad_01, run {run_id}, 10 epochs" in shown
    assert f"{final['difference']:+.4f}, 95% {final['low']:+.4f} to {final['high']:+.4f}" in shown


def test_of_a_tie_the_shorter_training_wins_though_its_figure_is_lower(stages):
    stages.end("broad", scores(1.0, seed=2), 10)
    stages.end("final", scores(1.1, seed=3), 50)
    decision = stages.winner()
    broad, final = decision["contenders"]
    assert broad["reached"] < final["reached"]
    assert broad["low"] < 0 < broad["high"]
    assert decision["best"] == "final_01"
    assert decision["candidate"] == "broad_01"
    assert "ties with final_01, the best on validation, and trained shorter" in explain(decision)


def test_a_clear_gain_is_worth_a_longer_training(stages):
    stages.end("broad", scores(1.0, seed=2), 10)
    stages.end("refined", scores(1.1, seed=3), 15)
    run_id = stages.end("final", scores(2.0), 50)
    decision = stages.winner()
    assert (decision["candidate"], decision["run_id"]) == ("final_01", run_id)
    assert "no other ties" in decision["reason"]


def test_of_ties_that_trained_as_long_the_higher_figure_wins(stages):
    stages.end("features", scores(1.0, seed=2), 10)
    stages.end("broad", scores(1.1, seed=3), 10)
    stages.end("final", scores(1.15, seed=6), 50)
    decision = stages.winner()
    features, broad, _ = decision["contenders"]
    assert features["reached"] < broad["reached"]
    assert [c["tied"] for c in decision["contenders"]] == [True, True, True]
    assert decision["candidate"] == "broad_01"


def test_the_very_same_run_is_of_the_earlier_stage(stages):
    stages.end("features", scores(1.0), 10)
    stages.end("broad", scores(1.0), 10)
    assert stages.winner()["candidate"] == "features_01"


def test_the_order_of_rows_and_stages_changes_nothing(stages):
    stages.end("features", scores(0.5, seed=4), 10)
    stages.end("broad", scores(1.0, seed=2), 10)
    run_id = stages.end("final", scores(1.1, seed=3), 50)
    expected = stages.winner()
    kept = stages.folder / "runs" / run_id
    run = Run(kept.parent, yaml.safe_load((kept / "config.yaml").read_text()))
    run.write_scores(run.scores().sample(frac=1, random_state=0))
    run.finish(run.metrics())
    assert stages.winner() == expected
    assert choose_winner(stages.paths[::-1]) == expected["candidate"]


@pytest.mark.parametrize("epochs", [10, 50])
def test_a_single_stage_wins_unopposed(stages, epochs):
    stages.end("refined", scores(1.0), epochs)
    decision = stages.winner()
    assert decision["candidate"] == "refined_01"
    assert "the only stage" in explain(decision)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["average_precision", "planted_auc"])
def test_the_objective_of_the_sweeps_is_what_is_compared(stages, objective):
    stages.end("broad", scores(1.0, seed=2), 10, objective=objective)
    stages.end("refined", scores(1.1, seed=3), 15, objective=objective)
    stages.end("final", scores(0.2, seed=3), 50, objective=objective)
    decision = stages.winner()
    assert decision["objective"] == objective
    assert decision["candidate"] == "broad_01"
    assert [c["tied"] for c in decision["contenders"]] == [True, True, False]
    assert decision["contenders"][2]["high"] < 0
    stages.end("final", scores(3.0), 50, objective=objective)
    assert stages.winner()["candidate"] == "final_01"


def test_a_metric_of_ones_own_ties_only_where_it_is_the_same(stages):
    own = {"objective": "saved"}
    stages.end("broad", scores(1.0, seed=2), 10, reached=120.0, **own)
    stages.end("final", scores(1.0, seed=3), 50, reached=120.5, **own)
    assert stages.winner()["candidate"] == "final_01"
    stages.end("final", scores(1.0, seed=3), 50, reached=120.0, **own)
    assert stages.winner()["candidate"] == "broad_01"


def test_rows_of_one_customer_have_no_interval_and_the_figure_decides(stages):
    rows = validation(customers=1)
    stages.end("broad", scores(1.0, seed=2), 10, rows=rows)
    stages.end("final", scores(1.1, seed=2), 50, rows=rows)
    assert stages.winner()["candidate"] == "final_01"


def test_stages_of_another_objective_or_other_rows_do_not_compete(stages):
    stages.end("final", scores(3.0), 50, validation_set="earlier rows")
    stages.end("refined", scores(3.0), 15, objective="average_precision")
    stages.end("features", scores(0.5), 10)
    stages.end("broad", scores(1.5), 10)
    decision = stages.winner()
    assert decision["candidate"] == "broad_01"
    assert decision["left_out"] == ["refined_01", "final_01"]
    assert "refined_01, final_01" in explain(decision)


def test_a_stage_whose_run_is_gone_does_not_compete(stages):
    run_id = stages.end("broad", scores(2.0), 10)
    stages.end("final", scores(1.0), 50)
    (stages.folder / "runs" / run_id / "metrics.json").unlink()
    decision = stages.winner()
    assert decision["candidate"] == "final_01"
    assert decision["left_out"] == ["broad_01"]


def test_files_that_do_not_say_what_they_reached_leave_it_to_the_last_stage(stages):
    for stage in ("features", "final"):
        path = candidate_folder(stages.folder) / f"{stage}_01.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# @package _global_\n" + yaml.safe_dump({"seed": 1}))
    assert choose_winner(stages.paths) == "final_01"
    assert read_winner(stages.folder) is None


def test_a_sweep_that_ends_overtakes_the_decision(stages, tmp_path, capsys):
    stages.end("broad", scores(1.0), 10)
    stages.winner()
    job = tmp_path / "sweep" / "0"
    job.mkdir(parents=True)
    result = {
        "status": "refused",
        "reason": "no customers",
        "run_id": None,
        "reused": False,
        "choices": {"candidate": None, "features": "combined", "model": "autoencoder"},
        "parameters": {},
        "extra": [],
        "objective": None,
        "metrics": {},
        "data": "fingerprint",
    }
    (job / "result.json").write_text(json.dumps(result))
    finish_stage(stages.folder, "refined", 3, tmp_path / "sweep")
    assert not (stages.folder / WINNER).exists()


def test_where_a_run_comes_from_is_told_with_the_reason(stages):
    run_id = stages.end("broad", scores(2.0), 10)
    other = stages.end("final", scores(1.0, seed=2), 50)
    reason = stages.winner()["reason"]
    chosen = {"stage": "broad", "candidate": "broad_01", "reason": reason}
    assert origin(stages.folder, "broad_01", run_id) == chosen
    asked = {"stage": "final", "candidate": "final_01", "reason": "asked for"}
    assert origin(stages.folder, "final_01", other) == asked
    assert origin(stages.folder, "broad_01", "another")["stage"] is None
    assert origin(stages.folder, None, "another")["candidate"] is None
