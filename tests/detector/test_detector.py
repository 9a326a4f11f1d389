import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fraud_ae.data.columns import CANONICAL
from fraud_ae.data.sources import from_file
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.errors import DataError, UserError
from fraud_ae.experiments.run_store import Run
from fraud_ae.features import compute_features

ROOT = Path(__file__).resolve().parents[2]
# Of the configuration, which none of these tests changes.
LABEL_DELAY_DAYS = 7
SOURCE_NAMES = {name: f"The {name.replace('_', ' ')}" for name in CANONICAL}


@pytest.fixture(scope="module")
def detector(finished_run) -> FraudDetector:
    return FraudDetector.load(finished_run.model_folder)


@pytest.fixture(scope="module")
def transactions(dataset) -> pd.DataFrame:
    return dataset.transactions


@pytest.fixture(scope="module")
def scores(detector, transactions) -> np.ndarray:
    return detector.predict_anomaly_scores(transactions)


@pytest.fixture
def frame(transactions) -> pd.DataFrame:
    return transactions.copy()


def assert_same(found, expected) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def assert_as_saved(run: Run, transaction_ids: pd.Series, scores: np.ndarray) -> None:
    saved = run.scores().set_index("transaction_id")["score"]
    found = pd.Series(scores, index=transaction_ids.astype("str"))
    assert len(saved) > 100
    assert_same(found[saved.index], saved)


@pytest.mark.slow
def test_a_fresh_process_scores_raw_transactions_as_training_did(
    finished_run, transactions, tmp_path
):
    code = """
import sys
import numpy as np
import pandas as pd
from fraud_ae import FraudDetector

detector = FraudDetector.load(sys.argv[1])
np.save(sys.argv[3], detector.predict_anomaly_scores(pd.read_parquet(sys.argv[2])))
"""
    raw, found = tmp_path / "raw.parquet", tmp_path / "scores.npy"
    transactions.to_parquet(raw)
    command = [sys.executable, "-c", code, finished_run.model_folder, raw, found]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True)
    assert_as_saved(finished_run, transactions["transaction_id"], np.load(found))


def test_scores_are_one_float32_for_each_row_and_those_of_its_features(
    detector, transactions, scores
):
    assert scores.shape == (len(transactions),)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    features = compute_features(detector.strategy, transactions)
    assert_same(detector.score_features(features), scores)


@pytest.mark.promise(2)
def test_scores_do_not_depend_on_parts_order_index_or_later_rows(
    detector, transactions, scores, monkeypatch
):
    shuffled = transactions.sample(frac=1, random_state=0)
    assert_same(detector.predict_anomaly_scores(shuffled), scores[shuffled.index])
    renumbered = transactions.set_axis(transactions.index[::-1] * 3)
    assert_same(detector.predict_anomaly_scores(renumbered), scores)
    for rows in (1, 700):
        assert_same(detector.predict_anomaly_scores(transactions.head(rows)), scores[:rows])
    monkeypatch.setattr("fraud_ae.detector.detector.AT_ONCE", 100)
    assert_same(detector.predict_anomaly_scores(transactions), scores)


def test_scoring_leaves_the_frame_and_the_threads_of_pytorch_as_they_were(detector, transactions):
    frame = transactions.sample(frac=1, random_state=0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        detector.predict(frame)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    pd.testing.assert_frame_equal(frame, transactions.loc[frame.index])


@pytest.fixture
def young(transactions) -> pd.Series:
    """The rows whose labels nobody knows yet at the time of the newest transaction."""
    times = transactions["timestamp"]
    return times > times.max() - pd.Timedelta(days=LABEL_DELAY_DAYS)


@pytest.mark.parametrize("labels", ["turned round", "missing"])
def test_labels_younger_than_the_label_delay_do_not_matter(detector, frame, scores, young, labels):
    other = 1 - frame["is_fraud"] if labels == "turned round" else np.nan
    frame["is_fraud"] = frame["is_fraud"].astype("float64").mask(young, other)
    assert 0 < young.sum() < len(frame)
    assert_same(detector.predict_anomaly_scores(frame), scores)


def test_older_labels_are_read_and_may_be_missing(detector, frame, scores, young):
    frame["is_fraud"] = frame["is_fraud"].astype("float64").mask(~young & (frame.index % 2 == 0))
    found = detector.predict_anomaly_scores(frame)
    assert np.isfinite(found).all()
    assert not np.allclose(found, scores)


def test_without_labels_a_warning_names_what_is_unknown(detector, frame, caplog):
    found = detector.predict_anomaly_scores(frame.drop(columns="is_fraud"))
    assert np.isfinite(found).all()
    rates = [name for name in detector.feature_names if "delayed_fraud_rate" in name]
    assert len(rates) == 3
    assert all(name in caplog.text for name in rates)
    assert "is_fraud" in caplog.text


def test_an_alert_is_a_score_above_the_threshold(detector, transactions, scores):
    found = detector.predict(transactions)
    assert found.dtype == np.int8
    assert set(found) == {0, 1}
    np.testing.assert_array_equal(found, scores > detector.threshold)
    assert replace(detector, threshold=float(scores.max())).predict(transactions).sum() == 0
    undecided = replace(detector, threshold=None)
    assert_same(undecided.predict_anomaly_scores(transactions), scores)
    with pytest.raises(UserError, match="threshold"):
        undecided.predict(transactions)


@pytest.mark.parametrize("column", ["amount", "timestamp", "customer_id", "device"])
def test_a_missing_column_that_was_trained_with_is_named(detector, frame, column):
    with pytest.raises(UserError, match=column):
        detector.predict_anomaly_scores(frame.drop(columns=column))


def test_a_frame_without_rows_has_no_scores_and_what_is_no_frame_is_refused(detector, frame):
    assert detector.predict_anomaly_scores(frame.head(0)).shape == (0,)
    assert detector.predict(frame.head(0)).shape == (0,)
    for given in (None, [1], np.ones((3, 2))):
        with pytest.raises(DataError, match="pandas frame"):
            detector.predict(given)


@pytest.mark.parametrize("value", ["never seen before", None])
def test_unseen_and_missing_values_can_be_scored(detector, frame, scores, value):
    texts = ["payment_method", "device", "product_category", "customer_location"]
    texts += ["shipping_address", "billing_address", "ip_address", "terminal_id"]
    frame[texts] = value
    frame[["customer_age", "quantity"]] = np.nan
    found = detector.predict_anomaly_scores(frame)
    assert np.isfinite(found).all()
    assert not np.allclose(found, scores)


def test_large_inputs_are_scored_as_small_ones_are(detector):
    n_inputs = len(detector.encoder.input_names())
    inputs = np.random.default_rng(0).normal(size=(70_000, n_inputs)).astype(np.float32)
    found = detector.score_inputs(inputs)
    assert found.shape == (70_000,)
    ends = np.r_[0:50, 65_500:65_600, 69_950:70_000]
    np.testing.assert_allclose(found[ends], detector.score_inputs(inputs[ends]), rtol=1e-5)


@pytest.fixture(scope="module")
def renamed(transactions, compose, train, tmp_path_factory) -> tuple[Run, pd.DataFrame]:
    """A run trained on a CSV file with columns of its own, and the raw rows of the file."""
    folder = tmp_path_factory.mktemp("renamed")
    transactions.rename(columns=SOURCE_NAMES).to_csv(folder / "raw.csv", index=False)
    dataset = from_file(str(folder / "raw.csv"), columns=SOURCE_NAMES)
    run = train(compose("trainer.max_epochs=1"), folder / "runs", dataset)
    return run, pd.read_csv(folder / "raw.csv")


def test_the_columns_of_the_source_and_the_canonical_ones_give_the_same_scores(
    renamed, transactions
):
    run, raw = renamed
    detector = FraudDetector.load(run.model_folder)
    by_source = detector.predict_anomaly_scores(raw)
    assert_as_saved(run, raw[SOURCE_NAMES["transaction_id"]], by_source)
    assert_same(detector.predict_anomaly_scores(transactions), by_source)
    unlabelled = raw.drop(columns=SOURCE_NAMES["is_fraud"])
    same = detector.predict_anomaly_scores(transactions.drop(columns="is_fraud"))
    assert_same(detector.predict_anomaly_scores(unlabelled), same)
    with pytest.raises(DataError, match="The device"):
        detector.predict(raw.drop(columns="The device"))


@pytest.mark.parametrize(
    ("model", "scorer"),
    [
        ("variational", "scorer=mahalanobis"),
        ("denoising", "scorer=calibrated"),
        ("masked", "scorer.cap=5"),
        ("masked", "model.members=2"),
    ],
)
def test_every_kind_of_network_and_scorer_is_loaded_as_it_was_saved(
    compose, train, transactions, tmp_path, model, scorer
):
    settings = ("model.norm=batch", "model.dropout=0.3", "encoder.scaling=robust", scorer)
    run = train(compose(f"model={model}", "trainer.max_epochs=1", *settings), tmp_path)
    detector = FraudDetector.load(run.model_folder)
    found = detector.predict_anomaly_scores(transactions)
    assert_as_saved(run, transactions["transaction_id"], found)
    assert detector.scorer.uses_labels == (scorer == "scorer=calibrated")


def test_saving_again_gives_the_same_files_all_json_or_safetensors(
    detector, finished_run, tmp_path
):
    detector.save(tmp_path / "deeper" / "model")
    files = list(finished_run.model_folder.rglob("*"))
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    for path in files:
        assert (tmp_path / "deeper" / "model" / path.name).read_bytes() == path.read_bytes()
        if path.suffix == ".json":
            json.loads(path.read_text())


def test_the_threshold_can_be_set_to_a_number(finished_run, transactions, scores):
    detector = FraudDetector.load(finished_run.model_folder)
    assert detector.set_threshold(float(scores.max())) is detector
    assert detector.predict(transactions).sum() == 0
    detector.set_threshold(float(scores.min()) - 1)
    assert detector.predict(transactions).all()
    with pytest.raises(UserError, match="validation_scores"):
        detector.set_threshold(method="best_f1")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"threshold": np.nan},
        {"threshold": 1, "method": "cost"},
        {"threshold": True},
        {"threshold": "high"},
        {"method": "percentile", "percentile": 300},
        {"method": "recall", "least_recall": 80},
        {"method": "budget", "alerts_per_day": "50"},
        {"method": "cost", "review_cost": -5},
    ],
)
def test_a_threshold_that_is_none_is_refused(finished_run, given):
    detector = FraudDetector.load(finished_run.model_folder)
    with pytest.raises(UserError, match="threshold"):
        detector.set_threshold(**given)


def test_a_category_never_seen_does_not_alert_by_itself(detector, transactions):
    usual = detector.predict(transactions).mean()
    for value in ("a device of next year", None):
        devices = pd.Series([value] * len(transactions), dtype="str")
        assert detector.predict(transactions.assign(device=devices)).mean() < usual + 0.25
