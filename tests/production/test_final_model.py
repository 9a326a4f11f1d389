import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.errors import UserError
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.threshold import ThresholdPolicy
from fraud_ae.experiments import run as experiment
from fraud_ae.experiments.identity import production_identity
from fraud_ae.experiments.run_store import Run
from tests.conftest import Made

pytestmark = pytest.mark.slow

FITS = ("train", "train+validation", "all")


@pytest.fixture(scope="module")
def config(compose) -> dict:
    # So high a rate that the best epoch is not the last, and the rate is lowered on the way.
    wild = ("trainer.learning_rate=0.2", "trainer.reduce_lr_patience=0", "trainer.min_delta=0.05")
    return compose(*wild, "model.norm=none", "trainer.max_epochs=12", "seed=2")


@pytest.fixture(scope="module")
def split(config, dataset) -> Split:
    return config.split


@pytest.fixture(scope="module")
def winner(config, train, tmp_path_factory) -> Run:
    return train(config, tmp_path_factory.mktemp("winner"))


@pytest.fixture(scope="module")
def make_here(make, config, winner) -> Callable[..., Made]:
    return functools.partial(make, config, winner)


@pytest.fixture(scope="module", params=FITS)
def made(request, make_here, tmp_path_factory) -> Made:
    return make_here(request.param, tmp_path_factory.mktemp("experiment"))


@pytest.fixture(scope="module")
def refitted(make_here, tmp_path_factory) -> Made:
    return make_here("train+validation", tmp_path_factory.mktemp("refitted"))


def garbled_test_rows(dataset: Dataset, split: Split) -> Dataset:
    """Wrong values everywhere in the rows after validation, but for the times."""
    transactions = dataset.transactions.copy()
    rows = ~split.before_test(transactions)
    transactions["is_fraud"] = transactions["is_fraud"].mask(rows, 1 - transactions["is_fraud"])
    transactions["amount"] = transactions["amount"].mask(rows, 99_999.0)
    for name in transactions.select_dtypes("str").columns.drop("transaction_id"):
        transactions[name] = transactions[name].mask(rows, "garbage")
    return replace(dataset, transactions=transactions)


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def test_the_winner_of_these_tests_was_not_best_in_its_last_epoch(winner):
    history = winner.history()
    best = winner.metrics()["best_epoch"]
    assert 1 < best < len(history)
    assert history["learning_rate"][:best].nunique() > 1


def test_the_model_and_what_is_known_of_it_are_published(made):
    model = made.folder / "models" / "final_model"
    assert sorted(path.name for path in model.iterdir()) == [
        "detector.json",
        "encoder.json",
        "history.parquet",
        "manifest.json",
        "model_info.yaml",
        "reference.json",
        "schema.json",
        "scorer.json",
        "strategy.json",
        "validation_scores.parquet",
        "weights.safetensors",
    ]
    assert [path.name for path in model.parent.iterdir()] == ["final_model"]
    assert weights(model) == weights(made.plan.run.model_folder)
    assert yaml.safe_load((made.folder / "model_info.yaml").read_text()) == made.info
    assert made.plan.run.finished


def test_model_info_says_where_the_model_comes_from(made, config, dataset, winner):
    info = made.info
    assert info["configuration"] == config.settings
    assert info["name"] == config.experiment
    assert info["run_id"] == made.plan.run.id != winner.id
    assert info["data"]["fingerprint"] == dataset.fingerprint
    assert info["data"]["rows"] == len(dataset.transactions)
    assert set(info["data"]["split"]) == {"train", "validation", "test"}
    assert info["feature_names"] == made.model.feature_names
    assert {"fraud_ae", "python", "torch", "numpy"} <= set(info["versions"])


def test_figures_stand_under_the_fit_that_they_belong_to(made, winner):
    found = made.info["figures"]
    assert found["winner"]["fitted_on"] == "train"
    assert found["winner"]["run_id"] == winner.id
    assert found["winner"]["validation"]["final_auc"] == winner.metrics()["final_auc"]
    assert found["deployed"]["fitted_on"] == made.plan.fit_on
    # A model that was fitted on the test rows has no figures on them.
    assert ("test" in found["deployed"]) == (made.plan.fit_on != "all")
    assert (found["deployed"].get("test") == found["winner"]["test"]) == (
        made.plan.fit_on == "train"
    )


def test_test_figures_are_those_of_the_models_on_the_test_rows(made, dataset, split, winner):
    found = made.info["figures"]
    test = split.test(dataset.transactions)
    labels = dataset.transactions["is_fraud"][test]
    models = {"winner": FraudDetector.load(winner.model_folder)}
    if made.plan.fit_on != "all":
        models["deployed"] = made.model
        assert found["deployed"]["test"]["threshold"] == made.model.threshold
    chosen = found["winner"]["validation"]["threshold"]
    assert found["winner"]["test"]["threshold"] == chosen == winner.metrics()["threshold"]
    for name, model in models.items():
        scores = model.predict_anomaly_scores(dataset.transactions)[test]
        flagged = (scores > found[name]["test"]["threshold"]).astype(int)
        assert found[name]["test"]["test_auc"] == pytest.approx(roc_auc_score(labels, scores))
        assert found[name]["test"]["precision"] == precision_score(labels, flagged)
        assert found[name]["test"]["recall"] == recall_score(labels, flagged)
        assert "final_auc" not in found[name]["test"]


def test_the_threshold_is_that_of_rows_the_model_was_not_fitted_on(made, dataset, split, winner):
    part = "test" if made.plan.fit_on == "all" else "validation"
    rows = dataset.transactions[getattr(split, part)(dataset.transactions)]
    held_out = made.plan.run.scores()
    assert held_out["transaction_id"].tolist() == rows["transaction_id"].tolist()
    assert held_out["is_fraud"].tolist() == rows["is_fraud"].tolist()
    assert held_out["score"].notna().all()
    threshold = np.percentile(held_out["score"], 95)
    deployed = made.info["figures"]["deployed"]
    assert deployed["threshold"] == pytest.approx(threshold)
    assert deployed["threshold_from"].startswith(part)
    assert made.model.threshold == deployed["threshold"]
    # The deployed fit has seen these rows, and does not give them the same scores.
    seen = made.model.predict_anomaly_scores(dataset.transactions)
    own = seen[getattr(split, part)(dataset.transactions)]
    assert np.allclose(own, held_out["score"], atol=1e-6) == (made.plan.fit_on == "train")


def test_as_many_rows_are_fitted_as_asked_for(made, dataset, split):
    normal = (dataset.transactions["is_fraud"] == 0).to_numpy()
    validation = split.validation(dataset.transactions)
    test = split.test(dataset.transactions)
    fit_rows = {
        "train": np.zeros(len(normal), dtype=bool),
        "train+validation": split.before_test(dataset.transactions),
        "all": np.ones(len(normal), dtype=bool),
    }[made.plan.fit_on]
    held_out = validation if made.plan.fit_on == "train+validation" else test
    total = int((fit_rows & normal).sum())
    if made.plan.fit_on == "train":
        assert made.trainings == []
        return
    deployed, *folds = [training["rows"] for training in made.trainings]
    assert deployed == total
    assert len(folds) == 3
    assert sum(total - rows for rows in folds) == int((held_out & normal).sum())


def test_a_refit_repeats_the_learning_rates_of_the_winner_up_to_its_best_epoch(made, winner):
    best = winner.metrics()["best_epoch"]
    rates = winner.history()["learning_rate"][:best].tolist()
    for training in made.trainings:
        assert [row["learning_rate"] for row in training["history"]] == rates
        assert [row["epoch"] for row in training["history"]] == list(range(1, best + 1))
    assert made.plan.run.history()["learning_rate"].tolist() == rates


def test_deploying_the_winner_deploys_its_weights(make_here, winner, tmp_path):
    found = make_here("train", tmp_path)
    assert weights(found.plan.run.model_folder) == weights(winner.model_folder)


def test_a_refit_has_other_weights_than_the_winner(refitted, winner):
    assert weights(refitted.plan.run.model_folder) != weights(winner.model_folder)


def test_making_it_anew_gives_the_same_model(refitted, make_here, tmp_path):
    again = make_here("train+validation", tmp_path)
    assert weights(again.plan.run.model_folder) == weights(refitted.plan.run.model_folder)
    assert again.info["figures"] == refitted.info["figures"]


def test_the_test_rows_have_no_influence_on_the_deployed_model(
    refitted, make_here, dataset, split, tmp_path
):
    other = make_here("train+validation", tmp_path, dataset=garbled_test_rows(dataset, split))
    ours, theirs = refitted.plan.run.model_folder, other.plan.run.model_folder
    for name in ("weights.safetensors", "strategy.json", "encoder.json", "scorer.json"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    assert other.model.threshold == refitted.model.threshold
    found, before = other.info["figures"], refitted.info["figures"]
    assert found["winner"]["validation"] == before["winner"]["validation"]
    assert found["winner"]["test"] != before["winner"]["test"]


@pytest.fixture
def no_work(monkeypatch):
    """Neither training nor scoring is possible."""

    def refuse(*arguments, **settings):
        raise AssertionError("fitted or scored again")

    monkeypatch.setattr(experiment, "train_together", refuse)
    monkeypatch.setattr(FraudDetector, "score_inputs", refuse)


@pytest.mark.usefixtures("no_work")
def test_a_finished_fit_is_neither_repeated_nor_scored_again(made, make_here):
    again = make_here(made.plan.fit_on, made.folder)
    assert again.info == made.info
    assert again.plan.run.metrics() == made.plan.run.metrics()


def test_a_broken_model_folder_is_published_again_from_the_kept_fit(made, make_here):
    model = made.folder / "models" / "final_model"
    (model / "detector.json").write_text("{")
    (made.folder / "model_info.yaml").unlink()
    assert make_here(made.plan.fit_on, made.folder).model.threshold == made.model.threshold
    assert (made.folder / "model_info.yaml").exists()


def test_another_percentile_or_metric_changes_figures_without_fitting(
    made, make_here, request, tmp_path, monkeypatch
):
    (tmp_path / "own_figures.py").write_text("def frauds(y, s):\n    return y.sum()\n")
    monkeypatch.syspath_prepend(tmp_path)
    request.getfixturevalue("no_work")
    other = Evaluation(ThresholdPolicy(percentile=80.0), {"n": "own_figures.frauds"})
    found = make_here(made.plan.fit_on, made.folder, evaluation=other)
    held_out = found.plan.run.scores()["score"]
    assert found.model.threshold == pytest.approx(np.percentile(held_out, 80))
    assert found.model.threshold < made.info["figures"]["deployed"]["threshold"]
    assert weights(found.folder / "models" / "final_model") == weights(made.plan.run.model_folder)
    before, after = made.info["figures"]["winner"], found.info["figures"]["winner"]
    assert after["test"]["alert_rate"] > before["test"]["alert_rate"]
    assert after["test"]["test_auc"] == before["test"]["test_auc"]
    assert after["test"]["n"] == found.info["data"]["split"]["test"]["frauds"]
    make_here(made.plan.fit_on, made.folder)  # as it was, for the other tests


def test_an_interrupted_fit_is_made_anew(make_here, tmp_path, monkeypatch):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_parquet", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_here("train", tmp_path)
    assert not list(tmp_path.glob("runs/*/metrics.json"))
    assert not (tmp_path / "models").exists()
    monkeypatch.undo()
    assert make_here("train", tmp_path).plan.run.finished


def test_a_metric_that_cannot_be_imported_is_refused_before_anything_is_fitted(
    make_here, tmp_path, monkeypatch, request
):
    request.getfixturevalue("no_work")
    evaluation = Evaluation(extra={"cost": "no_such_module.cost"})
    with pytest.raises(UserError, match=r"metrics\.extra\.cost"):
        make_here("train+validation", tmp_path, evaluation=evaluation)


def test_each_fit_and_number_of_folds_is_a_run_of_its_own(winner):
    ids = {
        Run(Path(), production_identity(winner.identity, fit_on, folds)).id
        for fit_on in FITS
        for folds in (3, 4)
    }
    assert len(ids | {winner.id}) == 7
