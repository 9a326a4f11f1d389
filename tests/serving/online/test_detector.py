import numpy as np
import pandas as pd
import pytest

from fraud_ae.audit.history_check import features_beyond_history
from fraud_ae.data.input_schema import InputSchema
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.errors import UserError
from fraud_ae.features import Baseline, Behavioural, History, compute_features, fit_strategy
from fraud_ae.features.history import history_of
from fraud_ae.serving.online.detector import OnlineDetector
from fraud_ae.serving.online.tables import to_columns

CUT = 1500


def replay(online, store, rows: pd.DataFrame, at_once: int = 1) -> np.ndarray:
    """Scores of rows as they come, each labelled as soon as it was answered."""
    scores = []
    for start in range(0, len(rows), at_once):
        some = rows.iloc[start : start + at_once]
        scores += [a.score for a in online.score(some.drop(columns="is_fraud"), store)]
        for key, label in zip(some["transaction_id"], some["is_fraud"], strict=True):
            assert store.label(key, bool(label))
    return np.array(scores)


@pytest.mark.parametrize("at_once", [1, 7])
def test_one_by_one_gives_the_scores_of_the_batch(
    online, open_store, transactions, batch_scores, at_once
):
    store = open_store()
    store.fill(transactions.iloc[:CUT])
    found = replay(online, store, transactions.iloc[CUT : CUT + 60], at_once)
    np.testing.assert_allclose(found, batch_scores[CUT : CUT + 60], rtol=1e-5, atol=1e-5)


def test_one_by_one_gives_the_features_of_the_batch(online, open_store, transactions):
    strategy, store = online.detector.strategy, open_store()
    store.fill(transactions.iloc[:CUT])
    expected = compute_features(strategy, transactions)
    for row in range(CUT, CUT + 25):
        own = transactions.iloc[[row]]
        frame, places = store.with_history(store.columns(own))
        found = compute_features(strategy, frame).iloc[places]
        pd.testing.assert_frame_equal(
            found.reset_index(drop=True), expected.iloc[[row]].reset_index(drop=True), rtol=1e-9
        )
        store.fill(own)


def test_what_was_pruned_changes_nothing(online, open_store, transactions, batch_scores):
    """The whole period is half a year, of which the store keeps the last weeks."""
    store = open_store()
    for start in range(0, 2400, 300):
        store.fill(transactions.iloc[start : start + 300])
    kept = store.review.counts()["transactions"]
    assert kept < 2000
    found = replay(online, store, transactions.iloc[2400:2440])
    np.testing.assert_allclose(found, batch_scores[2400:2440], rtol=1e-5, atol=1e-5)


def test_without_any_label_the_batch_without_labels_is_met(online, open_store, transactions):
    bare = transactions.drop(columns="is_fraud")
    store = open_store()
    store.fill(bare.iloc[:CUT])
    found = [a.score for a in online.score(bare.iloc[CUT : CUT + 20], store)]
    expected = online.detector.predict_anomaly_scores(bare)[CUT : CUT + 20]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_same_id_gets_the_same_answer_and_counts_once(online, open_store, transactions):
    store = open_store()
    store.fill(transactions.iloc[:CUT])
    rows = transactions.iloc[CUT : CUT + 5].drop(columns="is_fraud")
    first = online.score(rows, store)
    assert not any(answer.repeated for answer in first)
    before = store.review.counts()
    assert online.score(rows, store) == [answer.as_repeated() for answer in first]
    assert store.review.counts() == before
    twice = pd.concat([transactions.iloc[[CUT + 9]]] * 2)
    one, other = online.score(twice, store)
    assert other == one.as_repeated()
    assert store.review.counts()["answers"] == 6


def test_other_values_of_an_id_are_a_conflict_unless_they_replace_it(
    online, open_store, transactions
):
    store = open_store()
    rows = transactions.iloc[CUT : CUT + 1].drop(columns="is_fraud")
    (first,) = online.score(rows, store)
    other = rows.assign(amount=rows["amount"] + 50_000)
    (conflict,) = online.score(other, store)
    amount = rows["amount"].iloc[0]
    assert conflict.difference == f"amount is {amount + 50_000}, and was {amount}"
    columns = to_columns(other, online.kinds)
    (replaced,) = online.score_columns(columns, store, {first.transaction_id})
    assert replaced.score != first.score
    assert not replaced.repeated
    assert online.score(other, store) == [replaced.as_repeated()]
    both = pd.concat([transactions.iloc[[CUT + 3]], transactions.iloc[[CUT + 3]].assign(amount=1)])
    assert "amount is 1" in online.score(both, store)[1].difference


def test_an_id_of_the_history_is_scored_and_counts_once(
    online, open_store, transactions, batch_scores
):
    store = open_store()
    store.fill(transactions.iloc[:CUT])
    (answer,) = online.score(transactions.iloc[[CUT - 1]], store)
    assert answer.score == pytest.approx(batch_scores[CUT - 1], abs=1e-5)
    assert store.review.counts()["answers"] == 1


def test_a_late_transaction_takes_its_place_in_time(online, open_store, transactions, batch_scores):
    store = open_store()
    late = transactions.iloc[[CUT - 40]]
    store.fill(transactions.iloc[:CUT].drop(index=CUT - 40))
    (answer,) = online.score(late, store)
    assert answer.score == pytest.approx(batch_scores[CUT - 40], abs=1e-5)
    found = replay(online, store, transactions.iloc[CUT : CUT + 15])
    np.testing.assert_allclose(found, batch_scores[CUT : CUT + 15], rtol=1e-5, atol=1e-5)


def test_without_a_store_nothing_is_remembered(online, transactions):
    rows = transactions.head(3)
    first, repeated = online.score(rows), online.score(rows)
    assert first == repeated
    assert [answer.transaction_id for answer in first] == rows["transaction_id"].tolist()


def test_an_alert_has_reasons_and_the_rest_has_none(model, transactions):
    model = OnlineDetector.load(model)
    scores = model.detector.predict_anomaly_scores(transactions)
    model.detector.set_threshold(float(np.quantile(scores, 0.9)))
    answers = model.score(transactions)
    assert 0 < sum(answer.alert for answer in answers) < len(answers)
    for answer, score in zip(answers, scores, strict=True):
        assert answer.alert == (score > model.detector.threshold) == bool(answer.reasons)
        assert answer.threshold == model.detector.threshold
        assert "small" in answer.model


class LooksBack(Baseline):
    """Counts all earlier transactions of a customer, which it does not declare."""

    columns = (*Baseline.columns, "customer_id")

    def family_features(self, df):
        return {"earlier": df.groupby("customer_id").cumcount().astype("float64")}


class SaysSo(LooksBack):
    history = History(customer_days=400)


def test_a_strategy_that_looks_back_further_than_it_says_is_found(transactions):
    assert features_beyond_history(fit_strategy(LooksBack(), transactions), transactions) == [
        "earlier"
    ]
    assert features_beyond_history(fit_strategy(SaysSo(), transactions), transactions) == []
    short = Behavioural(windows_days=(1, 7, 30))
    assert features_beyond_history(fit_strategy(short, transactions), transactions) == []


def test_such_a_model_is_not_served(compose, train, make, tmp_path):
    config = compose(
        "features=baseline", "features._target_=tests.serving.online.test_detector.LooksBack"
    )
    made = make(config, train(config, tmp_path / "runs"), "train", tmp_path)
    assert made.info["history"]["forgetful_features"] == ["earlier"]
    with pytest.raises(UserError, match=r"earlier.*history"):
        OnlineDetector.load(tmp_path / "models" / "final_model")


def test_a_run_that_is_no_model_for_production_is_not_served(finished_run):
    with pytest.raises(UserError, match="production"):
        OnlineDetector.load(finished_run.model_folder)


def test_the_schema_names_what_is_needed_with_an_example(online, transactions):
    columns = {column.name: column for column in online.schema.columns}
    assert columns["customer_id"].needed
    assert not columns["customer_id"].nullable
    assert not columns["is_fraud"].needed
    assert columns["quantity"].type == "number"
    example = online.schema.example
    assert example["transaction_id"] == transactions["transaction_id"].iloc[-1]
    assert "is_fraud" not in example
    loaded = InputSchema.load(online.detector.folder)
    assert loaded == online.schema


def test_history_of_strategies(online):
    history = history_of(online.detector.strategy)
    assert (history.customer_days, history.terminal_days, history.previous) == (30, 37, True)
    assert "device" in history.first_uses
    assert history_of(object()) == History()
    assert isinstance(online.detector, FraudDetector)
