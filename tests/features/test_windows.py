"""Windows against their definition in the Fraud Detection Handbook, chapter 3.5, row by row."""

import numpy as np
import pandas as pd
import pytest
import yaml

from fraud_ae.data.sources import from_file
from fraud_ae.errors import DataError, UserError
from fraud_ae.features.windows import amounts, delayed_rates, key_codes
from tests.commands import ROOT, SHARED_DATA

HANDBOOK = SHARED_DATA / "handbook_2018-06-11_2018-08-14.parquet"
DAY_US = 86_400_000_000
WINDOWS = (0.25, 1, 7, 30)
DELAYS = (7.0, 2.5, 0.25, 0.0)


def by_definition(df: pd.DataFrame, key: str, delay_days: float, rows: np.ndarray) -> pd.DataFrame:
    """All windows of some rows."""
    times = df["timestamp"].dt.as_unit("us").astype("int64").to_numpy()
    keys, delay_us = pd.factorize(df[key])[0], delay_days * DAY_US
    amount, labels = df["amount"].to_numpy(), df["is_fraud"].to_numpy()
    features = []
    for row in rows:
        age = times[row] - times
        earlier = (keys == keys[row]) & (age > 0)
        features.append({})
        for w in WINDOWS:
            before = amount[earlier & (age < w * DAY_US)]
            frauds = labels[earlier & (age >= delay_us) & (age < delay_us + w * DAY_US)]
            features[-1] |= {
                f"count_{w:g}d": len(before) + 1,
                f"mean_amount_{w:g}d": np.append(before, amount[row]).mean(),
                f"earlier_mean_{w:g}d": before.mean() if len(before) else np.nan,
                f"earlier_std_{w:g}d": before.std(ddof=1) if len(before) > 1 else np.nan,
                f"delayed_count_{w:g}d": len(frauds),
                f"delayed_fraud_rate_{w:g}d": frauds.mean() if len(frauds) else 0.0,
            }
        if keys[row] < 0:
            features[-1] = dict.fromkeys(features[-1], np.nan)
    return pd.DataFrame(features)


def assert_as_defined(df: pd.DataFrame, key: str, delay_days: float, rows: np.ndarray) -> None:
    expected, keys = by_definition(df, key, delay_days, rows), key_codes(df[key])
    windows = amounts(df, keys, WINDOWS, earlier_days=WINDOWS)
    windows |= delayed_rates(df, keys, WINDOWS, delay_days)
    assert windows.keys() == set(expected)
    for name, values in expected.items():
        # Counts and rates to the last bit, means up to the order of summing.
        tolerance = {"rtol": 1e-9, "atol": 1e-6} if "mean" in name or "std" in name else {"rtol": 0}
        np.testing.assert_allclose(windows[name][rows], values, err_msg=name, **tolerance)


def quarters_of_days() -> pd.DataFrame:
    """300 rows in 60 days, on whole quarters of a day give or take a microsecond, with ties."""
    rng = np.random.default_rng(0)
    quarters, jitter = rng.integers(1, 240, 300), rng.choice([-1, 0, 0, 0, 1], 300)
    us = np.sort(quarters * (DAY_US // 4) + jitter)
    terminal = pd.Series(rng.choice(["k", "m", "n"], 300), dtype="str")
    return pd.DataFrame(
        {
            "customer_id": pd.Series(rng.choice(list("abcd"), 300), dtype="str"),
            "timestamp": pd.to_datetime(us, unit="us", utc=True).as_unit("us"),
            "amount": rng.lognormal(3, 1, 300).round(2),
            "is_fraud": (rng.random(300) < 0.3).astype("int8"),
            "terminal_id": terminal.mask(rng.random(300) < 0.2),
        }
    )


@pytest.mark.parametrize("delay_days", DELAYS)
@pytest.mark.parametrize("key", ["customer_id", "terminal_id"])
def test_windows_are_as_defined(transactions, key, delay_days):
    dates = transactions.assign(timestamp=transactions["timestamp"].dt.floor("D"))
    for df in (transactions, dates, quarters_of_days()):
        assert df.duplicated(["timestamp", key]).sum() > 10
        assert_as_defined(df, key, delay_days, np.arange(len(df)))


@pytest.mark.parametrize(
    ("key", "edges_days"), [("customer_id", (1, 7, 30)), ("terminal_id", (7, 7 + 1, 7 + 7, 7 + 30))]
)
def test_the_generated_transactions_have_rows_on_the_edges_of_windows(key, edges_days):
    df = quarters_of_days().dropna()
    instants = pd.MultiIndex.from_frame(df[[key, "timestamp"]])
    for days in edges_days:
        edge = df["timestamp"] - pd.Timedelta(days=days)
        assert pd.MultiIndex.from_arrays([df[key], edge]).isin(instants).sum() >= 10


@pytest.mark.slow
@pytest.mark.skipif(not HANDBOOK.is_file(), reason=f"real data not there: {HANDBOOK}")
def test_windows_of_the_handbook():
    mapping = yaml.safe_load((ROOT / "conf" / "data" / "handbook.yaml").read_text())["columns"]
    df = from_file(str(HANDBOOK), columns=mapping).transactions
    rows = np.random.default_rng(0).choice(len(df), 300, replace=False)
    for key in ("customer_id", "terminal_id"):
        assert_as_defined(df, key, 7.0, rows)


def at_one_key(timestamp: pd.DatetimeIndex, **columns: object) -> tuple[pd.DataFrame, np.ndarray]:
    df = pd.DataFrame({"timestamp": timestamp.as_unit("us"), "key": "a", **columns})
    return df, key_codes(df["key"])


@pytest.mark.promise(7)
def test_refunds_are_no_spending():
    hours = pd.date_range("2024-01-01", periods=4, freq="1h", tz="UTC")
    windows = amounts(*at_one_key(hours, amount=[10.0, -10.0, 30.0, -5.0]), [1], earlier_days=[1])
    assert windows["count_1d"].tolist() == [1, 1, 2, 2]
    assert windows["mean_amount_1d"].tolist() == [10, 10, 20, 20]
    assert windows["earlier_mean_1d"].tolist()[1:] == [10, 10, 20]


def test_without_amounts_there_are_counts():
    windows = amounts(*at_one_key(pd.date_range("2024-01-01", periods=2, tz="UTC")), [7])
    assert windows["count_7d"].tolist() == [1, 2]


def test_equal_amounts_after_a_huge_one_have_no_deviation():
    times = pd.date_range("2024-01-01", periods=6, freq="4D", tz="UTC")
    windows = amounts(*at_one_key(times, amount=[1e9, 3.3, 3.3, 3.3, 3.3, 8.0]), earlier_days=[9])
    assert windows["earlier_std_9d"][3:].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("delay_days", [1e-12, 1 / DAY_US])
def test_the_least_delay_counts_what_was_a_microsecond_before(delay_days):
    times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta([0, 1, 1], unit="us")
    windows = delayed_rates(*at_one_key(times, is_fraud=1), (1,), delay_days)
    assert windows["delayed_count_1d"].tolist() == [0, 1, 1]
    assert windows["delayed_fraud_rate_1d"].tolist() == [0, 1, 1]


@pytest.mark.promise(8)
def test_rows_without_a_label_count_but_have_no_part_in_the_rate():
    times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta([0, 1, 2, 3, 24, 26, 27], "h")
    labels = [np.nan, 1, np.nan, 0, np.nan, 0, 0]
    windows = delayed_rates(*at_one_key(times, is_fraud=labels), (1,), 1)
    assert windows["delayed_count_1d"].tolist() == [0, 0, 0, 0, 1, 3, 4]
    assert windows["delayed_fraud_rate_1d"].tolist() == [0, 0, 0, 0, 0, 1, 0.5]


def test_the_rate_is_unknown_without_labels_and_the_count_is_not(transactions):
    keys = key_codes(transactions["terminal_id"])
    windows = delayed_rates(transactions.drop(columns="is_fraud"), keys, (7,), 2.0)
    expected = delayed_rates(transactions, keys, (7,), 2.0)
    np.testing.assert_array_equal(windows["delayed_count_7d"], expected["delayed_count_7d"])
    assert np.isnan(windows["delayed_fraud_rate_7d"]).all()


@pytest.mark.parametrize("dtype", ["float64", "bool", "Int8", "boolean"])
def test_labels_of_any_type(transactions, dtype):
    keys = key_codes(transactions["terminal_id"])
    df = transactions.astype({"is_fraud": "bool"}).astype({"is_fraud": dtype})
    expected = delayed_rates(transactions, keys, WINDOWS, 2.0)
    np.testing.assert_equal(delayed_rates(df, keys, WINDOWS, 2.0), expected)


def test_negative_delay_is_refused(transactions):
    with pytest.raises(UserError, match="label_delay_days is -1; it cannot be negative"):
        delayed_rates(transactions, key_codes(transactions["terminal_id"]), WINDOWS, -1)


@pytest.mark.parametrize("windows_of", [amounts, lambda *args: delayed_rates(*args, 7.0)])
def test_unsorted_transactions_and_windows_without_length_are_refused(transactions, windows_of):
    keys = key_codes(transactions["customer_id"])
    swapped = transactions.iloc[[*range(399), 0]].reset_index(drop=True)
    with pytest.raises(DataError, match="row 399 .* earlier than the row before"):
        windows_of(swapped, keys, WINDOWS)
    for windows in ((), (1, 0)):
        with pytest.raises(UserError, match="windows_days"):
            windows_of(transactions, keys, windows)
