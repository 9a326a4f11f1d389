"""The benchmarks as commands: what a user types, what is printed, written and drawn."""

import io
import json
import sys

import pandas as pd
import pytest
from rich.console import Console

from benchmarks import comparison_picture, comparison_tables, detection
from benchmarks.comparison import ALL, FIGURES
from benchmarks.reasons import SUBJECTS
from fraud_ae.data.simulation.synthetic import simulate
from fraud_ae.errors import UserError
from tests.commands import benchmark


def test_known_is_numbers_and_all():
    assert detection.known_frauds("0,5, all,5") == [0, 5, ALL]
    with pytest.raises(UserError, match="--known 5,some"):
        detection.known_frauds("5,some")


@pytest.fixture
def rows():
    """Rows of a comparison with figures that are easily told apart."""
    found = []
    for number, (name, uses) in enumerate({"fraud_ae calibrated": True, "max |z|": False}.items()):
        for known in (0, 5, 20, 80, ALL):
            row = {"method": name, "week": "2018-08-08", "seed": 0, "known": known}
            row |= dict.fromkeys(FIGURES, 0.25 * (number + 1)) | {"uses_labels": uses, "seconds": 1}
            found += [] if uses and known == 0 else [row]
    return pd.DataFrame(found)


def test_the_table_by_known_frauds_fits_a_terminal(rows):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(comparison_tables.by_known(rows, "average precision"))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["fraud_ae", "calibrated", "yes", "-", *[".250"] * 4] in lines
    assert ["max", "|z|", "no", *[".500"] * 5] in lines


def test_the_picture_names_each_method(rows, tmp_path):
    pytest.importorskip("matplotlib", reason="of the extra `bench`")
    comparison_picture.draw(rows, tmp_path / "known.svg")
    text = (tmp_path / "known.svg").read_text()
    assert ">fraud_ae calibrated</text>" in text
    assert ">max |z|</text>" in text
    comparison_picture.draw(rows, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == text


def test_names_in_the_picture_are_apart_and_near_the_ends_of_their_lines():
    ends = {"a": 0.50, "b": 0.30, "c": 0.31, "d": 0.29, "e": 0.0, "f": 0.01}
    heights = comparison_picture.apart(ends, least=0.04)
    assert heights == pytest.approx({"e": 0, "f": 0.04, "d": 0.26, "b": 0.3, "c": 0.34, "a": 0.5})


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("handbook", "handbook needs the FILE"),
        ("shop.csv", "shop.csv: no such data set"),
        ("synthetic --weeks 0", "--weeks must be 1 or more"),
        ("synthetic --known 5 --picture known.svg", "--picture needs several numbers"),
        ("synthetic --train-start 2018-07-25", "--train-start is for handbook"),
        ("synthetic --config conf", "--config is for --data NAME"),
        ("--data custom --config nowhere", "--config nowhere: no such folder"),
        ("synthetic --data custom", "synthetic or --data custom: one of them"),
        ("--data custom data.path=nosuch.csv", "nosuch.csv: no such file"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(monkeypatch, capsys, typed, message):
    monkeypatch.setattr(sys, "argv", ["detection", *typed.split()])
    with pytest.raises(SystemExit) as ended:
        detection.main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.split("\n")
    assert [line for line in lines if line.startswith(f"error: {message}")]


@pytest.mark.slow
def test_the_command_writes_a_row_for_each_method_and_seed(handbook_file, tmp_path):
    out = tmp_path / "rows.json"
    options = ["--seeds", "2", "--known", "5", "--json", str(out)]
    printed = benchmark("detection", "handbook", str(handbook_file), *options)
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
    for _, of_method in rows.groupby(["method", "known"]):
        assert of_method["seed"].tolist() == [0, 1]
    learns = set(rows["method"][rows["uses_labels"]])
    assert "fraud_ae calibrated" in learns
    assert {"fraud_ae reconstruction", "isolation forest"}.isdisjoint(learns)
    assert rows["roc_auc"].between(0, 1).all()
    assert "terminal_delayed_fraud_rate_7d" in printed.replace("\n", " ")
    # The last line names a file.
    assert max(map(len, printed.splitlines()[:-1])) <= 80


@pytest.mark.slow
def test_a_users_table_is_compared_with_its_configuration(tmp_path):
    frame, _ = simulate(3_000, days=60, start="2024-01-01", fraud_ratio=0.05)
    frame.to_csv(tmp_path / "shop.csv", index=False)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    option = f"defaults: [custom]\nname: shop\npath: {tmp_path / 'shop.csv'}\n"
    (tmp_path / "conf" / "data" / "shop.yaml").write_text(option)
    out = tmp_path / "rows.json"
    printed = benchmark(
        "detection",
        *("--config", str(tmp_path / "conf"), "--data", "shop", "features=behavioural"),
        *("--known", "20", "--weeks", "2", "--seeds", "1", "--json", str(out)),
        *("--leave-out", "fraud_ae mahalanobis, RandomForest, isolation forest, PyOD XGBOD"),
    )
    rows = pd.DataFrame(json.loads(out.read_text()))
    assert rows["week"].nunique() == 2
    assert set(rows["known"]) == {20}
    methods = set(rows["method"])
    assert {"fraud_ae calibrated", "logistic regression"} <= methods
    assert {"fraud_ae mahalanobis", "RandomForest"}.isdisjoint(methods)
    assert "shop: train, validation and test" in printed
    # Calibration and reconstruction each say the network that was chosen for them.
    words = printed.split("fraud_ae calibrated: ")[-1].split()
    assert words[0] in ("Autoencoder", "MaskedAutoencoder")
    assert max(map(len, printed.splitlines()[:-1])) <= 80


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
    out = tmp_path / "found.json"
    printed = benchmark(name, "--repeats", "2", *options, "--json", str(out))
    rows = json.loads(out.read_text())[table]
    assert len(rows) > 1
    for row in rows:
        assert row["seconds"] > 0
        assert row["side"].split()[0] in printed


@pytest.mark.slow
def test_the_benchmark_of_reasons_has_a_row_for_each_cause(tmp_path):
    out = tmp_path / "found.json"
    printed = benchmark("reasons", "--rows", "2000", "--each", "5", "--json", str(out))
    tables = json.loads(out.read_text())["reasons"]
    assert len(tables) == 6
    for rows in tables.values():
        assert {row["cause"] for row in rows} == set(SUBJECTS)
        assert all(0 <= row["found"] <= 1 and row["planted"] == 5 for row in rows)
    # The last line names a file.
    assert max(map(len, printed.splitlines()[:-1])) <= 80
