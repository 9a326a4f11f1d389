"""The benchmarks: the protocol of detection, and the commands as a user runs them."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from benchmarks import protocols
from benchmarks.reasons import SUBJECTS
from fraud_ae.data.simulation.synthetic import simulate
from tests.commands import ROOT

HANDBOOK = {
    "transaction_id": "TRANSACTION_ID",
    "timestamp": "TX_DATETIME",
    "customer_id": "CUSTOMER_ID",
    "terminal_id": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
    "is_fraud": "TX_FRAUD",
    "fraud_scenario": "TX_FRAUD_SCENARIO",
}
START = pd.Timestamp("2018-07-25", tz="UTC")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A small file in the form of the handbook's."""
    settings = {"days": 65, "start": "2018-06-11", "fraud_ratio": 0.08, "n_customers": 300}
    frame, pattern = simulate(12_000, **settings)
    path = tmp_path_factory.mktemp("handbook") / "handbook.parquet"
    frame.join(pattern)[list(HANDBOOK)].rename(columns=HANDBOOK).to_parquet(path)
    return path


def test_the_weeks_are_the_books_and_known_compromised_customers_leave(file):
    task = protocols.handbook(str(file), "2018-07-25").final
    rows = task.dataset.transactions.iloc[: len(task.labels)]
    day = (rows["timestamp"].dt.floor("D") - START).dt.days
    assert (task.train == day.between(0, 6)).all()
    frauds = rows["is_fraud"] == 1
    pool = set(rows["customer_id"][frauds & day.between(0, 6)])
    expected = pd.Series(False, index=rows.index)
    for k in range(14, 21):
        pool |= set(rows["customer_id"][frauds & (day == k - 8)])
        expected |= (day == k) & ~rows["customer_id"].isin(pool)
    assert 0 < expected.sum() < day.between(14, 20).sum()
    assert (task.test == expected).all()


def test_what_is_chosen_is_chosen_two_weeks_earlier(file):
    protocol = protocols.handbook(str(file), "2018-07-25")
    earlier = protocol.earlier
    times = earlier.dataset.transactions["timestamp"].iloc[: len(earlier.labels)]
    assert times[earlier.train].min() >= START - pd.Timedelta(days=14)
    # The earlier test ends before the week that is tested in the end begins.
    assert times.max() < START + pd.Timedelta(days=7)
    assert all("fraud_rate" in name for name in protocol.labelled_features)


@pytest.mark.slow
def test_the_command_writes_a_row_for_each_method_and_seed(file, tmp_path):
    out = tmp_path / "rows.json"
    command = ["-m", "benchmarks.detection", "handbook", str(file), "--seeds", "2"]
    done = subprocess.run(
        [sys.executable, *command, "--json", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    rows = pd.DataFrame(json.loads(out.read_text()))
    assert list(rows) == [
        "method",
        "seed",
        "roc_auc",
        "average_precision",
        "card_precision_at_100",
        "uses_labels",
        "seconds",
    ]
    for _, own in rows.groupby("method"):
        assert own["seed"].tolist() == [0, 1]
    learns = set(rows["method"][rows["uses_labels"]])
    assert "fraud_ae calibrated" in learns
    assert {"fraud_ae reconstruction", "isolation forest"}.isdisjoint(learns)
    assert rows["roc_auc"].between(0, 1).all()
    assert "terminal_delayed_fraud_rate_7d" in done.stdout.replace("\n", " ")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_missing_file_is_said():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.detection", "handbook"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "handbook needs the FILE" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "table"),
    [
        ("training", ["--rows", "2000"], "training"),
        ("features", ["--rows", "3000", "--sizes", "3000"], "windows"),
        ("scoring", ["--rows", "3000"], "scoring"),
    ],
)
def test_a_speed_benchmark_prints_a_table_and_writes_json(tmp_path, name, options, table):
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", "--repeats", "2"]
    file = tmp_path / "found.json"
    done = subprocess.run(
        [*command, *options, "--json", str(file)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())[table]
    assert len(rows) > 1
    for row in rows:
        assert row["seconds"] > 0
        assert row["side"].split()[0] in done.stdout


@pytest.mark.slow
def test_the_benchmark_of_reasons_has_a_row_for_each_cause(tmp_path):
    out = tmp_path / "found.json"
    command = ["-W", "ignore", "-m", "benchmarks.reasons", "--rows", "4000", "--each", "5"]
    done = subprocess.run(
        [sys.executable, *command, "--json", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    tables = json.loads(out.read_text())["reasons"]
    assert len(tables) == 6
    for rows in tables.values():
        assert {row["cause"] for row in rows} == set(SUBJECTS)
        assert all(0 <= row["found"] <= 1 and row["planted"] == 5 for row in rows)
    # The last line names a file.
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
