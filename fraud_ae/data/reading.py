"""Reading tables of transactions from files."""

import logging
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from fraud_ae.data import schema
from fraud_ae.data.source_format import SourceFormat, listed
from fraud_ae.data.transactions import to_transactions, unused_columns
from fraud_ae.errors import DataError

log = logging.getLogger("fraud_ae")

_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_NOT_A_TABLE = (
    ValueError,
    OSError,
    EOFError,
    NotImplementedError,
    zlib.error,
    pd.errors.ParserWarning,
)


def read_transactions(
    path: str | Path | None,
    source_format: SourceFormat,
    prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda raw: raw,
) -> pd.DataFrame:
    """Canonical transactions of a file, in order of time, as `to_transactions` gives them.

    prepare: what is done to the table before its columns are mapped, such as newer labels.
    Raises DataError, naming the file and everything that is wrong with it.
    """
    raw = prepare(read_table(path, source_format))
    try:
        transactions = to_transactions(raw, source_format)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    unused = unused_columns(raw, source_format)
    if unused:
        log.warning(
            "numeric columns of the file that are not used: %s. Those that are known when a "
            "payment is made can be named in 'data.extra_columns=[...]'",
            ", ".join(unused),
        )
    return transactions


def read_table(path, source_format: SourceFormat | None = None) -> pd.DataFrame:
    """Table of a CSV (also gzipped) or Parquet file, with the file's own column names.

    Columns that the format maps to ids and categories are read as text, so that leading zeros
    stay. Raises DataError if there is no such file or it cannot be read.
    """
    path = _checked(path)
    read = _read_parquet if _is_parquet(path) else partial(_read_csv, source_format=source_format)
    with _told_of_file(path):
        return read(path)


def read_parts(path, source_format: SourceFormat, rows: int) -> Iterator[pd.DataFrame]:
    """What `read_table` gives, at most so many rows at a time, for files that are long.

    Raises DataError as it does, also on the way.
    """
    path = _checked(path)
    with _told_of_file(path):
        if _is_parquet(path):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=rows):
                    frame = batch.to_pandas(integer_object_nulls=True)
                    yield frame.reset_index() if any(frame.index.names) else frame
        else:
            with _csv_parts(path, source_format, rows) as parts:
                yield from parts


def _checked(path) -> Path:
    """The path of a file that is there and has a name of a known kind."""
    if path is None or not str(path).strip():
        raise DataError("no file of transactions given: data.path=FILE is needed")
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file; data.path must name a CSV or Parquet file")
    if path.is_dir():
        raise DataError(f"{path}: this is a directory; data.path must name a single file")
    if not path.name.lower().endswith(_SUFFIXES):
        raise DataError(f"{path}: unknown kind of file; its name must end in {listed(_SUFFIXES)}")
    return path


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


@contextmanager
def _told_of_file(path: Path) -> Iterator[None]:
    """Say of which file it was that it cannot be read."""
    try:
        yield
    except DataError:
        raise
    except _NOT_A_TABLE as error:
        right = "a Parquet file" if _is_parquet(path) else "a CSV file in UTF-8 with a header line"
        raise DataError(f"{path}: cannot be read as {right}\n{schema.short(error, 200)}") from None


def _read_parquet(path: Path) -> pd.DataFrame:
    # Integers with missing values stay exact as objects; floats would merge long ids.
    frame = pd.read_parquet(path, to_pandas_kwargs={"integer_object_nulls": True})
    return frame.reset_index() if any(frame.index.names) else frame


def _read_csv(path: Path, source_format: SourceFormat | None) -> pd.DataFrame:
    with _csv_parts(path, source_format, None) as parts:
        return next(parts)


@contextmanager
def _csv_parts(
    path: Path, source_format: SourceFormat | None, rows: int | None
) -> Iterator[Iterator[pd.DataFrame]]:
    """The frames of a CSV, so many rows each; None is all of them."""
    options = {"compression": "gzip" if path.suffix.lower() == ".gz" else None}
    separator, names = _header(path, options)
    text = dict.fromkeys(_text_columns(source_format), "str")
    # In one piece: a column read in pieces may get a different type in each.
    options |= {"index_col": False, "low_memory": False, "iterator": True}
    with (
        warnings.catch_warnings(),
        pd.read_csv(path, sep=separator, dtype=text, **options) as reader,
    ):
        # Rows with more fields than the header has names would lose the last ones.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        yield _named(reader, names, rows)


def _named(reader, names: list[str], rows: int | None) -> Iterator[pd.DataFrame]:
    """pandas renames the second of two equal names; the mapping has to see that they are equal."""
    while True:
        try:
            frame = reader.get_chunk(rows) if rows else reader.read()
        except StopIteration:
            return
        frame.columns = [name or column for name, column in zip(names, frame.columns, strict=True)]
        yield frame


def _header(path: Path, options: dict) -> tuple[str, list[str]]:
    """Separator and the names in the header line."""
    options = options | {"header": None, "nrows": 1, "dtype": "str", "keep_default_na": False}
    separator = ","
    names = pd.read_csv(path, sep=separator, **options).iloc[0].tolist()
    if len(names) == 1 and any(other in names[0] for other in ";\t|"):
        separator = max(";\t|", key=names[0].count)
        names = pd.read_csv(path, sep=separator, **options).iloc[0].tolist()
    if any("\0" in name for name in names):
        raise ValueError("the file is not text")
    return separator, names


def _text_columns(source_format: SourceFormat | None) -> set[str]:
    columns = source_format.columns if source_format else {}
    has_time_format = bool(source_format and source_format.time_format)
    canonical = (*schema.TEXT, "timestamp") if has_time_format else schema.TEXT
    return {*canonical, *(columns[name] for name in canonical if columns.get(name))}
