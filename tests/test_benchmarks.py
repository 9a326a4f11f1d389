"""The benchmarks: the protocol of detection, and the commands as a user runs them."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks import detection, handbook_simulation, protocols
from benchmarks.comparison import ALL, Comparison
from benchmarks.handbook_simulation import World
from benchmarks.peers import Peer
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


def _mask(task, part):
    """A part of a task's rows as a mask of the dataset's rows until the last of them."""
    mask = np.zeros(task.rows[-1] + 1, dtype=bool)
    mask[task.rows[part]] = True
    return mask


def test_the_weeks_are_the_books_and_known_compromised_customers_leave(file):
    task = protocols.handbook(str(file), "2018-07-25").finals[0]
    until = task.rows[-1] + 1
    rows = task.dataset.transactions.iloc[:until]
    train, test = (_mask(task, part) for part in (task.train, task.test))
    day = (rows["timestamp"].dt.floor("D") - START).dt.days
    assert (train == day.between(0, 6)).all()
    frauds = rows["is_fraud"] == 1
    pool = set(rows["customer_id"][frauds & day.between(0, 6)])
    expected = pd.Series(False, index=rows.index)
    for k in range(14, 21):
        pool |= set(rows["customer_id"][frauds & (day == k - 8)])
        expected |= (day == k) & ~rows["customer_id"].isin(pool)
    assert 0 < expected.sum() < day.between(14, 20).sum()
    assert (test == expected).all()


def test_what_is_chosen_is_chosen_two_weeks_earlier(file):
    protocol = protocols.handbook(str(file), "2018-07-25")
    earlier = protocol.earlier
    times = earlier.dataset.transactions["timestamp"].iloc[earlier.rows].reset_index(drop=True)
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
        "week",
        "seed",
        "known",
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


@pytest.fixture
def refused(monkeypatch, capsys):
    """The last line of a command that is refused."""

    def last_line(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["detection", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            detection.main()
        assert ended.value.code == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    return last_line


@pytest.fixture(scope="module")
def task(file):
    return protocols.handbook(str(file), "2018-07-25").finals[0]


def test_frauds_that_are_not_known_lie_among_the_normal_rows_and_the_test_keeps_all(task):
    few = task.with_known(5, seed=0)
    frauds = task.train & (task.labels == 1)
    assert few.known.sum() == 5
    assert (few.known <= frauds).all()
    assert (few.normal & frauds).sum() == frauds.sum() - 5
    assert (few.labels[few.test] == task.labels[task.test]).all()
    assert task.with_known(0, seed=0).normal.sum() == task.train.sum()
    assert (task.with_known(None, seed=0).normal == (task.train & (task.labels == 0))).all()


def test_which_frauds_are_known_is_drawn_by_the_seed_and_more_are_known_besides(task):
    few, same, other, more = (
        task.with_known(*drawn).known for drawn in ((5, 0), (5, 0), (5, 1), (20, 0))
    )
    assert (few == same).all()
    assert (few != other).any()
    assert (few <= more).all()


def test_the_encoder_has_learned_from_what_is_not_known_to_be_fraud(task):
    assert not np.array_equal(task.with_known(0, seed=0).inputs, task.inputs)


class Noted:
    """A method that notes what it was trained on."""

    def __init__(self) -> None:
        self.seen = []

    def score(self, task, seed):
        self.seen.append((task.known.copy(), seed))
        return task.inputs[task.test].sum(axis=1)


def compared(file, known, **others) -> tuple[list[dict], list[Noted]]:
    notes = [Noted(), Noted()]
    peers = {f"peer {n}": Peer(note.score, uses_labels=n == 1) for n, note in enumerate(notes)}
    ours = ("reconstruction", "mahalanobis", "calibrated")
    comparison = Comparison(
        protocols.handbook(str(file), "2018-07-25", weeks=others.get("weeks", 1)),
        known,
        others.get("seeds", 1),
        peers,
        [f"fraud_ae {name}" for name in ours],
    )
    rows = [row for found, _ in comparison.rows(lambda line: None) for row in found]
    return rows, notes


def test_all_methods_see_the_same_known_frauds_and_without_any_those_of_labels_are_left_out(file):
    rows, notes = compared(file, [0, 5, ALL], seeds=2)
    board = pd.DataFrame(rows)
    assert set(board["known"][board["method"] == "peer 1"]) == {5, ALL}
    assert set(board["known"][board["method"] == "peer 0"]) == {0, 5, ALL}
    of_one = [seen for seen in notes[0].seen if seen[0].sum()]
    for (one, seed), (other, other_seed) in zip(of_one, notes[1].seen, strict=True):
        assert seed == other_seed
        assert (one == other).all()


def test_each_further_week_is_a_week_earlier(file):
    rows, _ = compared(file, [ALL], weeks=2)
    assert [row["week"] for row in rows[::2]] == ["2018-08-08", "2018-08-01"]
    assert rows[0]["roc_auc"] != rows[2]["roc_auc"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weeks", "9"], "--weeks must be"),
        (["--train-start", "2018-08-25"], "--train-start must be 2018-07-25 or earlier"),
        (["--known", "5,many"], "must be numbers and `all`"),
        (["--known", "5000"], "frauds in all"),
    ],
)
def test_what_the_file_does_not_have_is_said_in_one_line(file, refused, arguments, message):
    assert message in refused("handbook", file, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nosuch"], "data=nosuch: no such option"),
        (["--data", "custom", "data.path=nosuch.csv"], "nosuch.csv: no such file"),
        (["--data", "custom", "nosuch.csv"], "--data NAME takes settings"),
        (["nosuch"], "or --data NAME for data of your own"),
    ],
)
def test_a_mistake_of_the_command_is_said_in_one_line(refused, arguments, message):
    assert message in refused(*arguments)


@pytest.mark.slow
def test_a_table_of_ones_own_is_compared_with_its_own_settings(tmp_path):
    frame, _ = simulate(3_000, days=60, start="2024-01-01", fraud_ratio=0.05)
    frame.to_csv(tmp_path / "shop.csv", index=False)
    options = tmp_path / "conf" / "data"
    options.mkdir(parents=True)
    (options / "shop.yaml").write_text(f"defaults: [custom]\npath: {tmp_path / 'shop.csv'}\n")
    out = tmp_path / "rows.json"
    command = [
        *("-m", "benchmarks.detection", "--data", "shop", "features=behavioural"),
        *("--config", str(tmp_path / "conf"), "--known", "0,20", "--weeks", "2", "--seeds", "1"),
        *("--json", str(out), "--leave-out", "fraud_ae mahalanobis,RandomForest,isolation forest"),
    ]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    rows = pd.DataFrame(json.loads(out.read_text()))
    assert rows["week"].nunique() == 2
    assert set(rows["known"]) == {0, 20}
    assert {"fraud_ae calibrated", "logistic regression"} <= set(rows["method"])
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80


def test_the_simulated_world_is_the_handbooks():
    world = World(customers=60, terminals=100, days=40, radius=20.0)
    frame = handbook_simulation.simulate(world)
    assert frame["TX_DATETIME"].is_monotonic_increasing
    assert frame["TRANSACTION_ID"].tolist() == list(range(len(frame)))
    large = frame["TX_AMOUNT"] > handbook_simulation.LARGE_AMOUNT
    assert frame["TX_FRAUD"][large].all()
    assert set(frame["TX_FRAUD_SCENARIO"]) >= {0, 2, 3}
    assert ((frame["TX_FRAUD_SCENARIO"] > 0) == (frame["TX_FRAUD"] == 1)).all()
    pd.testing.assert_frame_equal(frame, handbook_simulation.simulate(world))


SHARED = ROOT.parent / "shared" / "data" / "handbook_2018-06-11_2018-08-14.parquet"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_file(), reason="needs the handbook's data beside the project")
def test_the_simulated_transactions_are_those_of_the_handbook(tmp_path):
    out = tmp_path / "handbook.parquet"
    command = [sys.executable, "-m", "benchmarks.handbook_simulation", str(out), "--days", "137"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    simulated, known = pd.read_parquet(out), pd.read_parquet(SHARED)
    between = simulated["TX_DATETIME"].between(
        known["TX_DATETIME"].min(), known["TX_DATETIME"].max()
    )
    # The book's sort leaves payments of the same second in an order of chance, which a few draws of
    # stolen cards depend on.
    order = ["TX_DATETIME", "CUSTOMER_ID", "TX_AMOUNT"]
    one, other = (
        frame.drop(columns="TRANSACTION_ID").sort_values(order, ignore_index=True)
        for frame in (simulated[between], known)
    )
    where = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID"]
    pd.testing.assert_frame_equal(one[where], other[where])
    assert len(one) == 622_892
    outcome = ["TX_AMOUNT", "TX_FRAUD", "TX_FRAUD_SCENARIO"]
    assert (one[outcome] != other[outcome]).any(axis=1).sum() <= 118
