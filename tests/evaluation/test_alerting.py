import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from fraud_ae.evaluation.alerting import (
    card_precision,
    daily_precision,
    recall_at_false_positive_rate,
    value_caught,
)


def frame(rows: list[tuple], columns: str) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=columns.split())
    made["score"] = made["score"].astype(np.float32)
    if "day" in made:
        made["timestamp"] = pd.to_datetime(made.pop("day"), utc=True, format="ISO8601").dt.as_unit(
            "us"
        )
    if "transaction_id" not in made:
        made["transaction_id"] = [f"T{number}" for number in range(len(made))]
    return made


def random_frame(seed: int = 0, n: int = 3000, levels: int | None = None) -> pd.DataFrame:
    """Transactions of 150 customers on 20 days; `levels` distinct scores, None for no ties."""
    rng = np.random.default_rng(seed)
    customer = rng.integers(0, 150, n)
    compromised = rng.random(150) < 0.2
    is_fraud = (compromised[customer] & (rng.random(n) < 0.3)).astype(np.int8)
    score = rng.permutation(n) / n + is_fraud * 0.1
    if levels is not None:
        score = np.round(score * levels)
    us = rng.integers(0, 20 * 86_400_000_000, n)
    return pd.DataFrame(
        {
            "transaction_id": pd.Series(rng.permutation(n)).astype("str"),
            "customer_id": pd.Series(customer).astype("str"),
            "timestamp": pd.to_datetime(us, unit="us", utc=True).as_unit("us"),
            "amount": rng.exponential(30, n),
            "is_fraud": is_fraud,
            "score": score.astype(np.float32),
        }
    )


def test_recall_at_a_false_positive_rate_by_hand():
    y_true = np.array([1, 0, 1, 1, 0, 0, 1, 0])
    scores = np.array([8, 7, 6, 5, 4, 3, 2, 1], dtype=np.float32)
    found = [recall_at_false_positive_rate(y_true, scores, rate) for rate in (0, 0.24, 0.25, 0.75)]
    assert found == [0.25, 0.25, 0.75, 1.0]


def test_equal_scores_are_alerted_on_together():
    y_true = np.array([1, 1, 0, 0, 0])
    scores = np.array([3, 2, 2, 1, 1], dtype=np.float32)
    assert recall_at_false_positive_rate(y_true, scores, 0.3) == 0.5
    assert recall_at_false_positive_rate(y_true, scores, 0.34) == 1.0
    assert recall_at_false_positive_rate(y_true, np.ones(5), 0.5) == 0.0


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("levels", [None, 10])
def test_no_threshold_within_the_rate_has_more_recall(levels, rate):
    rows = random_frame(levels=levels)
    y_true, scores = rows["is_fraud"].to_numpy(), rows["score"].to_numpy()
    recalls = [0.0]
    for level in np.unique(scores):
        flagged = scores >= level
        if flagged[y_true == 0].mean() <= rate:
            recalls.append(flagged[y_true == 1].mean())
    assert recall_at_false_positive_rate(y_true, scores, rate) == pytest.approx(max(recalls))


def test_a_point_within_a_straight_line_of_the_roc_curve_counts():
    y_true = np.array([0, 1] * 200 + [0])
    scores = np.repeat(np.arange(201, 0, -1), 2)[:401].astype(np.float32)
    kept = len(roc_curve(y_true, scores)[0])
    assert kept < 10
    assert recall_at_false_positive_rate(y_true, scores, 0.4) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_alone_there_is_no_such_recall(label):
    assert recall_at_false_positive_rate(np.full(4, label), np.arange(4.0)) is None


def test_daily_precision_by_hand():
    rows = frame(
        [
            ("2024-01-01", 9, 1),
            ("2024-01-01", 8, 0),
            ("2024-01-01", 7, 1),
            ("2024-01-02", 1, 1),
            ("2024-01-03", 5, 0),
            ("2024-01-03", 4, 1),
        ],
        "day score is_fraud",
    )
    # 2024-01-02 has one transaction, so that no more can be looked at.
    assert daily_precision(rows, 2) == pytest.approx((1 / 2 + 1 / 1 + 1 / 2) / 3)
    assert daily_precision(rows, 1) == pytest.approx((1 + 1 + 0) / 3)
    assert daily_precision(rows, 100) == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)


def test_a_day_begins_at_midnight_utc():
    rows = frame(
        [("2024-01-01 23:59:59.999999", 9, 1), ("2024-01-02 00:00:00", 8, 0)], "day score is_fraud"
    )
    assert daily_precision(rows, 1) == 0.5


def test_of_equal_scores_the_earlier_transaction_is_looked_at_then_the_lower_id():
    rows = frame(
        [
            ("2024-01-01 12:00", 1, 0, "B"),
            ("2024-01-01 12:00", 1, 1, "A"),
            ("2024-01-01 11:00", 1, 1, "C"),
            ("2024-01-01 13:00", 1, 0, "D"),
        ],
        "day score is_fraud transaction_id",
    )
    assert daily_precision(rows, 1) == daily_precision(rows, 2) == 1.0
    assert daily_precision(rows, 3) == pytest.approx(2 / 3)


@pytest.mark.parametrize("levels", [None, 7, 1])
@pytest.mark.parametrize("k", [1, 5, 100, 10_000])
def test_daily_precision_is_that_of_a_plain_loop(k, levels):
    rows = random_frame(levels=levels)
    days = []
    for _, day in rows.groupby(rows["timestamp"].dt.date):
        order = ["score", "timestamp", "transaction_id"]
        top = day.sort_values(order, ascending=[False, True, True]).head(k)
        days.append(top["is_fraud"].sum() / min(k, len(day)))
    assert daily_precision(rows, k) == pytest.approx(np.mean(days))


def test_card_precision_by_hand():
    rows = frame(
        [
            ("2024-01-01", "a", 9, 0),
            ("2024-01-01", "a", 2, 1),  # the customer is compromised, and has the score of 9
            ("2024-01-01", "b", 8, 0),
            ("2024-01-01", "c", 7, 1),
            ("2024-01-02", "b", 8, 0),
            ("2024-01-02", "c", 7, 1),
            ("2024-01-03", "a", 1, 0),
        ],
        "day customer_id score is_fraud",
    )
    assert card_precision(rows, 2) == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    # Three customers, divided by ten all the same.
    assert card_precision(rows, 10) == pytest.approx((2 / 10 + 1 / 10 + 0) / 3)


def test_a_customer_who_was_detected_stays_until_the_fraud_is_known():
    rows = frame(
        [
            ("2024-01-01", "a", 9, 1, False),
            ("2024-01-01", "b", 8, 0, False),
            ("2024-01-02", "a", 9, 1, False),
            ("2024-01-03", "a", 9, 1, True),
            ("2024-01-03", "b", 8, 1, False),
            ("2024-01-04", "a", 9, 1, True),
        ],
        "day customer_id score is_fraud is_known_compromised",
    )
    # On the last day nobody is left, so that there is no such day.
    assert card_precision(rows, 1) == 1.0
    assert card_precision(rows, 2) == pytest.approx(1 / 2)
    assert card_precision(rows[rows["is_known_compromised"]], 2) is None


def book_card_precision(rows: pd.DataFrame, k: int) -> float:
    """Step by step as the Fraud Detection Handbook describes it; ties by the order of ids."""
    named = pd.DataFrame(
        {
            "TX_TIME_DAYS": rows["timestamp"].dt.floor("D"),
            "CUSTOMER_ID": rows["customer_id"],
            "predictions": rows["score"],
            "TX_FRAUD": rows["is_fraud"],
        }
    )
    precisions = []
    for day in sorted(named["TX_TIME_DAYS"].unique()):
        df_day = named[named["TX_TIME_DAYS"] == day]
        cards = df_day.drop(columns="TX_TIME_DAYS").groupby("CUSTOMER_ID").max()
        top = cards.sort_values("predictions", ascending=False, kind="stable").head(k)
        precisions.append(top["TX_FRAUD"].sum() / k)
    return float(np.mean(precisions))


@pytest.mark.parametrize("k", [1, 3, 20, 1000])
@pytest.mark.parametrize(("seed", "levels"), [(0, None), (1, None), (2, 5), (3, 1)])
def test_card_precision_is_the_books(seed, levels, k):
    rows = random_frame(seed, levels=levels)
    assert card_precision(rows, k) == pytest.approx(book_card_precision(rows, k), abs=1e-12)
    known = np.random.default_rng(seed).random(len(rows)) < 0.3
    found = card_precision(rows.assign(is_known_compromised=known), k)
    assert found == pytest.approx(book_card_precision(rows[~known], k), abs=1e-12)


def test_without_customers_there_is_no_card_precision():
    assert card_precision(random_frame().drop(columns="customer_id"), 5) is None


@pytest.mark.parametrize("figure", [daily_precision, card_precision])
@pytest.mark.parametrize("levels", [None, 4])
def test_the_order_of_the_rows_does_not_matter(figure, levels):
    rows = random_frame(levels=levels)
    assert figure(rows.sample(frac=1, random_state=1), 7) == figure(rows, 7)


@pytest.mark.parametrize("figure", [daily_precision, card_precision])
def test_without_a_row_there_is_no_day(figure):
    assert figure(random_frame().iloc[:0], 5) is None


def test_without_fraud_no_alert_could_be_right():
    rows = random_frame().assign(is_fraud=0)
    assert daily_precision(rows, 5) is card_precision(rows, 5) is None
    assert value_caught(rows, 0.5) is None


def test_value_caught_by_hand():
    rows = frame([(30.0, 1, 5), (10.0, 1, 2), (60.0, 1, 1), (1e6, 0, 9)], "amount is_fraud score")
    assert value_caught(rows, 2) == pytest.approx(30 / 100)
    assert value_caught(rows, 0.5) == 1.0
    assert value_caught(rows, 5) == 0.0
    assert value_caught(rows.assign(amount=0.0), 2) is None


def test_figures_are_plain_numbers():
    rows = random_frame()
    found = (
        recall_at_false_positive_rate(rows["is_fraud"].to_numpy(), rows["score"].to_numpy()),
        daily_precision(rows, 5),
        card_precision(rows, 5),
        value_caught(rows, 0.5),
    )
    assert {type(value) for value in found} == {float}
