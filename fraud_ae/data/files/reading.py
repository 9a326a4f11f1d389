"""Reading tables of transactions from files of any kind, and the transactions in them."""

import csv
import logging
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import pandas as pd
import pyarrow as pa

from fraud_ae.data.files.csv_files import csv_batches, csv_dialect
from fraud_ae.data.files.folders import partitions
from fraud_ae.data.files.json_files import json_frames
from fraud_ae.data.files.paths import kind_of, table_files, uncompressed
from fraud_ae.data.files.typed_files import TYPED, cast, common_schema, schema_of, tables
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
    a glob of files of one kind. The folders `column=value` that a file of a directory lies in are
    columns of text, unless the file has them. Raises DataError if there is none or one cannot be
    read.
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
    schema = None
    if len(files) > 1 and kind_of(files[0]) in TYPED:
        files, schema = _with_rows(files)
    first: list[str] | None = None
    for file in files:
        folders = partitions(Path(path).expanduser(), file)
        for frame in _file_parts(file, source_format, rows, schema):
            frame = _with_partitions(frame, folders)
            columns = sorted(map(str, frame))
            first = columns if first is None else first
            if kind_of(file) != "json" and columns != first:
                different = set(first) ^ set(columns)
                raise DataError(
                    f"{file}: has other columns than {files[0].name}: {listed(sorted(different))}"
                )
            yield frame


def _with_rows(files: list[Path]) -> tuple[list[Path], pa.Schema]:
    """The files that hold rows, or the first where none does, and the schema of all of them."""
    schemas = {}
    for file in files:
        with _told(file), uncompressed(file) as stream:
            schemas[file] = schema_of(stream, kind_of(file))
    held = [file for file in files if schemas[file][1]] or files[:1]
    return held, common_schema({file: schemas[file][0] for file in held})


def _with_partitions(frame: pd.DataFrame, folders: dict[str, str | None]) -> pd.DataFrame:
    columns = {
        name: pd.Series([value] * len(frame), index=frame.index, dtype="str")
        for name, value in folders.items()
        if name not in frame
    }
    return pd.concat([frame, pd.DataFrame(columns)], axis=1) if columns else frame


def _file_parts(
    file: Path, source_format: SourceFormat | None, rows: int | None, schema: pa.Schema | None
) -> Iterator[pd.DataFrame]:
    kind = kind_of(file)
    with _told(file):
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
                for table in tables(stream, kind, rows):
                    yield _frame(table if schema is None else cast(table, schema))


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Raises DataError, naming the file, for whatever says that it is no table of its kind."""
    try:
        yield
    except DataError:
        raise
    except _NOT_A_TABLE as error:
        wanted = _KIND_IN_WORDS[kind_of(file)]
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


def _frame(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas(types_mapper=_exact_type)
    return frame.reset_index() if any(frame.index.names) else frame


def _exact_type(kind: pa.DataType) -> pd.ArrowDtype | None:
    """Whole numbers with missing values, decimals and dates stay what they are."""
    exact = (pa.types.is_integer, pa.types.is_decimal, pa.types.is_date, pa.types.is_boolean)
    return pd.ArrowDtype(kind) if any(test(kind) for test in exact) else None
