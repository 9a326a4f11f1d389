"""Windows against their definition."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.errors import DataError, UserError
from fraud_ae.features.windows import amounts, delayed_rates, key_codes

WINDOWS = (0.25, 1, 7)
EARLIER = ("earlier_mean_7d", "earlier_std_7d")
DAY = pd.Timedelta(days=1)


def by_definition(df: pd.DataFrame, key: str) -> dict[str, np.ndarray]:
    names = [f"{name}_{w:g}d" for w in WINDOWS for name in ("count", "mean_amount")]
    result = {name: np.full(len(df), np.nan) for name in (*names, *EARLIER)}
    for row in np.flatnonzero(df[key].notna()):
        time = df["timestamp"].iloc[row]
        past = df[(df[key] == df[key].iloc[row]) & (df["timestamp"] < time)]
        for w in WINDOWS:
            earlier = past["amount"][time - past["timestamp"] < w * DAY]
            amount = [*earlier, df["amount"].iloc[row]]
            result[f"count_{w:g}d"][row] = len(amount)
            result[f"mean_amount_{w:g}d"][row] = np.mean(amount)
        for name, value in zip(EARLIER, (earlier.mean(), earlier.std()), strict=True):
            result[name][row] = value
    return result


def assert_as_defined(df: pd.DataFrame, key: str) -> None:
    expected = by_definition(df, key)
    found = amounts(df, key_codes(df[key]), WINDOWS, earlier_days=[7])
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


def test_refunds_are_no_spending():
    df = pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-01-01", periods=4, freq="1h", unit="us", tz="UTC"),
            "customer_id": "a",
            "amount": [10.0, -10.0, 30.0, -5.0],
        }
    )
    found = amounts(df, key_codes(df["customer_id"]), [1], earlier_days=[1])
    assert found["count_1d"].tolist() == [1, 1, 2, 2]
    assert found["mean_amount_1d"].tolist() == [10, 10, 20, 20]
    assert found["earlier_mean_1d"].tolist()[1:] == [10, 10, 20]


def test_without_amounts_there_are_counts():
    df = pd.DataFrame(
        {"timestamp": pd.date_range("2024-01-01", periods=2, unit="us", tz="UTC"), "k": "a"}
    )
    assert amounts(df, key_codes(df["k"]), [7])["count_7d"].tolist() == [1, 2]


def test_equal_amounts_after_a_huge_one_have_no_deviation():
    df = pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-01-01", periods=6, freq="4D", unit="us", tz="UTC"),
            "terminal_id": "m",
            "amount": [1e9, 3.3, 3.3, 3.3, 3.3, 8.0],
        }
    )
    found = amounts(df, key_codes(df["terminal_id"]), earlier_days=[9])
    assert found["earlier_std_9d"][3:].tolist() == [0.0, 0.0, 0.0]


def rates_at(
    elapsed: list[str], labels: list[float] | None, delay_days: float
) -> tuple[list[float], list[float]]:
    """Counts and fraud rates of a window of one day, of rows at one terminal."""
    timestamp = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(elapsed)
    df = pd.DataFrame({"timestamp": timestamp.as_unit("us"), "terminal_id": "m"})
    if labels is not None:
        df["is_fraud"] = labels
    found = delayed_rates(df, key_codes(df["terminal_id"]), (1,), delay_days)
    return found["delayed_count_1d"].tolist(), found["delayed_fraud_rate_1d"].tolist()


def test_edges_of_a_delayed_window():
    # The window of the last row is (1 d, 2 d].
    elapsed = ["24h", "24:00:00.000001", "47:59:59.999999", "48h", "48h", "48:00:00.000001", "120h"]
    count, rate = rates_at(elapsed, [1, 0, 1, 1, 0, 1, 1], delay_days=3)
    assert (count[-1], rate[-1]) == (4, 0.5)
    assert count[:-1] == [0] * 6
    assert rate[:-1] == [0] * 6


def test_without_a_delay_nothing_simultaneous_counts():
    elapsed = ["0h", "1h", "1h", "24h", "25h"]
    count, rate = rates_at(elapsed, [1, 0, 1, 1, 0], delay_days=0)
    assert count == [0, 1, 1, 2, 1]
    assert rate == [0, 1, 1, 0.5, 1]


@pytest.mark.parametrize("delay_days", [1e-12, 1 / 86_400_000_000])
def test_the_least_delay_counts_what_was_a_microsecond_before(delay_days):
    count, rate = rates_at(["0h", "0.000001s", "0.000001s"], [1, 1, 1], delay_days)
    assert count == [0, 1, 1]
    assert rate == [0, 1, 1]


def test_rows_without_a_label_count_but_have_no_part_in_the_rate():
    elapsed = ["0h", "1h", "2h", "3h", "24h", "26h", "27h"]
    count, rate = rates_at(elapsed, [np.nan, 1, np.nan, 0, np.nan, 0, 0], delay_days=1)
    assert count == [0, 0, 0, 0, 1, 3, 4]
    assert rate == [0, 0, 0, 0, 0, 1, 0.5]


def test_the_rate_is_unknown_without_labels_and_the_count_is_not():
    count, rate = rates_at(["0h", "24h"], None, delay_days=1)
    assert count == [0, 1]
    assert np.isnan(rate).all()


@pytest.mark.parametrize("dtype", ["int8", "float64", "bool", "Int8", "boolean"])
def test_labels_of_any_type(transactions, dtype):
    keys = key_codes(transactions["terminal_id"])
    expected = delayed_rates(transactions, keys, WINDOWS, 2.0)
    df = transactions.astype({"is_fraud": "bool"}).astype({"is_fraud": dtype})
    found = delayed_rates(df, keys, WINDOWS, 2.0)
    np.testing.assert_equal(found, expected)


def test_later_labels_fill_no_earlier_window(transactions):
    """Where a frame has labels from some time on, what came before stays 0."""
    known = transactions["is_fraud"].astype("float64").mask(transactions.index < 300)
    keys = key_codes(transactions["terminal_id"])
    found = delayed_rates(transactions.assign(is_fraud=known), keys, WINDOWS, 0.0)
    before = transactions["timestamp"] <= transactions["timestamp"][300]
    keyed = transactions["terminal_id"].notna()
    for w in WINDOWS:
        assert (found[f"delayed_fraud_rate_{w:g}d"][before & keyed] == 0).all()
        assert np.isnan(found[f"delayed_fraud_rate_{w:g}d"][~keyed]).all()


def test_negative_delay_is_refused(transactions):
    with pytest.raises(UserError, match="label_delay_days is -1; it cannot be negative"):
        delayed_rates(transactions, key_codes(transactions["terminal_id"]), WINDOWS, -1)


def _delayed(df: pd.DataFrame, keys: np.ndarray, windows: tuple) -> dict[str, np.ndarray]:
    return delayed_rates(df, keys, windows, 7.0)


@pytest.mark.parametrize("windows_of", [amounts, _delayed])
def test_unsorted_transactions_are_refused(transactions, windows_of):
    swapped = transactions.iloc[[*range(399), 0]].reset_index(drop=True)
    with pytest.raises(DataError, match="row 399 .* earlier than the row before"):
        windows_of(swapped, key_codes(swapped["customer_id"]), WINDOWS)


@pytest.mark.parametrize("windows_of", [amounts, _delayed])
@pytest.mark.parametrize("windows", [(), (1, 0)])
def test_windows_without_length_are_refused(transactions, windows_of, windows):
    with pytest.raises(UserError, match="windows_days"):
        windows_of(transactions, key_codes(transactions["customer_id"]), windows)
