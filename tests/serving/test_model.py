"""A model that scores transactions as they come, with a store of their history."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from fraud_ae.audit.history_check import features_beyond_history
from fraud_ae.data.input_schema import INPUT_SCHEMA, InputSchema
from fraud_ae.detector.manifest import write_manifest
from fraud_ae.errors import UserError
from fraud_ae.features import Baseline, Behavioural, History, compute_features, fit_strategy
from fraud_ae.features.history import history_of
from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.serving.model import ServedModel
from fraud_ae.serving.tables import to_columns

CUT = 1500


def score(served, rows: pd.DataFrame, store=None) -> list:
    return served.score(to_columns(rows, served.kinds), store)


def replay(served, store, rows: pd.DataFrame, size: int = 1) -> np.ndarray:
    """Scores of rows that come `size` at once, each labelled as soon as it is scored."""
    scores = []
    for start in range(0, len(rows), size):
        part = rows.iloc[start : start + size]
        scores += [r.score for r in score(served, part.drop(columns="is_fraud"), store)]
        for key, label in zip(part["transaction_id"], part["is_fraud"], strict=True):
            assert store.label(key, bool(label))
    return np.array(scores)


@pytest.mark.parametrize("size", [1, 7])
def test_one_by_one_gives_the_scores_of_the_batch(
    served, open_store, transactions, batch_scores, size
):
    """The whole period is half a year, of which the store has the last weeks."""
    store = open_store()
    for start in range(0, 2400, 300):
        store.fill(transactions.iloc[start : start + 300])
    assert store.review.counts()["transactions"] < 2000
    scores = replay(served, store, transactions.iloc[2400:2425], size)
    np.testing.assert_allclose(scores, batch_scores[2400:2425], rtol=1e-5, atol=1e-5)


def test_one_by_one_gives_the_features_of_the_batch(served, open_store, transactions):
    strategy, store = served.detector.strategy, open_store()
    store.fill(transactions.iloc[:CUT])
    expected = compute_features(strategy, transactions)
    for row in range(CUT, CUT + 10):
        new = transactions.iloc[[row]]
        frame, places = store.with_history(store.columns(new))
        features = compute_features(strategy, frame).iloc[places].reset_index(drop=True)
        in_batch = expected.iloc[[row]].reset_index(drop=True)
        pd.testing.assert_frame_equal(features, in_batch, rtol=1e-9)
        store.fill(new)


def test_without_any_label_the_scores_are_those_of_the_batch_without_labels(
    served, open_store, transactions
):
    bare = transactions.drop(columns="is_fraud")
    store = open_store()
    store.fill(bare.iloc[:CUT])
    scores = [result.score for result in score(served, bare.iloc[CUT : CUT + 20], store)]
    expected = served.detector.predict_anomaly_scores(bare)[CUT : CUT + 20]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.promise(4)
def test_a_thousand_transactions_of_strangers_are_said(model, open_store, transactions, caplog):
    served, store = ServedModel.load(model), open_store()
    last = transactions.tail(1000)
    strangers = last.assign(customer_id="X" + last["transaction_id"])
    for start in range(0, 1000, 250):
        assert "without earlier ones" not in caplog.text
        score(served, strangers.iloc[start : start + 250].drop(columns="is_fraud"), store)
    assert "of the last transactions, " in caplog.text
    assert "100.0% of the transactions are of customers without earlier ones" in caplog.text


def test_a_late_transaction_takes_its_place_in_time(served, open_store, transactions, batch_scores):
    """As does one that is in the history, which is scored and counts once."""
    store = open_store()
    store.fill(transactions.iloc[:CUT].drop(index=CUT - 40))
    stored = store.review.counts()["transactions"]
    for row in (CUT - 40, CUT - 1):
        (result,) = score(served, transactions.iloc[[row]], store)
        assert result.score == pytest.approx(batch_scores[row], abs=1e-5)
    counts = store.review.counts()
    assert (counts["answers"], counts["transactions"]) == (2, stored + 1)
    scores = replay(served, store, transactions.iloc[CUT : CUT + 15])
    np.testing.assert_allclose(scores, batch_scores[CUT : CUT + 15], rtol=1e-5, atol=1e-5)


def test_an_alert_has_reasons_and_the_rest_has_none(model, transactions, batch_scores):
    """Without a store nothing is remembered."""
    served, rows = ServedModel.load(model), transactions.head(400)
    served.detector.set_threshold(float(np.quantile(batch_scores, 0.9)))
    results = score(served, rows)
    assert results[:3] == score(served, rows)[:3]
    assert 0 < sum(result.alert for result in results) < len(results)
    for result, batch_score in zip(results, batch_scores[:400], strict=True):
        assert result.alert == (batch_score > result.threshold) == bool(result.reasons)
        assert result.threshold == served.detector.threshold
        assert "small" in result.model


class LooksBack(Baseline):
    """Counts all earlier transactions of a customer, which it does not declare."""

    columns = (*Baseline.columns, "customer_id")

    def family_features(self, df):
        return {"earlier": df.groupby("customer_id").cumcount().astype("float64")}


class Declares(LooksBack):
    history = History(customer_days=400)


@pytest.mark.parametrize(
    ("strategy", "features"),
    [(LooksBack(), ["earlier"]), (Declares(), []), (Behavioural(windows_days=(1, 7, 30)), [])],
)
def test_a_strategy_that_looks_back_further_than_it_declares_is_noticed(
    transactions, strategy, features
):
    rows = transactions.iloc[:CUT]
    assert features_beyond_history(fit_strategy(strategy, rows), rows) == features


@pytest.mark.slow
def test_such_a_model_is_not_served(compose, train, make, tmp_path):
    job = compose("features=baseline", "features._target_=tests.serving.test_model.LooksBack")
    made = make(job, train(job, tmp_path / "runs"), "train", tmp_path)
    assert made.info["history"]["forgetful_features"] == ["earlier"]
    with pytest.raises(UserError, match=r"earlier.*history"):
        ServedModel.load(tmp_path / "models" / "final_model")


def test_a_run_that_is_no_model_for_production_is_not_served(finished_run):
    with pytest.raises(UserError, match="production"):
        ServedModel.load(finished_run.model_folder)


def test_a_model_of_data_without_a_time_is_not_served(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    schema = json.loads((folder / INPUT_SCHEMA).read_text())
    schema["columns"] = [c for c in schema["columns"] if c["name"] != "timestamp"]
    write_json(folder / INPUT_SCHEMA, schema)
    write_manifest(folder)
    with pytest.raises(UserError, match="made of data without a time; use fraud-ae score"):
        ServedModel.load(folder)


def test_the_schema_names_what_is_needed_with_an_example(served, transactions):
    columns = {column.name: column for column in served.schema.columns}
    assert columns["customer_id"].needed
    assert not columns["customer_id"].nullable
    assert not columns["is_fraud"].needed
    assert columns["quantity"].type == "number"
    assert served.schema.example["transaction_id"] == transactions["transaction_id"].iloc[-1]
    assert "is_fraud" not in served.schema.example
    assert InputSchema.load(served.detector.folder) == served.schema


def test_the_history_of_a_strategy(served):
    history = served.history
    assert (history.customer_days, history.terminal_days, history.previous) == (30, 37, True)
    assert "device" in history.first_uses
    assert history_of(object()) == History()
