"""Trailing windows against their definition."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.errors import DataError, UserError
from fraud_ae.features.windows import trailing_amounts

WINDOWS = (0.25, 1, 7)


def by_definition(df: pd.DataFrame, key: str) -> dict[str, np.ndarray]:
    names = [f"{name}_{w:g}d" for w in WINDOWS for name in ("count", "mean_amount", "std_amount")]
    result = {name: np.full(len(df), np.nan) for name in (*names, "earlier_mean", "earlier_std")}
    for row in np.flatnonzero(df[key].notna()):
        past = df.iloc[: row + 1]
        past = past[past[key] == df[key].iloc[row]]
        age = df["timestamp"].iloc[row] - past["timestamp"]
        for w in WINDOWS:
            amount = past["amount"][age < pd.Timedelta(days=w)]
            result[f"count_{w:g}d"][row] = len(amount)
            result[f"mean_amount_{w:g}d"][row] = amount.mean()
            result[f"std_amount_{w:g}d"][row] = amount.std()
        earlier = amount.iloc[:-1]
        result["earlier_mean"][row] = earlier.mean()
        result["earlier_std"][row] = earlier.std()
    return result


def assert_as_defined(df: pd.DataFrame, key: str) -> None:
    found, expected = trailing_amounts(df, key, WINDOWS), by_definition(df, key)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("key", ["customer_id", "terminal_id"])
def test_coarse_times_with_many_ties(transactions, key):
    assert transactions.duplicated(["timestamp", key]).sum() > 20
    assert_as_defined(transactions, key)


def test_dates_only(transactions):
    dates = transactions.assign(timestamp=transactions["timestamp"].dt.floor("D"))
    assert_as_defined(dates, "terminal_id")


def test_microseconds_around_the_edge_of_a_window(transactions):
    offset = np.random.default_rng(0).integers(-2, 3, len(transactions))
    jittered = transactions["timestamp"] + pd.to_timedelta(offset, unit="us")
    df = transactions.assign(timestamp=jittered.dt.as_unit("us"))
    assert_as_defined(df.sort_values("timestamp", kind="stable"), "terminal_id")


def test_equal_amounts_after_a_huge_one_have_no_deviation():
    df = pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-01-01", periods=6, freq="4D", unit="us", tz="UTC"),
            "terminal_id": "m",
            "amount": [1e9, 3.3, 3.3, 3.3, 3.3, 8.0],
        }
    )
    found = trailing_amounts(df, "terminal_id", (9,))
    assert found["earlier_std"][3:].tolist() == [0.0, 0.0, 0.0]


def test_unsorted_transactions_are_refused(transactions):
    swapped = transactions.iloc[[*range(399), 0]].reset_index(drop=True)
    with pytest.raises(DataError, match="row 399 .* earlier than the row before"):
        trailing_amounts(swapped, "customer_id", WINDOWS)


@pytest.mark.parametrize("windows", [(), (1, 0)])
def test_windows_without_length_are_refused(transactions, windows):
    with pytest.raises(UserError, match="windows_days"):
        trailing_amounts(transactions, "customer_id", windows)
