"""What compute_features and check_strategy make of strategies, a user's own among them."""

import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fraud_ae.errors import StrategyRefused, UserError
from fraud_ae.features import (
    Baseline,
    Behavioural,
    Combined,
    DemographicRisk,
    Temporal,
    check_strategy,
    compute_features,
    fit_strategy,
    missing_columns,
)


class Returning:
    """A user's own class, which returns whatever it is made with."""

    def __init__(self, build) -> None:
        self.build = build

    def generate_features(self, df):
        return self.build(df)


class AmountShare:
    """A user's own class that learns, and declares what it can use."""

    columns = ("amount", "terminal_id")

    def fit(self, df):
        self.total_ = df["amount"].sum()

    def generate_features(self, df):
        return pd.DataFrame({"amount_share": df["amount"] / self.total_})


def test_own_strategy_works(transactions):
    check_strategy(AmountShare(), transactions)
    features = compute_features(fit_strategy(AmountShare(), transactions), transactions)
    assert features["amount_share"].sum() == pytest.approx(1)


def test_own_strategy_cannot_alter_the_transactions(transactions):
    def build(df):
        df["amount"] = 0.0
        df.loc[0, "V1"] = 99.0
        df.columns = df.columns.str.upper()
        return df[["V1"]]

    before = transactions.copy(deep=True)
    features = compute_features(Returning(build), transactions)
    assert features["V1"][0] == 99.0
    pd.testing.assert_frame_equal(transactions, before)


def test_features_are_floats_bools_and_strings(transactions):
    df = transactions.head(3)
    columns = {
        "float": [1.0, np.inf, -np.inf],
        "small": np.array([1, 2, 3], dtype="int8"),
        "flag": [True, False, True],
        "unsure": pd.array([True, None, False], dtype="boolean"),
        "whole": pd.array([1, None, 3], dtype="Int64"),
        "name": ["a", None, "c"],
        "group": pd.Categorical(["a", None, "c"]),
        "half": pd.Categorical([0.5, None, 1.5]),
        "nothing": [None, None, None],
    }
    features = compute_features(Returning(lambda df: pd.DataFrame(columns)), df)
    numbers = ["float", "small", "unsure", "whole", "half", "nothing"]
    assert set(features[numbers].dtypes) == {np.dtype("float64")}
    assert features["flag"].dtype == bool
    assert {str(features[name].dtype) for name in ("name", "group")} == {"str"}
    assert features["float"].isna().tolist() == [False, True, True]
    assert features["unsure"].tolist()[::2] == [1.0, 0.0]
    assert features[["name", "group"]].isna().sum().tolist() == [1, 1]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda df: df["amount"].tolist(), "returns a builtins.list; .* must return a pandas"),
        (lambda df: pl.DataFrame({"a": df["amount"]}), "returns a polars.*; .* pandas frame"),
        (lambda df: df[["V1"]].head(7), "returns 7 rows for 400 transactions"),
        (lambda df: df[["V1"]].sort_index(ascending=False), "another index"),
        (lambda df: df[["V1", "V2", "V1"]], "the feature V1 more than once"),
        (lambda df: pd.DataFrame({3: df["amount"]}), "a feature called 3; names must be str"),
        (lambda df: df[["V1", "is_fraud"]], "is_fraud as a feature"),
        (lambda df: df[["timestamp"]], "timestamp holds datetime64 values"),
        (lambda df: pd.DataFrame({"z": df["V1"] * 1j}), "z holds complex values"),
        (lambda df: pd.DataFrame({"z": [[1]] * len(df)}), r"z holds mixed values .* such as \[1\]"),
    ],
)
def test_broken_contract_is_reported(transactions, build, message):
    with pytest.raises(UserError, match=f"Returning.*{message}"):
        compute_features(Returning(build), transactions)


def test_something_else_is_no_strategy(transactions):
    with pytest.raises(UserError, match="dict is no feature strategy"):
        compute_features({}, transactions)


def test_missing_columns(anonymous):
    assert missing_columns(AmountShare(), anonymous) == ["terminal_id"]
    assert missing_columns(Returning(len), anonymous) == []
    assert {"customer_id", "device"} <= set(missing_columns(Behavioural(), anonymous))
    assert "is_fraud" in missing_columns(Behavioural(), anonymous.drop(columns="is_fraud"))


def test_baseline_and_temporal_can_do_without_customers(anonymous):
    check_strategy(Baseline(), anonymous[["timestamp", "amount"]])
    check_strategy(Temporal(), anonymous[["timestamp", "amount"]])
    check_strategy(Combined({"baseline": Baseline(), "temporal": Temporal()}), anonymous)


@pytest.mark.parametrize(
    ("strategy", "missing"),
    [
        (Behavioural(), "customer_id, quantity, device, shipping_address, ip_address, terminal_id"),
        (DemographicRisk(), "customer_age, account_age_days, shipping_address, billing_address"),
        (Combined({"behavioural": Behavioural()}), "customer_id, quantity"),
    ],
)
def test_strategy_that_adds_nothing_is_refused(anonymous, strategy, missing):
    with pytest.raises(StrategyRefused) as refusal:
        check_strategy(strategy, anonymous)
    assert f"{type(strategy).__name__} adds nothing to the baseline" in str(refusal.value)
    assert f"it would use {missing}" in str(refusal.value)


def test_own_strategy_that_adds_nothing_is_refused(transactions):
    with pytest.raises(StrategyRefused, match="Returning adds nothing .*; leave it out, or"):
        check_strategy(Returning(lambda df: df[["amount", "V1"]]), transactions)
    # Other values under a name of the baseline are something.
    check_strategy(Returning(lambda df: df[["amount"]] ** 2), transactions)


@pytest.mark.parametrize(
    "build",
    [
        lambda df: df[["V9"]],
        lambda df: df[["V1", "V9"]],
        lambda df: pd.DataFrame({"x": df["V9"]}),
        lambda df: pd.DataFrame({"x": df.V9}),
    ],
)
def test_own_strategy_without_its_column_is_refused(transactions, build):
    with pytest.raises(StrategyRefused, match="Returning reads the column .*V9.* do not have"):
        check_strategy(Returning(build), transactions)


def test_a_failing_own_strategy_is_refused_with_the_place(transactions):
    for build, what in ((lambda df: {}[5], "KeyError: 5"), (lambda df: 1 / 0, "ZeroDivision")):
        with pytest.raises(StrategyRefused, match=rf"Returning fails: {what}.*line \d+"):
            check_strategy(Returning(build), transactions)


def test_the_strategy_itself_is_not_fitted_by_the_check(transactions):
    for strategy in (Temporal(), DemographicRisk(), AmountShare()):
        before = copy.deepcopy(vars(strategy))
        check_strategy(strategy, transactions)
        assert vars(strategy) == before
