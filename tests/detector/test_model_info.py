"""What `model_info.yaml` says, and what another threshold makes of a model that is there."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace

import pandas as pd
import pytest
import yaml

from fraud_ae.data.sources import Dataset
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.files import MODEL_FILES
from fraud_ae.detector.model_info import flat_metrics
from fraud_ae.errors import UserError
from fraud_ae.evaluation.breakdown import breakdown
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.threshold import ThresholdPolicy
from fraud_ae.experiments import run as experiment
from fraud_ae.experiments.run_store import TEST_SCORES
from tests.conftest import Made

QUICK = ("trainer.max_epochs=1", "metrics.replicates=10")


@pytest.fixture(scope="module")
def make_from(compose, train, make, tmp_path_factory) -> Callable[..., Made]:
    """Trains a winner and makes its production model."""

    def made(*overrides: str, fit_on: str = "train", **others) -> Made:
        config, folder = compose(*QUICK, *overrides), tmp_path_factory.mktemp("experiment")
        dataset = {k: v for k, v in others.items() if k == "dataset"}
        winner = train(config, folder / "winner", **dataset)
        return make(config, winner, fit_on, folder, **others)

    return made


@pytest.fixture(scope="module")
def made(make_from) -> Made:
    return make_from(fit_on="train+validation", folds=2)


def refuse(*arguments, **settings):
    raise AssertionError("fitted or scored again")


def without_frauds(dataset: Dataset, rows) -> Dataset:
    labels = dataset.transactions["is_fraud"].mask(rows, 0)
    return replace(dataset, transactions=dataset.transactions.assign(is_fraud=labels))


def test_labels_that_went_into_the_model_are_listed(made):
    found = made.info["labels"]
    risks = ("age_band", "customer_location", "payment_method", "product_category")
    assert set(found.pop("features_from_labels")) == {
        *(f"terminal_delayed_fraud_rate_{days}d" for days in (1, 7, 30)),
        *(f"risk_of_{name}" for name in risks),
    }
    assert found == {
        "unsupervised": False,
        "none_known": False,
        "train_on": "normal",
        "scorer": "ReconstructionScorer",
        "scorer_uses_labels": False,
        "scorer_fallback": None,
        "threshold_uses_labels": False,
    }


UNLABELLED = ("data.train_on=all", "features=temporal")


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [UNLABELLED[:1], UNLABELLED[1:]])
def test_a_model_with_any_of_that_is_not_called_unsupervised(make_from, overrides):
    assert not make_from(*overrides).info["labels"]["unsupervised"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides", [(), ("scorer=mahalanobis", "model.members=2", "threshold.method=budget")]
)
def test_an_unsupervised_model_is_the_same_whatever_the_labels_are(
    make_from, make, compose, dataset, overrides
):
    flipped = dataset.transactions.assign(is_fraud=1 - dataset.transactions["is_fraud"])
    models = [
        make_from(*UNLABELLED, *overrides, dataset=replace(dataset, transactions=transactions))
        for transactions in (dataset.transactions, flipped)
    ]
    assert all(found.info["labels"]["unsupervised"] for found in models)
    first, second = (found.folder / "models" / "final_model" for found in models)
    for name in MODEL_FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    config = compose(*QUICK, *UNLABELLED, *overrides, "threshold.method=best_f1")
    labelled = make(config, models[0].plan.winner, "train", models[0].folder)
    assert not labelled.info["labels"]["unsupervised"]


def test_a_scorer_that_found_too_few_frauds_says_so(make_from, dataset, caplog):
    few = without_frauds(dataset, dataset.transactions["is_fraud"].cumsum() > 2)
    labels = make_from(*UNLABELLED, "scorer=calibrated", dataset=few).info["labels"]
    assert labels["scorer_fallback"].startswith("2 known frauds")
    assert labels["scorer_fallback"] in caplog.text
    assert not labels["scorer_uses_labels"]
    assert not labels["unsupervised"]


@pytest.mark.slow
def test_a_refit_of_a_calibrated_ensemble_keeps_the_curve_of_the_winner(make_from, compose):
    ensemble = ("scorer=calibrated", "model=masked", "model.members=2")
    more_frauds = compose("data.fraud_ratio=0.1").dataset
    found = make_from(*ensemble, fit_on="train+validation", folds=2, dataset=more_frauds)
    winner = FraudDetector.load(found.plan.winner.model_folder)
    assert found.info["labels"]["scorer_fallback"] is None
    assert found.model.scorer.curve_ == winner.scorer.curve_
    assert found.info["labels"]["scorer_uses_labels"]
    held_out = found.plan.run.scores()["score"]
    assert held_out.between(0, 1).all()
    assert (found.folder / "models" / "final_model" / "trees.json").is_file()


def test_optimism_is_what_validation_promised_and_test_did_not_hold(made):
    winner = made.info["figures"]["winner"]
    names = {"final_auc", "average_precision", "precision", "recall", "f1"}
    assert set(winner["optimism"]) == names
    for name, found in winner["optimism"].items():
        tested = winner["test"]["test_auc" if name == "final_auc" else name]
        assert found == winner["validation"][name] - tested


@pytest.mark.slow
def test_without_frauds_in_the_test_rows_and_scenarios_their_figures_are_unknown(
    make_from, compose, dataset
):
    test = compose().split.test(dataset.transactions)
    found = make_from(dataset=replace(without_frauds(dataset, test), scenarios=None))
    winner = found.info["figures"]["winner"]
    assert winner["test"]["test_auc"] is None
    assert winner["optimism"]["final_auc"] is None
    # Of no fraud none can be missed.
    assert winner["optimism"]["recall"] is None
    assert {row["by"] for row in winner["test_by_group"]} == {"amount band", "month"}
    assert yaml.safe_load((found.folder / "model_info.yaml").read_text()) == found.info


@pytest.mark.parametrize("part", ["validation", "test"])
def test_figures_are_broken_down_by_scenario_amount_band_and_month(made, part):
    winner = made.info["figures"]["winner"]
    scores = made.plan.winner.scores()
    if part == "test":
        scores = pd.read_parquet(made.plan.run.folder / TEST_SCORES)
    found = pd.DataFrame(winner[f"{part}_by_group"])
    assert found["by"].unique().tolist() == ["scenario", "amount band", "month"]
    scenarios = set(found["group"][found["by"] == "scenario"])
    assert scenarios == set(scores["fraud_scenario"][scores["is_fraud"] == 1])
    assert scenarios <= {"card_testing", "account_takeover", "stolen_card", "compromised_merchant"}
    expected = breakdown(scores, winner["validation"]["threshold"])
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    for by in ("amount band", "month"):
        assert found["rows"][found["by"] == by].sum() == len(scores)


@pytest.mark.slow
def test_another_threshold_changes_the_model_without_fitting(
    made, make, compose, tmp_path, monkeypatch
):
    shutil.copytree(made.folder, tmp_path / "copy")
    monkeypatch.setattr(experiment, "train_together", refuse)
    monkeypatch.setattr(FraudDetector, "score_inputs", refuse)
    policy = ThresholdPolicy("best_f1")
    asked = (compose(*QUICK), made.plan.winner, made.plan.fit_on, tmp_path / "copy")
    found = make(*asked, folds=2, evaluation=Evaluation(policy))
    assert found.trainings == []
    assert found.plan.run.id == found.info["run_id"] == made.info["run_id"]
    assert found.model.threshold == policy.choose(made.plan.run.scores())
    assert found.model.threshold != made.info["figures"]["deployed"]["threshold"]
    assert found.model.threshold_policy == policy
    model = found.folder / "models" / "final_model"
    settings = json.loads((model / "detector.json").read_text())
    deployed = found.info["figures"]["deployed"]
    assert settings["threshold_policy"] == deployed["threshold_policy"] == asdict(policy)
    assert settings["threshold"] == deployed["threshold"] == found.model.threshold
    winner = found.info["figures"]["winner"]
    assert winner["test"]["threshold"] == policy.choose(made.plan.winner.scores())
    assert found.info["labels"]["threshold_uses_labels"]

    def no_frauds(*arguments):
        raise UserError("threshold.method=cost: there is no fraud")

    # Where another cannot be chosen, the model stays as it is.
    monkeypatch.setattr(ThresholdPolicy, "choose", no_frauds)
    with pytest.raises(UserError, match="no fraud"):
        make(*asked, folds=2, evaluation=Evaluation(ThresholdPolicy("cost")))
    assert found.model.threshold == found.info["figures"]["deployed"]["threshold"]
    assert yaml.safe_load((found.folder / "model_info.yaml").read_text()) == found.info


def test_a_threshold_from_labels_needs_frauds_and_says_so_before_training(
    compose, train, dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(experiment, "train_together", refuse)
    config = compose(*QUICK, "threshold.method=best_f1")
    validation = config.split.validation(dataset.transactions)
    with pytest.raises(UserError, match=r"threshold\.method=best_f1: there is no fraud"):
        train(config, tmp_path, without_frauds(dataset, validation))
    assert not list(tmp_path.iterdir())


def test_flat_figures_are_those_of_model_info(made):
    flat, found = flat_metrics(made.info["figures"]), made.info["figures"]
    assert flat["final_auc"] == found["winner"]["validation"]["final_auc"]
    assert flat["test_auc"] == found["winner"]["test"]["test_auc"]
    assert flat["test_average_precision"] == found["winner"]["test"]["average_precision"]
    assert flat["optimism"] == flat["final_auc"] - flat["test_auc"]
    assert flat["deployed_threshold"] == made.model.threshold
    assert flat["deployed_alert_rate"] == found["deployed"]["test"]["alert_rate"]
    for name in ("best_epoch", "feature_count", "fraud_ratio"):
        assert flat[name] == found["winner"][name]
    # At a threshold, all are of one fit.
    for name in ("threshold", "precision", "recall", "alert_rate"):
        assert flat[name] == found["winner"]["test"][name]


@pytest.mark.slow
def test_a_model_fitted_on_all_rows_has_no_alert_rate_of_its_own(made, make, compose, tmp_path):
    found = make(compose(*QUICK), made.plan.winner, "all", tmp_path, folds=2)
    assert "deployed_alert_rate" not in flat_metrics(found.info["figures"])
