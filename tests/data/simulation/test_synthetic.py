"""The simulated marketplace: its shape, its fraud patterns and how hard it is."""

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fraud_ae.data.columns import CANONICAL, NUMERIC
from fraud_ae.data.simulation.synthetic import PATTERNS, generate_transactions, simulate

DEFAULTS = {
    "n_transactions": 100_000,
    "n_customers": None,
    "n_terminals": None,
    "days": 180,
    "fraud_ratio": 0.025,
    "start": "2024-01-01",
    "seed": 7,
}
TEXT = [c for c in CANONICAL if c not in (*NUMERIC, "timestamp", "amount", "is_fraud")]


@pytest.fixture(scope="module")
def market():
    """The default transactions with their pattern, and habits seen from the honest rows."""
    frame, pattern = simulate(**DEFAULTS)
    frame["pattern"] = pattern
    honest = frame[frame.is_fraud == 0]
    usual = honest.groupby("customer_id")["amount"].median()
    frame["relative_amount"] = frame["amount"] / frame["customer_id"].map(usual)
    angle = 2 * np.pi * frame["timestamp"].dt.hour / 24
    mine = angle[honest.index].groupby(honest["customer_id"])
    peak = np.arctan2(mine.agg(lambda a: np.sin(a).mean()), mine.agg(lambda a: np.cos(a).mean()))
    frame["usual_hour"] = np.cos(angle - frame["customer_id"].map(peak))
    pairs = honest.groupby(["customer_id", "device"]).size()
    rows = pd.MultiIndex.from_frame(frame[["customer_id", "device"]])
    known = pairs.reindex(rows, fill_value=0).to_numpy() - (frame["is_fraud"] == 0)
    frame["strange_device"] = known <= 0
    frame["elsewhere"] = frame["shipping_address"] != frame["billing_address"]
    return frame


def only(market, pattern):
    return market[market["pattern"] == pattern]


def test_the_public_function_gives_the_same_frame_with_its_defaults():
    parameters = inspect.signature(simulate).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == DEFAULTS
    frame, _ = simulate(**DEFAULTS | {"n_transactions": 1_000})
    pd.testing.assert_frame_equal(generate_transactions(1_000), frame)


def test_same_seed_same_frame_other_seed_other_frame():
    first, again, other = (generate_transactions(3_000, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["amount"] != other["amount"]).mean() > 0.9
    assert (first["customer_id"] != other["customer_id"]).mean() > 0.9


def test_a_known_frame_stays_the_same():
    frame = generate_transactions(500, seed=3)
    assert frame["amount"].sum().round(2) == pytest.approx(31_654.66, abs=0.05)
    assert frame["timestamp"].iloc[250] == pd.Timestamp("2024-04-10 15:03:07", tz="UTC")


@pytest.mark.parametrize("n", [100, 1_234, 20_000])
def test_exactly_as_many_rows_and_frauds_as_asked(n):
    frame = generate_transactions(n, fraud_ratio=0.05)
    assert len(frame) == n
    assert frame["is_fraud"].sum() == round(0.05 * n)


def test_columns_and_types(market):
    frame = generate_transactions(1_000)
    assert tuple(frame.columns) == CANONICAL
    assert frame["timestamp"].dtype == "datetime64[us, UTC]"
    assert frame["is_fraud"].dtype == np.int8
    assert all(frame[column].dtype == np.float64 for column in ("amount", *NUMERIC))
    assert all(frame[column].dtype == "str" for column in TEXT)
    assert frame.drop(columns="customer_age").notna().all(axis=None)


def test_values_are_in_their_units(market):
    assert market["transaction_id"].is_unique
    assert market["transaction_id"].is_monotonic_increasing
    assert market["timestamp"].is_monotonic_increasing
    assert (market["timestamp"] == market["timestamp"].dt.floor("s")).all()
    assert (market["amount"] > 0).all()
    assert (market["amount"] == market["amount"].round(2)).all()
    whole = market[list(NUMERIC)].dropna()
    assert (whole == whole.round()).all(axis=None)
    assert (whole >= 0).all(axis=None)
    assert 0.002 < market.groupby("customer_id")["customer_age"].first().isna().mean() < 0.02


def test_all_rows_lie_within_the_period():
    frame = generate_transactions(5_000, days=10, start="2023-03-05")
    assert frame["timestamp"].min() >= pd.Timestamp("2023-03-05", tz="UTC")
    assert frame["timestamp"].max() < pd.Timestamp("2023-03-15", tz="UTC")
    assert frame["timestamp"].dt.date.nunique() == 10


def test_customers_come_back_and_their_accounts_grow_older(market):
    purchases = market["customer_id"].value_counts()
    assert purchases.median() > 15
    assert purchases.quantile(0.9) > 4 * purchases.quantile(0.1)
    by_customer = market.groupby("customer_id")
    assert by_customer["account_age_days"].is_monotonic_increasing.all()
    assert by_customer["customer_age"].nunique().max() == 1
    assert 0.1 < (by_customer["account_age_days"].first() < 30).mean() < 0.5


def test_fraud_and_every_pattern_keep_their_rate_over_the_period(market):
    third = (market["timestamp"] - pd.Timestamp("2024-01-01", tz="UTC")).dt.days // 60
    assert market.groupby(third)["is_fraud"].mean().between(0.022, 0.028).all()
    rates = pd.crosstab(third, market["pattern"], normalize="index")
    assert (rates.max() / rates.min() < 1.25).all()


def test_a_small_market_has_every_pattern():
    frame, pattern = simulate(**DEFAULTS | {"n_transactions": 2_000})
    assert frame["is_fraud"].mean() == 0.025
    assert pattern.value_counts().reindex(PATTERNS)[1:].min() >= 5


def test_card_testing_comes_in_bursts_of_small_amounts(market):
    testing, honest = only(market, "card_testing"), only(market, "honest")
    assert testing["amount"].quantile(0.9) < honest["amount"].median()
    gap = testing.groupby("customer_id")["timestamp"].diff().dt.total_seconds().dropna()
    assert (gap <= 300).mean() > 0.9
    assert len(gap) > 0.7 * len(testing)
    busy = honest.groupby("customer_id")["timestamp"].diff().dt.total_seconds() <= 300
    assert 0.01 < busy.mean() < 0.2
    assert (honest["amount"] < testing["amount"].quantile(0.9)).mean() > 0.05


def test_account_takeover_breaks_the_customers_habits_but_not_always(market):
    takeover, honest = only(market, "account_takeover"), only(market, "honest")
    for habit in ("strange_device", "elsewhere"):
        assert takeover[habit].mean() > honest[habit].mean() + 0.3
        assert takeover[habit].mean() < 0.95
        assert honest[habit].mean() > 0.01
    assert takeover["usual_hour"].mean() < 0 < 0.5 < honest["usual_hour"].mean()
    assert 1.1 < takeover["relative_amount"].median() / honest["relative_amount"].median() < 2.5


def test_stolen_cards_pay_large_amounts_for_the_customer_within_two_days(market):
    stolen, honest = only(market, "stolen_card"), only(market, "honest")
    assert stolen["relative_amount"].median() > 2.5 * honest["relative_amount"].median()
    assert (honest["relative_amount"] > stolen["relative_amount"].median()).mean() > 0.01
    gap = stolen.groupby("customer_id")["timestamp"].diff().dropna()
    assert (gap <= pd.Timedelta(days=2)).mean() > 0.8


def test_a_compromised_merchant_has_much_fraud_for_a_few_weeks(market):
    hit = only(market, "compromised_merchant").groupby("terminal_id")["timestamp"]
    times = hit.agg(["min", "max", "size"])
    length = (times["max"] - times["min"]).dt.days
    assert (length <= 28).mean() > 0.85
    assert length.median() > 10
    assert 15 < len(times) < 0.2 * market["terminal_id"].nunique()
    rows = market.merge(times, left_on="terminal_id", right_index=True)
    rows = rows[rows["timestamp"].between(rows["min"], rows["max"])]
    assert 0.25 < (rows["pattern"] == "compromised_merchant").mean() < 0.6
    amounts = rows.groupby("is_fraud")["relative_amount"].median()
    assert 1 < amounts[1] / amounts[0] < 2.5


def test_no_raw_column_gives_the_fraud_away(market):
    label = market["is_fraud"]
    scores = {column: market[column].fillna(0) for column in ("amount", *NUMERIC)}
    scores["time"] = market["timestamp"].astype("int64")
    scores["hour"] = market["timestamp"].dt.hour
    scores["weekday"] = market["timestamp"].dt.day_of_week
    for column in [c for c in TEXT if c != "transaction_id"]:
        values = market[column]
        scores[column + " frequency"] = values.map(values.value_counts())
        if values.nunique() <= 1000:
            scores[column + " rate"] = label.groupby(values).transform("mean")
    past, rest = market[:60_000], market[60_000:]
    rate = past.groupby("customer_id")["is_fraud"].mean()
    auc = {name: roc_auc_score(label, score) for name, score in scores.items()}
    auc["customer rate"] = roc_auc_score(
        rest["is_fraud"], rest["customer_id"].map(rate).fillna(0.025)
    )
    assert "terminal_id rate" in auc
    assert {name: v for name, v in auc.items() if not 0.2 < v < 0.8} == {}


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("n_transactions", 99, "100"),
        ("n_transactions", 1000.5, "whole number"),
        ("n_customers", 0, "10"),
        ("n_terminals", 3, "10"),
        ("days", 0, "1"),
        ("fraud_ratio", 0.0, "between 0 and 0.5"),
        ("fraud_ratio", 0.5, "between 0 and 0.5"),
        ("fraud_ratio", float("nan"), "between 0 and 0.5"),
        ("start", "soon", "2024-01-01"),
        ("start", None, "2024-01-01"),
        ("start", 12, "2024-01-01"),
        ("fraud_ratio", "much", "between 0 and 0.5"),
        ("seed", -1, "0"),
    ],
)
def test_errors_name_the_argument_its_value_and_what_is_right(name, value, hint):
    with pytest.raises(ValueError, match=f"^{name} is ") as error:
        generate_transactions(**{"n_transactions": 1_000} | {name: value})
    message = str(error.value)
    assert message.startswith(f"{name} is {value!r};")
    assert hint in message.split(";")[1]
