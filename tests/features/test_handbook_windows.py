"""The windows of the Fraud Detection Handbook, chapter 3.5, row by row from their definition."""

import numpy as np
import pandas as pd
import pytest
import yaml

from fraud_ae.data.sources import from_file
from fraud_ae.features import Behavioural
from tests.commands import ROOT, SHARED_DATA

WINDOWS = (1, 7, 30)
DAY_US = 86_400_000_000
HANDBOOK = SHARED_DATA / "handbook_2018-06-11_2018-08-14.parquet"
NAMES = [
    f"{name}_{w}d"
    for w in WINDOWS
    for name in (
        "customer_count",
        "customer_mean_amount",
        "terminal_delayed_count",
        "terminal_delayed_fraud_rate",
    )
]


def generated(missing_terminals: bool) -> pd.DataFrame:
    """300 rows in 60 days, on whole quarters of a day give or take a microsecond, with ties."""
    rng = np.random.default_rng(0)
    quarters, jitter = rng.integers(1, 240, 300), rng.choice([-1, 0, 0, 0, 1], 300)
    us = np.sort(quarters * (DAY_US // 4) + jitter)
    terminal = pd.Series(rng.choice(["k", "m", "n"], 300), dtype="str")
    if missing_terminals:
        terminal = terminal.mask(rng.random(300) < 0.2)
    return pd.DataFrame(
        {
            "customer_id": pd.Series(rng.choice(list("abcd"), 300), dtype="str"),
            "timestamp": pd.to_datetime(us, unit="us", utc=True).as_unit("us"),
            "amount": rng.lognormal(3, 1, 300).round(2),
            "is_fraud": (rng.random(300) < 0.3).astype("int8"),
            "terminal_id": terminal,
        }
    )


def by_loops(df: pd.DataFrame, delay_us: int) -> pd.DataFrame:
    """The features in NAMES by plain loops over all pairs of rows."""
    times = df["timestamp"].astype("int64").tolist()
    customers, terminals = df["customer_id"].tolist(), df["terminal_id"].tolist()
    amounts, labels = df["amount"].tolist(), df["is_fraud"].tolist()
    rows = []
    for i, t in enumerate(times):
        features = {}
        for w in WINDOWS:
            length = w * DAY_US
            paid = []
            frauds = []
            for j, s in enumerate(times):
                if customers[j] == customers[i] and (s < t or j == i) and t - length < s:
                    paid.append(amounts[j])
                known = s <= t - delay_us and s < t
                if terminals[j] == terminals[i] and known and t - delay_us - length < s:
                    frauds.append(labels[j])
            features[f"customer_count_{w}d"] = len(paid)
            features[f"customer_mean_amount_{w}d"] = sum(paid) / len(paid)
            at_terminal = isinstance(terminals[i], str)
            rate = sum(frauds) / len(frauds) if frauds else 0.0
            features[f"terminal_delayed_count_{w}d"] = len(frauds) if at_terminal else np.nan
            features[f"terminal_delayed_fraud_rate_{w}d"] = rate if at_terminal else np.nan
        rows.append(features)
    return pd.DataFrame(rows)


def by_masks(df: pd.DataFrame, rows: np.ndarray, delay_us: int) -> pd.DataFrame:
    """The features in NAMES of some rows, by masks over all of them."""
    times = df["timestamp"].astype("int64").to_numpy()
    customers, terminals = (pd.factorize(df[key])[0] for key in ("customer_id", "terminal_id"))
    amounts, labels = df["amount"].to_numpy(), df["is_fraud"].to_numpy()
    position = np.arange(len(df))
    found = []
    for row in rows:
        age = times[row] - times
        paid = (customers == customers[row]) & ((age > 0) | (position == row))
        known = (terminals == terminals[row]) & (age >= delay_us)
        features = {}
        for w in WINDOWS:
            recent = amounts[paid & (age < w * DAY_US)]
            frauds = labels[known & (age < delay_us + w * DAY_US)]
            features[f"customer_count_{w}d"] = len(recent)
            features[f"customer_mean_amount_{w}d"] = recent.mean()
            features[f"terminal_delayed_count_{w}d"] = len(frauds)
            features[f"terminal_delayed_fraud_rate_{w}d"] = frauds.mean() if len(frauds) else 0.0
        found.append(features)
    return pd.DataFrame(found)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Counts and rates to the last bit, means up to the order of summing."""
    for name in NAMES:
        tolerance = 1e-9 if "mean" in name else 0
        np.testing.assert_allclose(
            found[name], expected[name], rtol=tolerance, atol=0, err_msg=name
        )


@pytest.mark.parametrize("delay_days", [7.0, 2.5, 0.25, 0.0])
@pytest.mark.parametrize("missing_terminals", [False, True])
def test_every_window_of_generated_transactions(missing_terminals, delay_days):
    df = generated(missing_terminals)
    expected = by_loops(df, round(delay_days * DAY_US))
    found = Behavioural(WINDOWS, delay_days).fit(df).generate_features(df)
    assert_same(found, expected)
    assert expected[NAMES].nunique().min() > 2


@pytest.mark.parametrize(
    ("key", "edges_days"), [("customer_id", WINDOWS), ("terminal_id", (7, 7 + 1, 7 + 7, 7 + 30))]
)
def test_the_generated_transactions_have_ties_and_rows_on_the_edges(key, edges_days):
    df = generated(missing_terminals=True).dropna()
    assert df.duplicated(["timestamp", key]).sum() > 10
    instants = pd.MultiIndex.from_frame(df[[key, "timestamp"]])
    for days in edges_days:
        edge = df["timestamp"] - pd.Timedelta(days=days)
        assert pd.MultiIndex.from_arrays([df[key], edge]).isin(instants).sum() > 10


@pytest.mark.skipif(not HANDBOOK.is_file(), reason=f"real data not there: {HANDBOOK}")
def test_windows_of_the_handbook():
    mapping = yaml.safe_load((ROOT / "conf" / "data" / "handbook.yaml").read_text())["columns"]
    df = from_file(str(HANDBOOK), columns=mapping).transactions
    rows = np.random.default_rng(0).choice(len(df), 300, replace=False)
    found = Behavioural().fit(df).generate_features(df).iloc[rows]
    expected = by_masks(df, rows, 7 * DAY_US)
    assert_same(found, expected)
    assert (expected["terminal_delayed_fraud_rate_30d"] > 0).sum() > 5
