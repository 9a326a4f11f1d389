import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn import metrics as sklearn_metrics

from fraud_ae.configuration.job import Job
from fraud_ae.data.sources import Dataset
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.files import MODEL_FILES
from fraud_ae.errors import UserError
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.threshold import ThresholdPolicy
from fraud_ae.experiments import run as experiment
from fraud_ae.experiments.run_figures import evaluate_run
from fraud_ae.experiments.run_store import Run
from fraud_ae.features import compute_features, strategy_to_dict
from fraud_ae.features.encoded_data import encode
from fraud_ae.scorers.signals import signals_of


def garbled(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """Wrong values everywhere in these rows, but for the times."""
    transactions = dataset.transactions.copy()
    transactions["is_fraud"] = transactions["is_fraud"].mask(rows, 1 - transactions["is_fraud"])
    for name in transactions.select_dtypes("number").columns.drop("is_fraud"):
        transactions[name] = transactions[name].mask(rows, 99_999.0)
    for name in transactions.select_dtypes("str").columns.drop("transaction_id"):
        transactions[name] = transactions[name].mask(rows, "garbage")
    assert not transactions.equals(dataset.transactions)
    return replace(dataset, transactions=transactions)


def weights(run: Run) -> bytes:
    return (run.model_folder / "weights.safetensors").read_bytes()


def figures(run: Run) -> dict:
    return {k: v for k, v in run.metrics().items() if k != "train_seconds"}


def forbid_training(monkeypatch) -> None:
    def refuse(*arguments, **settings):
        raise AssertionError("trained again")

    monkeypatch.setattr(experiment, "train_together", refuse)


def test_a_run_writes_all_its_files_and_the_metrics_last(finished_run):
    files = [path for path in finished_run.folder.rglob("*") if path.is_file()]
    files = [path for path in files if path.parent.name != "evaluations"]
    assert {path.relative_to(finished_run.folder).as_posix() for path in files} == {
        "checksums.json",
        "config.yaml",
        "groups.csv",
        "history.csv",
        "model/manifest.json",
        "top_transactions.json",
        "metrics.json",
        "validation_scores.parquet",
        "model/detector.json",
        "model/encoder.json",
        "model/scorer.json",
        "model/strategy.json",
        "model/weights.safetensors",
    }
    # The checksums have to know the metrics, whose name comes last.
    files = [path for path in files if path.name != "checksums.json"]
    written = {path.name: path.stat().st_mtime_ns for path in files}
    assert max(written, key=written.get) == "metrics.json"


def test_an_interrupted_run_is_not_finished(compose, train, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "write_scores", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(compose("trainer.max_epochs=1"), tmp_path)
    assert not list(tmp_path.glob("*/metrics.json"))
    monkeypatch.undo()
    assert train(compose("trainer.max_epochs=1"), tmp_path).finished


def test_the_folder_says_what_was_trained(finished_run, compose, dataset):
    kept = yaml.safe_load((finished_run.folder / "config.yaml").read_text())
    assert kept == compose().run.identity


def test_the_metrics_are_those_of_the_kept_scores(finished_run):
    kept, found = finished_run.scores(), finished_run.metrics()
    labels, scores = kept["is_fraud"], kept["score"]
    flagged = (scores > found["threshold"]).astype(int)
    assert found["threshold"] == pytest.approx(np.percentile(scores, 95))
    expected = {
        "final_auc": sklearn_metrics.roc_auc_score(labels, scores),
        "average_precision": sklearn_metrics.average_precision_score(labels, scores),
        "precision": sklearn_metrics.precision_score(labels, flagged),
        "recall": sklearn_metrics.recall_score(labels, flagged),
        "f1": sklearn_metrics.f1_score(labels, flagged),
        "alert_rate": flagged.mean(),
        "fraud_ratio": labels.mean(),
        "validation_rows": len(kept),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    confusion = [found[f"{name}s"] for name in ("true_negative", "false_positive")]
    confusion += [found[f"{name}s"] for name in ("false_negative", "true_positive")]
    assert confusion == sklearn_metrics.confusion_matrix(labels, flagged).ravel().tolist()


def test_the_scores_are_those_of_the_validation_rows(finished_run, compose, dataset):
    rows = dataset.transactions[compose().split.validation(dataset.transactions)]
    kept = finished_run.scores()
    assert kept["transaction_id"].tolist() == rows["transaction_id"].tolist()
    assert kept["is_fraud"].tolist() == rows["is_fraud"].tolist()
    assert kept["score"].dtype == np.float32


def test_the_history_fits_the_metrics(finished_run):
    history, found = finished_run.history(), finished_run.metrics()
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert found["epochs"] == 4
    assert found["best_epoch"] == history["val_loss"].idxmin() + 1
    detector = json.loads((finished_run.model_folder / "detector.json").read_text())
    assert detector["threshold"] == found["threshold"]
    assert detector["network"]["n_inputs"] == found["input_count"]


@pytest.mark.parametrize("train_on", ["normal", "all"])
def test_known_frauds_are_trained_on_only_where_asked_for(
    compose, train, dataset, tmp_path, train_on
):
    config = compose(f"data.train_on={train_on}", "trainer.max_epochs=1")
    rows = dataset.transactions[config.split.train(dataset.transactions)]
    normal = int((rows["is_fraud"] == 0).sum())
    assert normal < len(rows)
    expected = normal if train_on == "normal" else len(rows)
    assert train(config, tmp_path).metrics()["train_rows"] == expected


@pytest.mark.parametrize("train_on", ["normal", "all"])
def test_the_best_epoch_is_that_of_validation_rows_of_the_kind_that_is_trained_on(
    compose, train, dataset, tmp_path, train_on
):
    config = compose(f"data.train_on={train_on}", "trainer.max_epochs=2")
    run = train(config, tmp_path)
    detector = FraudDetector.load(run.model_folder)
    split = config.split
    features = compute_features(detector.strategy, dataset.transactions)
    validation = split.validation(dataset.transactions)
    normal = (dataset.transactions["is_fraud"] == 0).to_numpy()
    rows = validation & normal if train_on == "normal" else validation
    inputs, groups = detector.encoder.transform(features[rows]), detector.encoder.input_groups()
    errors = np.square(signals_of(detector.network, inputs, groups).residuals)
    assert errors.mean() == pytest.approx(run.history()["val_loss"].min(), rel=1e-5)


def test_a_run_can_be_repeated_bit_for_bit(finished_run, compose, train, tmp_path):
    again = train(compose(), tmp_path)
    assert again.id == finished_run.id
    assert weights(again) == weights(finished_run)
    assert figures(again) == figures(finished_run)


def test_the_test_rows_have_no_influence(finished_run, compose, train, dataset, tmp_path):
    split = compose().split
    unseen = garbled(dataset, ~split.before_test(dataset.transactions))
    run = train(compose(), tmp_path, unseen)
    assert run.id != finished_run.id
    for name in MODEL_FILES:
        kept = (finished_run.model_folder / name).read_bytes()
        assert (run.model_folder / name).read_bytes() == kept
    assert figures(run) == figures(finished_run)


def test_features_are_fitted_on_the_training_rows_alone(compose, dataset):
    config = compose()
    split = config.split
    strategy, encoder = config.strategy, config.encoder
    train_rows = split.train(dataset.transactions)
    unseen = garbled(dataset, ~train_rows).transactions
    before = encode(strategy, encoder, dataset.transactions, train_rows, "normal")
    changed = encode(strategy, encoder, unseen, train_rows, "normal")
    np.testing.assert_array_equal(changed.inputs[train_rows], before.inputs[train_rows])
    assert changed.encoder.to_dict() == before.encoder.to_dict()
    assert strategy_to_dict(changed.strategy) == strategy_to_dict(before.strategy)
    assert not np.array_equal(changed.inputs, before.inputs)


def test_encoding_leaves_what_it_is_given_as_it_is(compose, dataset):
    strategy, encoder = compose().strategy, compose().encoder
    before = strategy_to_dict(strategy), vars(encoder).copy()
    transactions = dataset.transactions.copy()
    encode(strategy, encoder, transactions, np.ones(len(transactions), dtype=bool), "normal")
    assert (strategy_to_dict(strategy), vars(encoder)) == before
    pd.testing.assert_frame_equal(transactions, dataset.transactions)


OWN_METRICS = """
import numpy as np

def frauds_in_the_top_ten(y_true, scores):
    return y_true[np.argsort(scores)[-10:]].sum()
"""


@pytest.fixture
def own_metric(tmp_path, monkeypatch) -> dict[str, str]:
    (tmp_path / "own_ranking.py").write_text(OWN_METRICS)
    monkeypatch.syspath_prepend(tmp_path)
    return {"top_ten": "own_ranking.frauds_in_the_top_ten"}


def with_metrics(job: Job, extra: dict[str, str]) -> Job:
    return replace(job, evaluation=replace(job.evaluation, extra=extra))


def test_another_threshold_and_metric_need_no_training(finished_run, own_metric, monkeypatch):
    forbid_training(monkeypatch)
    kept = finished_run.scores()
    found = evaluate_run(finished_run, Evaluation(ThresholdPolicy(percentile=80.0), own_metric))
    assert found["alert_rate"] == pytest.approx(0.2, abs=0.005)
    assert found["threshold"] == pytest.approx(np.percentile(kept["score"], 80))
    assert found["top_ten"] == kept.nlargest(10, "score")["is_fraud"].sum()
    trained = finished_run.metrics()
    for name in ("final_auc", "average_precision", "best_epoch", "feature_count", "train_rows"):
        assert found[name] == trained[name]
    assert found["recall"] > trained["recall"]


def test_the_threshold_of_the_training_gives_the_figures_of_the_training(finished_run):
    assert evaluate_run(finished_run, Evaluation()) == finished_run.metrics()


def test_a_metric_of_ones_own_is_part_of_a_run(compose, train, own_metric, tmp_path):
    run = train(with_metrics(compose("trainer.max_epochs=1"), own_metric), tmp_path / "runs")
    expected = run.scores().nlargest(10, "score")["is_fraud"].sum()
    assert run.metrics()["top_ten"] == expected


def test_a_metric_that_cannot_be_imported_is_refused_before_training(
    compose, train, tmp_path, monkeypatch
):
    forbid_training(monkeypatch)
    with pytest.raises(UserError, match=r"metrics\.extra\.cost"):
        train(with_metrics(compose(), {"cost": "no_such_module.cost"}), tmp_path)


def test_without_frauds_in_validation_the_ranking_is_undefined_and_kept_as_such(
    compose, train, dataset, tmp_path
):
    config = compose("trainer.max_epochs=1")
    transactions = dataset.transactions.copy()
    validation = config.split.validation(transactions)
    transactions["is_fraud"] = transactions["is_fraud"].mask(validation, 0)
    run = train(config, tmp_path, replace(dataset, transactions=transactions))
    found = run.metrics()
    assert found["final_auc"] is None
    assert found["average_precision"] is None
    assert found["fraud_ratio"] == 0
    assert found["alert_rate"] == pytest.approx(0.05, abs=0.01)


def test_the_highest_scores_are_kept_with_the_reasons_of_each(finished_run):
    scored, kept = finished_run.scores(), finished_run.top_transactions()
    highest = scored.sort_values("score", ascending=False, kind="stable").head(len(kept))
    assert len(kept) == 25
    for name in ("transaction_id", "customer_id", "amount", "is_fraud", "score"):
        assert [row[name] for row in kept] == highest[name].tolist()
    for row in kept:
        shares = [reason["share"] for reason in row["reasons"]]
        assert 1 <= len(shares) <= 3
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1.001
