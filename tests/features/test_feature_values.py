"""Single features on transactions small enough to know the answer."""

import math

import numpy as np
import pandas as pd
import pytest

from fraud_ae.errors import UserError
from fraud_ae.features import (
    Baseline,
    Behavioural,
    Combined,
    DemographicRisk,
    Temporal,
    fit_strategy,
)

NAN = math.nan


def transactions_of(times: list[str], **columns: list) -> pd.DataFrame:
    timestamp = pd.to_datetime(times, utc=True).as_unit("us")
    columns = {"amount": [1.0] * len(times)} | columns
    return pd.DataFrame({"timestamp": timestamp, **columns})


def values(strategy: object, df: pd.DataFrame, feature: str) -> list[float]:
    return fit_strategy(strategy, df).generate_features(df)[feature].tolist()


def test_log_amount_of_payments_and_refunds():
    df = transactions_of(["2024-01-01"] * 3, amount=[0.0, math.e - 1, 1 - math.e])
    assert values(Baseline(), df, "log_amount") == pytest.approx([0, 1, -1])


def test_extra_columns_are_features_of_their_own_name():
    df = transactions_of(["2024-01-01"], V1=[0.5], checked=[True], note=["hello"])
    features = Baseline().fit(df).generate_features(df)
    assert list(features) == ["amount", "log_amount", "V1", "checked", "note"]


def test_baseline_must_be_fitted():
    with pytest.raises(UserError, match="Baseline is not fitted; call fit"):
        Baseline().generate_features(transactions_of(["2024-01-01"]))


def test_clock_and_calendar():
    # 2024-03-04 was a Monday.
    df = transactions_of(
        ["2024-03-04T00:00", "2024-03-04T06:59", "2024-03-04T07:00", "2024-03-09T12:00"]
    )
    assert values(Temporal(), df, "night") == [1, 1, 0, 0]
    assert values(Temporal(), df, "weekend") == [0, 0, 0, 1]
    assert values(Temporal(), df, "hour_cos")[::3] == pytest.approx([1, -1])
    assert values(Temporal(), df, "weekday_sin")[0] == 0
    assert values(Temporal(), df, "weekday_sin")[3] == pytest.approx(math.sin(2 * math.pi * 5 / 7))


def test_time_since_previous_transaction_of_the_customer():
    df = transactions_of(
        ["2024-01-01T00:00:00"] * 2 + ["2024-01-01T00:00:09"] * 4,
        customer_id=["a", "b", "a", "a", None, None],
    )
    seconds = values(Temporal(), df, "log_seconds_since_previous")
    assert seconds == pytest.approx([NAN, NAN, math.log(10), math.log(10), NAN, NAN], nan_ok=True)


def test_first_uses_are_as_defined(transactions):
    features = Behavioural().fit(transactions).generate_features(transactions)
    times, customers = (transactions[name].to_numpy() for name in ("timestamp", "customer_id"))
    earlier = (times[None] < times[:, None]) & (customers[None] == customers[:, None])
    for column in ("device", "shipping_address", "ip_address", "terminal_id"):
        value = transactions[column].to_numpy()
        used = (earlier & (value[None] == value[:, None])).any(axis=1)
        known = transactions[["customer_id", column]].notna().all(axis=1)
        expected = np.where(known, earlier.any(axis=1) & ~used, NAN)
        name = f"new_{column.removesuffix('_id')}"
        np.testing.assert_array_equal(features[name], expected, err_msg=name)


def test_deviation_from_earlier_amounts():
    df = transactions_of(
        [f"2024-01-0{day}" for day in range(1, 6)],
        customer_id=["a"] * 5,
        terminal_id=["m", "n", "m", "n", "m"],
        amount=[4.0, 8.0, 9.0, 21.0, 13.0],
        quantity=[2.0, NAN, 0.0, 3.0, 1.0],
    )
    strategy = Behavioural(windows_days=(1, 3.5))
    z = values(strategy, df, "amount_z_customer_3.5d")
    # Row 3 against 4, 8 and 9; row 4, against 8, 9 and 21.
    assert z[2:4] == pytest.approx([3 / math.sqrt(8), 14 / math.sqrt(7)])
    assert z[:2] == pytest.approx([NAN, NAN], nan_ok=True)
    to_customer = values(strategy, df, "amount_to_customer_mean_3.5d")
    assert to_customer == pytest.approx([NAN, 2, 1.5, 3, 39 / 38], nan_ok=True)
    to_terminal = values(strategy, df, "amount_to_terminal_mean_3.5d")
    assert to_terminal == pytest.approx([NAN, NAN, 9 / 4, 21 / 8, 13 / 9], nan_ok=True)
    per_item = values(strategy, df, "amount_per_item")
    assert per_item == pytest.approx([2, NAN, NAN, 7, 13], nan_ok=True)


def test_windows_of_customer_and_terminal():
    df = transactions_of(
        ["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-04", "2024-01-05"],
        customer_id=["a", "a", "b", "a", None],
        terminal_id=["m", "m", "m", None, "m"],
        amount=[4.0, 8.0, 9.0, 21.0, 13.0],
        is_fraud=[1, 0, 0, 1, 1],
    )
    strategy = Behavioural(windows_days=(1, 3), label_delay_days=2)
    expected = {
        "customer_count_1d": [1, 1, 1, 1, NAN],
        "customer_count_3d": [1, 2, 1, 2, NAN],
        "customer_mean_amount_3d": [4, 6, 9, 14.5, NAN],
        "terminal_delayed_count_1d": [0, 0, 0, NAN, 0],
        "terminal_delayed_count_3d": [0, 0, 0, NAN, 3],
        "terminal_delayed_fraud_rate_1d": [0, 0, 0, NAN, 0],
        "terminal_delayed_fraud_rate_3d": [0, 0, 0, NAN, 1 / 3],
    }
    for name, column in expected.items():
        assert values(strategy, df, name) == pytest.approx(column, nan_ok=True), name


def test_unknown_fraud_rates_are_named_in_one_warning_where_some_are_lost(caplog):
    terminals = {"customer_id": ["a", "b"], "terminal_id": ["m", None]}
    for columns in (
        {"customer_id": ["a", "b"]},
        {**terminals, "terminal_id": pd.Series([None, None], dtype="str")},
        {**terminals, "is_fraud": [0, 1]},
        {**terminals, "is_fraud": [NAN, 1]},
    ):
        values(Behavioural(), transactions_of(["2024-01-01"] * 2, **columns), "customer_count_7d")
    assert not caplog.records
    df = transactions_of(["2024-01-01"] * 2, **terminals)
    assert "terminal_delayed_fraud_rate_7d" not in Behavioural().fit(df).generate_features(df)
    assert not caplog.records
    fitted = Behavioural().fit(df.assign(is_fraud=0))
    assert fitted.generate_features(df)["terminal_delayed_fraud_rate_7d"].isna().all()
    assert len(caplog.records) == 1
    for text in ("terminal_delayed_fraud_rate_30d are unknown", "older", "is_fraud"):
        assert text in caplog.text


def test_demographics():
    df = transactions_of(
        ["2024-01-01"] * 4,
        customer_age=[24.0, 25.0, 65.0, NAN],
        account_age_days=[0.0, 29.0, 30.0, NAN],
        shipping_address=["x", "x", None, "x"],
        billing_address=["x", "y", "y", "z"],
    )
    assert values(DemographicRisk(), df, "age_band")[:3] == ["<25", "25-34", "65+"]
    assert pd.isna(values(DemographicRisk(), df, "age_band")[3])
    new = values(DemographicRisk(), df, "new_account")
    assert new == pytest.approx([1, 1, 0, NAN], nan_ok=True)
    mismatch = values(DemographicRisk(), df, "address_mismatch")
    assert mismatch == pytest.approx([0, 1, NAN, 1], nan_ok=True)


class NightShift(Temporal):
    """Overrides what the built-in strategy leaves to its base."""

    def generate_features(self, df: pd.DataFrame) -> pd.DataFrame:
        features = super().generate_features(df)
        return features.assign(night_amount=features["amount"] * features["night"])


class Doubled:
    """Disagrees with the baseline on the amount."""

    def generate_features(self, df: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"amount": 2 * df["amount"]})


def test_combined_is_the_union_of_its_parts(transactions):
    parts = {"a": Temporal(), "b": DemographicRisk(), "c": NightShift()}
    together = Combined(parts).fit(transactions).generate_features(transactions)
    assert together.columns.is_unique
    alone = [part.fit(transactions).generate_features(transactions) for part in parts.values()]
    assert set(together) == {name for features in alone for name in features}
    for features in alone:
        pd.testing.assert_frame_equal(together[features.columns], features, check_exact=True)


def test_parts_that_disagree_are_refused(transactions):
    combined = Combined({"temporal": Temporal(), "mine": Doubled()}).fit(transactions)
    with pytest.raises(UserError, match=r"amount of the part 'mine' \(Doubled\) differs"):
        combined.generate_features(transactions)
