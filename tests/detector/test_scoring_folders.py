"""A folder of partitioned files is scored as one file that has all of its rows."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud_ae.data import canonical_file
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.scoring_files import score_file
from fraud_ae.errors import DataError
from tests.commands import fraud_ae


@pytest.fixture(scope="module")
def detector(model) -> FraudDetector:
    return FraudDetector.load(model)


@pytest.fixture
def folder(dataset, tmp_path):
    """Hive partitions by payment method, of which each spans all times."""
    table = pa.Table.from_pandas(dataset.transactions, preserve_index=False)
    pq.write_to_dataset(table, tmp_path / "new", partition_cols=["payment_method"])
    (tmp_path / "new/_SUCCESS").touch()
    return tmp_path / "new"


def scored(detector, path, out) -> pd.DataFrame:
    with canonical_file.canonical_file(path, detector.source_format, None) as file:
        score_file(detector, file, out)
    return pd.read_parquet(out)


def test_a_folder_is_scored_as_one_file(detector, dataset, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(canonical_file, "PART_ROWS", 300)
    dataset.transactions.to_parquet(tmp_path / "one.parquet", index=False)
    one = scored(detector, tmp_path / "one.parquet", tmp_path / "one_scores.parquet")
    many = scored(detector, folder, tmp_path / "many_scores.parquet")

    # In the order of the rows of the files, these by name.
    parts = sorted(folder.rglob("*.parquet"))
    ids = pd.concat([pd.read_parquet(part, partitioning=None) for part in parts])["transaction_id"]
    assert many["transaction_id"].tolist() == ids.tolist()
    many = many.set_index("transaction_id").loc[one["transaction_id"]].reset_index()
    pd.testing.assert_frame_equal(many, one, check_exact=True)
    assert np.count_nonzero(one["alert"])


def test_a_folder_that_is_not_whole_is_not_scored(detector, folder, tmp_path):
    (folder / "_temporary/0").mkdir(parents=True)
    with pytest.raises(DataError, match="new: is not written to its end, there is _temporary"):
        scored(detector, folder, tmp_path / "scores.parquet")


@pytest.mark.slow
def test_the_command_scores_a_folder(model, folder, tmp_path):
    out = tmp_path / "scores.csv"
    printed = fraud_ae("score", str(folder), "-o", str(out), "--model", str(model), cwd=tmp_path)
    rows = sum(len(pd.read_parquet(part)) for part in folder.rglob("*.parquet"))
    assert f"{rows:,} scores" in printed
    assert len(pd.read_csv(out)) == rows
