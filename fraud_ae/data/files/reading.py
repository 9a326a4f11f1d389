"""Reading tables of transactions from files of any kind, and the transactions in them."""

import csv
import logging
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import BadZipFile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fraud_ae.data.files.csv_files import csv_batches, csv_dialect
from fraud_ae.data.files.json_files import json_frames
from fraud_ae.data.files.paths import kind_of, table_files, uncompressed
from fraud_ae.data.naming import listed, short
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import training_transactions, unused_columns
from fraud_ae.errors import DataError

_LOGGER = logging.getLogger("fraud_ae")

_NOT_A_TABLE = (
    ValueError,
    OSError,
    EOFError,
    # Of a quote that is not closed, and of JSON that is nested without end.
    csv.Error,
    RecursionError,
    NotImplementedError,
    LookupError,
    zlib.error,
    lzma.LZMAError,
    BadZipFile,
    pa.ArrowException,
)
_KIND_IN_WORDS = {
    "csv": "a CSV file",
    "parquet": "a Parquet file",
    "arrow": "an Arrow file",
    "json": "JSON lines",
}


def read_transactions(
    path: str | Path | None,
    source_format: SourceFormat,
    prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda raw: raw,
) -> tuple[pd.DataFrame, SourceFormat]:
    """Canonical transactions of training data, and their format, as `training_transactions` does.

    prepare: what is done to the table before its columns are mapped, such as newer labels.
    Raises DataError, naming the file and everything that is wrong with it.
    """
    raw = prepare(read_table(path, source_format))
    try:
        transactions, inferred = training_transactions(raw, source_format)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    unused = unused_columns(raw, inferred)
    if unused:
        _LOGGER.warning(
            "numeric columns of the file that are not used: %s. Those that are known when a "
            "payment is made can be named in 'data.extra_columns=[...]'",
            ", ".join(unused),
        )
    return transactions, inferred


def read_table(path: str | Path | None, source_format: SourceFormat | None = None) -> pd.DataFrame:
    """Table of a file of any kind, with the file's own column names; text stays as it is written.

    path: a CSV (any separator, also compressed), JSON lines, Parquet or Arrow file, a directory or
    a glob of files of one kind. Raises DataError if there is none or one cannot be read.
    """
    frames = list(read_parts(path, source_format, None))
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def read_parts(
    path: str | Path | None, source_format: SourceFormat | None, rows: int | None
) -> Iterator[pd.DataFrame]:
    """What `read_table` gives, so many rows of a file at a time, for files that are long.

    Raises DataError as it does, also on the way.
    """
    files = table_files(path)
    first: list[str] | None = None
    for file in files:
        for frame in _file_parts(file, source_format, rows):
            columns = sorted(map(str, frame))
            first = columns if first is None else first
            if kind_of(file) != "json" and columns != first:
                different = set(first) ^ set(columns)
                raise DataError(
                    f"{file}: has other columns than {files[0].name}: {listed(sorted(different))}"
                )
            yield frame


def _file_parts(
    file: Path, source_format: SourceFormat | None, rows: int | None
) -> Iterator[pd.DataFrame]:
    kind = kind_of(file)
    try:
        # The dialect is found in the bytes that are then read again.
        dialect = csv_dialect(file, source_format) if kind == "csv" else None
        if dialect is not None:
            for table in _regrouped(csv_batches(file, dialect), rows):
                # Names may repeat: then the mapping has to see that they do.
                yield table.to_pandas().set_axis(list(dialect.names), axis=1)
            return
        with uncompressed(file) as stream:
            if kind == "json":
                yield from json_frames(stream, rows)
            else:
                yield from map(_frame, _arrow_tables(stream, kind, rows))
    except DataError:
        raise
    except _NOT_A_TABLE as error:
        wanted = _KIND_IN_WORDS[kind]
        raise DataError(f"{file}: cannot be read as {wanted}\n{short(error, 200)}") from None


def _regrouped(batches: Iterator[pa.Table], rows: int | None) -> Iterator[pa.Table]:
    """Tables of so many rows, the last of what is left; one of all without `rows`."""
    waiting: list[pa.Table] = []
    for batch in batches:
        waiting.append(batch)
        while rows and sum(len(table) for table in waiting) >= rows:
            whole = pa.concat_tables(waiting)
            yield whole[:rows]
            waiting = [whole[rows:]]
    whole = pa.concat_tables(waiting)
    if len(whole) or not rows:
        yield whole


def _arrow_tables(stream, kind: str, rows: int | None) -> Iterator[pa.Table]:
    if kind == "arrow":
        source = pa.py_buffer(stream.read())
        try:
            table = pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            table = pa.ipc.open_stream(source).read_all()
        size = rows or max(len(table), 1)
        for start in range(0, max(len(table), 1), size):
            yield table[start : start + size]
        return
    with pq.ParquetFile(stream) as parquet:
        if rows is None:
            yield parquet.read()
        else:
            for batch in parquet.iter_batches(batch_size=rows):
                yield pa.Table.from_batches([batch])


def _frame(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas(types_mapper=_exact_type)
    return frame.reset_index() if any(frame.index.names) else frame


def _exact_type(kind: pa.DataType) -> pd.ArrowDtype | None:
    """Whole numbers with missing values, decimals and dates stay what they are."""
    exact = (pa.types.is_integer, pa.types.is_decimal, pa.types.is_date, pa.types.is_boolean)
    return pd.ArrowDtype(kind) if any(test(kind) for test in exact) else None
