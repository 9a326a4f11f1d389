"""Folders of partitioned files: the same transactions as one file, or one line that refuses."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud_ae.data.files.reading import read_table
from fraud_ae.data.inspection import inspect_file
from fraud_ae.data.simulation.synthetic import simulate
from fraud_ae.data.sources import from_file
from fraud_ae.errors import DataError

NAMES = ("transaction_id", "customer_id", "timestamp", "amount", "is_fraud", "device")
COLUMNS = {name: name for name in NAMES}
ROWS = 600


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Transactions in no order, some at one instant."""
    frame = simulate(n_transactions=ROWS, seed=3)[0][list(NAMES)]
    frame["timestamp"] = frame["timestamp"].dt.floor("h").dt.tz_localize(None)
    return frame.sample(frac=1, random_state=1).reset_index(drop=True)


def write(frame: pd.DataFrame, *path) -> None:
    path[0].joinpath(*path[1:]).parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path[0].joinpath(*path[1:]), index=False)


def partitioned(frame: pd.DataFrame, folder, column: str = "device"):
    pq.write_to_dataset(pa.Table.from_pandas(frame), folder, partition_cols=[column])
    (folder / "_SUCCESS").touch()
    (folder / ".part-0.parquet.crc").write_bytes(b"crc")
    (folder / "_metadata").write_bytes(b"not looked at")
    return folder


@pytest.mark.parametrize("with_ids", [True, False])
def test_a_folder_is_the_table_that_was_split_into_it(tmp_path, table, with_ids):
    write(table, tmp_path, "one.parquet")
    partitioned(table, tmp_path / "by_device")
    for number, part in enumerate(np.array_split(np.arange(ROWS), 7)):
        write(table.iloc[part], tmp_path, "numbered", f"{9 - number}.parquet")
    columns = COLUMNS if with_ids else COLUMNS | {"transaction_id": None}
    if not with_ids:
        table = table.drop(columns="transaction_id")
        for file in tmp_path.rglob("*.parquet"):
            pd.read_parquet(file, partitioning=None).drop(columns="transaction_id").to_parquet(file)

    paths = ("one.parquet", "by_device", "numbered", "numbered/*.parquet", "by_device/*/*.parquet")
    one, *others = (from_file(str(tmp_path / path), columns=columns) for path in paths)

    assert len(one.transactions) == ROWS
    for other in others:
        pd.testing.assert_frame_equal(other.transactions, one.transactions)
        assert other.fingerprint == one.fingerprint
        assert other.source_format == one.source_format


def test_a_partition_is_a_column_of_text(tmp_path):
    frame = pd.DataFrame({"x": [1, 2]})
    write(frame, tmp_path, "t", "country=DE%2FAT", "month=01", "a.parquet")
    write(frame, tmp_path, "t", "country=__HIVE_DEFAULT_PARTITION__", "month=02", "a.parquet")

    read = read_table(tmp_path / "t").sort_values("month")
    assert read["month"].tolist() == ["01", "01", "02", "02"]
    assert read["country"].tolist()[:2] == ["DE/AT"] * 2
    assert read["country"].isna().tolist() == [False, False, True, True]
    # A file that is named itself is what it holds; a column of its own is not replaced.
    assert list(read_table(tmp_path / "t/country=DE%2FAT/month=01/a.parquet")) == ["x"]
    write(frame, tmp_path, "own", "x=9", "a.parquet")
    assert read_table(tmp_path / "own")["x"].tolist() == [1, 2]


def test_hidden_files_and_files_without_rows_do_not_count(tmp_path):
    write(pd.DataFrame({"x": [1, 2]}), tmp_path, "b.parquet")
    write(pd.DataFrame({"other": pd.Series(dtype="str")}), tmp_path, "a.parquet")
    write(pd.DataFrame({"x": [3]}), tmp_path, "_delta", "c.parquet")
    write(pd.DataFrame({"x": [4]}), tmp_path, ".cache", "d.parquet")
    write(pd.DataFrame({"x": [5]}), tmp_path, "_e.parquet")
    write(pd.DataFrame({"x": [6]}), tmp_path, "_day=1", "f.parquet")
    (tmp_path / "_day=1/f.parquet").rename(tmp_path / "f.parquet")
    assert read_table(tmp_path)["x"].tolist() == [1, 2, 6]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ([1, 2], np.array([3, 4], dtype="int8"), [1, 2, 3, 4]),
        ([2**53, 2], [np.nan, 4.0], [2**53, 2, np.nan, 4]),
        ([1, 2], [None, None], [1, 2, None, None]),
        (pd.Categorical(["a", "b"]), ["b", None], ["a", "b", "b", None]),
        (
            pd.to_datetime(["2024-01-01", "2024-01-02"]).as_unit("ms"),
            pd.to_datetime(["2024-01-03", "2024-01-04"]).as_unit("ns"),
            pd.date_range("2024-01-01", periods=4).tolist(),
        ),
    ],
    ids=["widths", "gaps", "all-missing", "dictionary", "units"],
)
def test_types_of_files_that_hold_the_same(tmp_path, one, other, together):
    write(pd.DataFrame({"x": one, "y": 0}), tmp_path, "1.parquet")
    write(pd.DataFrame({"y": 0, "x": other}), tmp_path, "2.parquet")
    found = read_table(tmp_path)["x"]
    assert [None if pd.isna(value) else value for value in found] == [
        None if pd.isna(value) else value for value in together
    ]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"x": ["1"]}, "2.parquet: the column x holds string, and int64 in the files"),
        ({"x": [1], "y": [1]}, "2.parquet: has other columns than 1.parquet: y"),
        ({"z": [1]}, "2.parquet: has other columns than 1.parquet: x, z"),
        ({"x": [0.5]}, "1.parquet: cannot be read as a Parquet file"),
    ],
    ids=["type", "more", "other", "inexact"],
)
def test_files_that_do_not_fit_are_refused(tmp_path, other, expected):
    write(pd.DataFrame({"x": [2**53 + 1]}), tmp_path, "1.parquet")
    write(pd.DataFrame(other), tmp_path, "2.parquet")
    with pytest.raises(DataError, match=expected):
        read_table(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no table", None])
def test_a_file_that_is_no_parquet_is_named(tmp_path, content):
    write(pd.DataFrame({"x": [1]}), tmp_path, "1.parquet")
    whole = (tmp_path / "1.parquet").read_bytes()
    (tmp_path / "2.parquet").write_bytes(whole[:-20] if content is None else content)
    with pytest.raises(DataError, match="2.parquet: cannot be read as a Parquet file"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ("_temporary/0/part-1.parquet", "is not written to its end, there is _temporary"),
        ("day=1/.spark-staging-7/part-1.parquet", "is not written to its end, there is day=1/.sp"),
        ("_started_77", "is not written to its end, there is _started_77"),
        ("part-1.parquet.tmp", "is not written to its end, there is part-1.parquet.tmp"),
        ("_delta_log/00000.json", "is a Delta table, whose log says which"),
        ("metadata/v1.metadata.json", "is an Iceberg table"),
        (".hoodie/hoodie.properties", "is a Hudi table"),
    ],
)
def test_a_folder_that_is_not_whole_or_has_a_log_is_refused(tmp_path, left, expected):
    write(pd.DataFrame({"x": [1]}), tmp_path, "part-0.parquet")
    (tmp_path / "_started_5").touch()
    (tmp_path / "_committed_5").touch()
    assert len(read_table(tmp_path)) == 1
    (tmp_path / left).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / left).touch()
    with pytest.raises(DataError, match=expected):
        read_table(tmp_path)


def test_inspect_looks_into_all_files_of_a_folder(tmp_path, table):
    folder = partitioned(table.assign(month="2024-01"), tmp_path / "t", "month")
    partitioned(table.assign(month="2024-02"), folder, "month")
    found = inspect_file(folder)
    assert (found.rows, found.cut, found.files) == (2 * ROWS, False, 2)
    assert found.settings["columns"]["timestamp"] == "timestamp"
    assert "not used, only names of folders: month" in found.notes
    assert "month" not in found.settings["extra_categories"]
