"""Parquet and Arrow files: their tables, and one type for each column of several files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from fraud_ae.data.naming import listed
from fraud_ae.errors import DataError

TYPED = ("parquet", "arrow")
_UNITS = ("s", "ms", "us", "ns")


def tables(stream: BinaryIO, kind: str, rows: int | None) -> Iterator[pa.Table]:
    """The table of an open file, so many rows at a time; one of all without `rows`."""
    if kind == "arrow":
        with _arrow_reader(stream) as reader:
            table = reader.read_all()
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


def schema_of(stream: BinaryIO, kind: str) -> tuple[pa.Schema, bool]:
    """The schema of an open file, and whether it has any row."""
    if kind == "arrow":
        with _arrow_reader(stream) as reader:
            return reader.schema, any(batch.num_rows for batch in _batches(reader))
    with pq.ParquetFile(stream) as parquet:
        return parquet.schema_arrow, parquet.metadata.num_rows > 0


def common_schema(schemas: dict[Path, pa.Schema]) -> pa.Schema:
    """The schema that the tables of several files can be cast to without changing a value.

    Columns may stand in any order; whole numbers may have other widths, text may be in
    dictionaries, times in other units, and a column may be missing throughout a file. Raises
    DataError, naming file and column, where columns differ by name or by what they hold.
    """
    (first, schema), *others = schemas.items()
    for file, other in schemas.items():
        twice = sorted(name for name in set(other.names) if other.names.count(name) > 1)
        if twice:
            raise DataError(f"{file}: has more than one column {twice[0]!r}")
        different = set(schema.names) ^ set(other.names)
        if different:
            raise DataError(
                f"{file}: has other columns than {first.name}: {listed(sorted(different))}"
            )
    fields = []
    for name in schema.names:
        kind = _plain(schema.field(name).type)
        for file, other in others:
            added = _plain(other.field(name).type)
            together = _common_type(kind, added)
            if together is None:
                raise DataError(
                    f"{file}: the column {name} holds {_named(added)}, and {_named(kind)} in the "
                    f"files before it ({first.name} first); write all of them with one type"
                )
            kind = together
        fields.append(pa.field(name, kind))
    return pa.schema(fields, metadata=schema.metadata)


def cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table in the columns and types of a common schema.

    Raises ArrowInvalid for a value that its type cannot hold exactly.
    """
    return table.select(schema.names).cast(schema)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_string_view(kind)
    return pa.large_string() if is_text else kind


def _named(kind: pa.DataType) -> str:
    return str(kind).removeprefix("large_")


def _common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both exactly, None where no type is sure to."""
    kinds = (one, other)
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if all(map(pa.types.is_integer, kinds)):
        unsigned = all(map(pa.types.is_unsigned_integer, kinds))
        return pa.uint64() if unsigned else pa.int64()
    # A float of 32 bits stands for the decimal number that it shows, one of 64 bits does not.
    if all(pa.types.is_integer(kind) or pa.types.is_float64(kind) for kind in kinds):
        return pa.float64()
    if all(map(pa.types.is_timestamp, kinds)) and one.tz == other.tz:
        return pa.timestamp(max(one.unit, other.unit, key=_UNITS.index), one.tz)
    return pa.date32() if all(map(pa.types.is_date, kinds)) else None


@contextmanager
def _arrow_reader(stream: BinaryIO) -> Iterator:
    source = pa.py_buffer(stream.read())
    try:
        reader = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        reader = pa.ipc.open_stream(source)
    with reader:
        yield reader


def _batches(reader) -> Sequence | Iterator:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return [reader.get_batch(i) for i in range(reader.num_record_batches)]
    return reader
