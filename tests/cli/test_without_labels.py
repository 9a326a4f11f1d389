"""A table without a single label, through every command."""

import json

import pandas as pd
import pytest
import requests

from fraud_ae.data.simulation.synthetic import simulate
from tests.commands import board, fraud_ae, run
from tests.serving.running import RunningService

SETTINGS = (
    "data=custom",
    "data.columns.is_fraud=null",
    "model.hidden_sizes=[16]",
    "trainer.max_epochs=2",
    "wandb.mode=offline",
)
BROAD = 'overrides.broad=["model.latent_dim=4,8","model.activation=relu","trainer.batch_size=128",'
BROAD += '"trainer.learning_rate=0.001"]'


def transactions(count: int, start: str, prefix: str) -> pd.DataFrame:
    days = count // 40
    frame = simulate(count, days=days, start=start, n_customers=200)[0].drop(columns="is_fraud")
    return frame.assign(transaction_id=prefix + frame["transaction_id"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An experiment after its pipeline, and a file of later transactions."""
    folder = tmp_path_factory.mktemp("unlabelled")
    first = transactions(4000, "2024-01-01", "A")
    first.to_csv(folder / "shop.csv", index=False)
    later = transactions(2000, "2024-04-11", "B")
    later.to_csv(folder / "later.csv", index=False)
    pd.concat([first, later]).to_csv(folder / "both.csv", index=False)
    printed = run("pipeline.py", *SETTINGS, "data.path=shop.csv", BROAD, cwd=folder)
    (folder / "printed.txt").write_text(printed)
    return folder


@pytest.mark.promise(9)
@pytest.mark.slow
def test_planted_anomalies_choose_in_every_stage(folder):
    experiment = folder / "outputs" / "custom"
    for stage in ("features", "broad", "refined", "final"):
        results = board(experiment, stage)
        assert results["planted_auc"].is_monotonic_decreasing
        assert results["planted_auc"].between(0.6, 1).all()
        assert results[["final_auc", "average_precision", "f1"]].isna().all(axis=None)
    decision = json.loads((experiment / "decision.json").read_text())
    assert decision["figure"] == "planted_auc"
    assert decision["tune"]
    assert decision["gain_over_baseline_strategy"]["low"] > 0
    printed = (folder / "printed.txt").read_text()
    assert "gate: tune, by planted anomalies, as no label is read" in printed
    assert "labels    none: these transactions have none" in printed
    assert "are unknown: these transactions have no is_fraud" not in printed


@pytest.mark.slow
def test_the_report_shows_kinds_in_place_of_figures_of_labels(folder):
    page = (folder / "outputs" / "custom" / "report.html").read_text()
    assert "ROC AUC of planted anomalies on test" in page
    assert "6 purchases in minutes" in page
    assert "No row has a label" in page


@pytest.mark.slow
def test_the_model_scores_and_its_threshold_can_be_chosen(folder):
    assert "later.csv.scores.csv: 2,000 scores" in fraud_ae(
        "score", "later.csv", "-o", "later.csv.scores.csv", cwd=folder
    )
    table = fraud_ae("threshold", cwd=folder)
    assert "not labelled" in table
    assert "learns from frauds; use percentile or budget" in table
    fraud_ae("threshold", "--method", "budget", "--alerts-per-day", "2", cwd=folder)
    refused = fraud_ae("threshold", "--method", "best_f1", cwd=folder, code=2)
    assert refused.count("\n") == 1
    assert "there is no fraud among" in refused


@pytest.mark.slow
def test_drift_compares_what_needs_no_label(folder):
    printed = fraud_ae("drift", "both.csv", "-o", "drift.json", cwd=folder, code=None)
    assert "not judged, needs 20 known frauds, has 0: ROC AUC, average precision" in printed
    assert (folder / "drift.json").is_file()


@pytest.mark.slow
def test_the_service_answers(folder):
    model = folder / "outputs" / "custom" / "models" / "production"
    service = RunningService(model, folder / "service")
    try:
        example = json.loads((model / "schema.json").read_text())["example"]
        answer = requests.post(f"{service.url}/score", json=example, timeout=30)
        assert answer.status_code == 200
        assert answer.json()["score"] > 0
    finally:
        service.stop()


@pytest.mark.slow
def test_a_challenger_is_judged_by_planted_anomalies(folder):
    stages = ("stages=[features,production]", 'overrides.production=["candidate=features_01"]')
    settings = (*SETTINGS, "data.path=both.csv", *stages)
    printed = fraud_ae("retrain", *settings, "--experiment", "custom", cwd=folder)
    assert " planted, 2024-" in printed
    assert max(map(len, printed.partition("\nretrain: ")[2].splitlines())) <= 80
    (decision,) = (folder / "outputs/custom/models/decisions").glob("0002.json")
    figures = json.loads(decision.read_text())["figures"]["planted_auc"]
    difference = figures["challenger"] - figures["champion"]
    assert figures["difference"] == pytest.approx(difference)
    assert figures["low"] <= figures["difference"] <= figures["high"]


@pytest.mark.slow
def test_labels_are_asked_for_where_an_objective_is_made_of_them(folder):
    asked = (*SETTINGS, "data.path=shop.csv", "objective=final_auc")
    refused = run("pipeline.py", *asked, cwd=folder, code=2)
    assert refused.splitlines()[-1].startswith("error: objective=final_auc is made of labels")
    trained = run("train.py", *SETTINGS, "data.path=shop.csv", "features=baseline", cwd=folder)
    assert "planted_auc=0." in trained.splitlines()[-1]
