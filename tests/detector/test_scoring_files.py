import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data import canonical_file
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.explaining_files import explain_file
from fraud_ae.detector.scoring_files import check_output, score_file
from fraud_ae.errors import DataError, UserError
from tests.commands import run, start


@pytest.fixture(scope="module")
def detector(model) -> FraudDetector:
    return FraudDetector.load(model)


@pytest.fixture(scope="module")
def transactions(dataset) -> pd.DataFrame:
    return dataset.transactions


@pytest.fixture(scope="module")
def expected(detector, transactions) -> pd.Series:
    scores = detector.predict_anomaly_scores(transactions)
    return pd.Series(scores, index=transactions["transaction_id"])


@pytest.fixture(autouse=True)
def _many_parts(monkeypatch) -> None:
    monkeypatch.setattr(canonical_file, "PART_ROWS", 300)


def scored(detector, path: Path, out: Path, history: Path | None = None) -> pd.DataFrame:
    with canonical_file.canonical_file(path, detector.source_format, history) as file:
        alerts = score_file(detector, file, out).alerts
    if out.suffix == ".parquet":
        frame = pd.read_parquet(out)
    else:
        frame = pd.read_csv(out, dtype={"transaction_id": "str"})
    assert list(frame) == ["transaction_id", "score", "alert", "reasons"]
    assert frame["alert"].sum() == alerts
    return frame


def assert_scores(found: pd.DataFrame, expected: pd.Series, ids) -> None:
    assert found["transaction_id"].tolist() == list(ids)
    values = expected[found["transaction_id"]].to_numpy()
    np.testing.assert_allclose(found["score"].to_numpy("float32"), values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_scores_as_a_frame(detector, transactions, expected, tmp_path, suffix):
    path = tmp_path / f"in.{suffix}"
    getattr(transactions, f"to_{suffix}")(path, index=False)
    found = scored(detector, path, tmp_path / f"out.{suffix}")
    assert_scores(found, expected, transactions["transaction_id"])
    flagged = found["alert"] == 1
    assert 0 < flagged.sum() < len(found)
    assert (found["score"].to_numpy("float32") > detector.threshold).tolist() == flagged.tolist()
    assert found["reasons"].notna().tolist() == flagged.tolist()


def test_rows_in_any_order_keep_their_places(detector, transactions, tmp_path):
    shuffled = transactions.sample(frac=1, random_state=1)
    scores = detector.predict_anomaly_scores(shuffled)
    expected = pd.Series(scores, index=shuffled["transaction_id"])
    shuffled.to_parquet(tmp_path / "in.parquet")
    found = scored(detector, tmp_path / "in.parquet", tmp_path / "out.csv")
    assert_scores(found, expected, shuffled["transaction_id"])


@pytest.mark.promise(3)
def test_a_history_is_seen_and_not_scored(detector, transactions, expected, tmp_path):
    """It reaches into the period that is scored, and some ids are in both."""
    new, old = transactions.iloc[1500:], transactions.iloc[:1600]
    new.to_csv(tmp_path / "new.csv", index=False)
    old.to_parquet(tmp_path / "old.parquet", index=False)
    found = scored(detector, tmp_path / "new.csv", tmp_path / "out.csv", tmp_path / "old.parquet")
    assert_scores(found, expected, new["transaction_id"])


def test_without_labels_the_scores_are_those_without_labels(detector, transactions, tmp_path):
    bare = transactions.drop(columns="is_fraud")
    bare.to_csv(tmp_path / "in.csv", index=False)
    expected = pd.Series(detector.predict_anomaly_scores(bare), index=bare["transaction_id"])
    found = scored(detector, tmp_path / "in.csv", tmp_path / "out.csv")
    assert_scores(found, expected, expected.index)


def test_an_id_that_occurs_twice_is_named(detector, transactions, tmp_path):
    again = transactions.iloc[[5]].assign(amount=1.0)
    twice = pd.concat([transactions.iloc[:900], again])
    twice.to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(DataError, match=r"in\.csv[\s\S]*transaction_id[\s\S]*T0000006"):
        scored(detector, tmp_path / "in.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_bad_values_of_a_later_part_are_named_and_nothing_is_written(
    detector, transactions, tmp_path
):
    bad = transactions.assign(amount=transactions["amount"].astype(object))
    bad.loc[700, "amount"] = "a lot"
    bad.to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(DataError, match=r"row 600 of the file[\s\S]*amount[\s\S]*a lot"):
        scored(detector, tmp_path / "in.csv", tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("out", ["out.xlsx", "folder", "file/out.csv"])
def test_an_output_that_cannot_be_written_is_named(detector, transactions, tmp_path, out):
    transactions.head(50).to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=Path(out).name):
        scored(detector, tmp_path / "in.csv", tmp_path / out)


def test_what_is_read_is_never_written_over(tmp_path):
    (tmp_path / "in.csv").write_text("read")
    for read in ((tmp_path / "in.csv", None), (tmp_path / "other.csv", tmp_path / "in.csv")):
        with pytest.raises(UserError, match="would be lost"):
            check_output(tmp_path / "folder" / ".." / "in.csv", *read)


def test_the_highest_scores_and_some_ids_are_explained(detector, transactions, expected, tmp_path):
    transactions.to_parquet(tmp_path / "in.parquet")
    source = (tmp_path / "in.parquet", detector.source_format, None)
    with canonical_file.canonical_file(*source) as file:
        highest = explain_file(detector, file, most=5)
        some = explain_file(detector, file, ["T0000200", "T0000017"], top=2)
        with pytest.raises(UserError, match="nobody"):
            explain_file(detector, file, ["T0000200", "nobody"])
    best = expected.sort_values(ascending=False).head(5)
    assert [one.score for one in highest] == pytest.approx(best.tolist(), abs=1e-5)
    assert all(1 <= len(one.reasons) <= 3 for one in highest)
    assert {one.transaction_id for one in some} == {"T0000200", "T0000017"}
    assert all(len(one.reasons) <= 2 for one in some)
    assert set(some[0].to_dict()["reasons"][0]) >= {"text", "share"}


@pytest.mark.slow
def test_the_commands_score_and_explain_a_file(model, transactions, expected, tmp_path):
    transactions.to_csv(tmp_path / "new.csv", index=False)
    chosen = f"--model={model}"
    printed = run("-m", "fraud_ae", "score", "new.csv", "-o", "out.csv", chosen, cwd=tmp_path)
    assert "2,500 scores" in printed
    assert "rows/s" in printed
    found = pd.read_csv(tmp_path / "out.csv", dtype={"transaction_id": "str"})
    assert_scores(found, expected, transactions["transaction_id"])
    printed = run("-m", "fraud_ae", "explain", "new.csv", chosen, "-o", "why.json", cwd=tmp_path)
    warning, *table = printed.splitlines()
    assert "windows of the earliest may be incomplete; --history FILE adds it" in warning
    assert max(map(len, table)) <= 80
    assert expected.idxmax() in printed
    assert len(pd.read_json(tmp_path / "why.json")) == 10
    failed = run("-m", "fraud_ae", "score", "new.csv", "-o", "out.csv", cwd=tmp_path, fails=True)
    assert failed == (
        "error: no model in outputs/*/models/production; name one with --model FOLDER, or make "
        "one: python pipeline.py\n"
    )


def test_a_killed_command_leaves_no_half_of_a_file(model, transactions, tmp_path):
    transactions.to_csv(tmp_path / "new.csv", index=False)
    (tmp_path / "out.csv").write_text("the scores of yesterday")
    chosen = f"--model={model}"
    arguments = ("-m", "fraud_ae", "score", "new.csv", "-o", "out.csv", chosen)
    with start(*arguments, cwd=tmp_path) as process:
        time.sleep(1.5)
        os.kill(process.pid, signal.SIGKILL)
    assert (tmp_path / "out.csv").read_text() == "the scores of yesterday"
