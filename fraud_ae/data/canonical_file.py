"""A file of transactions of any length as canonical ones in order of time, part by part."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from fraud_ae.data.files.reading import read_parts
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import AheadOfClock, map_columns, tie_order, without_repeats
from fraud_ae.errors import DataError

_LOGGER = logging.getLogger("fraud_ae")

# So many rows are read at a time.
PART_ROWS = 100_000
# The place in the file of a row of the history, which is not to be scored.
NOT_SCORED = -1

Report = Callable[[int], None]


@dataclass(frozen=True)
class CanonicalFile:
    """Canonical transactions in order of time in a Parquet file, with `place`, their row in a file.

    rows: how many are to be scored. first: the earliest time of them. in_order: whether they were
    in order of time. has_labels: whether any of them has a label.
    """

    path: Path
    rows: int
    first: pd.Timestamp
    in_order: bool
    has_labels: bool

    def parts(self) -> Iterator[pd.DataFrame]:
        """The transactions, with `place`, some rows at a time."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=PART_ROWS):
                part = batch.to_pandas().drop(columns="tie")
                yield part if self.has_labels else part.drop(columns="is_fraud")


@contextmanager
def canonical_file(
    path: Path,
    source_format: SourceFormat,
    history: Path | None,
    report: Report = lambda n: None,
    remembered: pd.DataFrame | None = None,
) -> Iterator[CanonicalFile]:
    """The transactions of a file, checked and in order of time, for as long as they are needed.

    history: a file of transactions that are not to be scored themselves; an id that is in both
    counts once, and without ids only what lies before the file counts. report: is called with how
    many rows have been read. remembered: further history, canonical in order of time. Raises
    DataError that names the file, and the rows, that cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="fraud_ae-") as scratch:
        unsorted, in_time = Path(scratch) / "read.parquet", Path(scratch) / "sorted.parquet"
        writer = _Writer(unsorted, source_format)
        with closing(writer):
            writer.add_file(path, report)
            rows, first, in_order = writer.rows, writer.first, writer.in_order
            if history is not None:
                left_out = writer.add_history(writer.read(history, "file "))
                if left_out:
                    _LOGGER.warning(
                        "%s: %d transactions are not before the first one of the file and are left "
                        "out: without ids nothing tells whether they are the same "
                        "(data.columns.transaction_id)",
                        history,
                        left_out,
                    )
            if remembered is not None:
                writer.add_history([remembered])
        if not writer.in_order:
            pl.scan_parquet(unsorted).sort("timestamp", "tie").sink_parquet(in_time)
        ordered = unsorted if writer.in_order else in_time
        yield CanonicalFile(ordered, rows, first, in_order, writer.has_labels)


class _Writer:
    """Writes canonical parts into a Parquet file.

    rows: of the file to be scored. first: the earliest time. in_order: whether all follow in time.
    """

    def __init__(self, path: Path, source_format: SourceFormat) -> None:
        self.rows, self.in_order, self.has_labels = 0, True, False
        self.first = pd.Timestamp.max.tz_localize("UTC")
        self._newest = pd.Timestamp.min.tz_localize("UTC")
        self._path, self._format, self._writer = path, source_format, None
        self._has_ids = bool(source_format.sources("transaction_id"))
        self._ids: list[np.ndarray] = []
        self._rows_read: list[np.ndarray] = []

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def add_file(self, path: Path, report: Report) -> None:
        for part in self.read(path):
            part = self._new(part, path)
            self._ids.append(_hashes(part["transaction_id"]))
            self._rows_read.append(_row_hashes(part))
            self.first = min(self.first, part["timestamp"].min())
            self._write(part.assign(place=np.arange(self.rows, self.rows + len(part))))
            self.rows += len(part)
            report(self.rows)
        if not self.rows:
            raise DataError(f"{path}: the table has no rows")

    def _new(self, part: pd.DataFrame, path: Path) -> pd.DataFrame:
        """The rows of a part that no earlier part of the file has; each of these counts once."""
        if not self._has_ids or not self._ids:
            return part
        ids, read = _hashes(part["transaction_id"]), np.concatenate(self._ids)
        repeated = np.isin(ids, read)
        if not repeated.any():
            return part
        order = np.argsort(read)
        found = order[np.searchsorted(read[order], ids[repeated])]
        other = np.concatenate(self._rows_read)[found] != _row_hashes(part)[repeated]
        if other.any():
            twice = part["transaction_id"][repeated].iloc[np.flatnonzero(other)[0]]
            raise DataError(
                f"{path}: transaction_id: {twice!r} is there more than once, with other values"
            )
        _LOGGER.warning(
            "%s: %d rows repeat transactions that are there already, with the same values, and "
            "are not counted again",
            path,
            repeated.sum(),
        )
        return part[~repeated].reset_index(drop=True)

    def add_history(self, parts: Iterable[pd.DataFrame]) -> int:
        """Write what was not written before: without ids, what lies before all of it.

        Returns how many transactions were left out for want of ids.
        """
        written, first, left_out = np.concatenate(self._ids), self.first, 0
        for part in parts:
            if self._has_ids:
                ids = _hashes(part["transaction_id"])
                is_new = ~np.isin(ids, written)
                self._ids.append(ids)
            else:
                is_new = (part["timestamp"] < first).to_numpy()
                left_out += int((~is_new).sum())
            self.first = min(self.first, part["timestamp"].min())
            self._write(part[is_new].assign(place=NOT_SCORED))
        return left_out

    def read(self, path: Path, prefix: str = "") -> Iterator[pd.DataFrame]:
        """Canonical parts of a file; prefix: of the ids that their rows get where it has none."""
        start, ahead = 0, AheadOfClock()
        for raw in read_parts(path, self._format, PART_ROWS):
            try:
                part = map_columns(raw, self._format, labelled=False)
                ahead.add(part)
                part = without_repeats(part)
            except DataError as error:
                where = f" (row 0 below is row {start:,} of the file)" if start else ""
                raise DataError(f"{path}{where}: {error}") from None
            if not self._has_ids:
                numbers = pd.Series(range(start, start + len(part))).astype("str")
                part["transaction_id"] = prefix + numbers
            start += len(raw)
            yield part
        ahead.tell(str(path))

    def _write(self, part: pd.DataFrame) -> None:
        labels = part["is_fraud"] if "is_fraud" in part else pd.Series(np.nan, index=part.index)
        part = part.assign(is_fraud=labels.astype("float64"), tie=tie_order(part, self._format))
        self.has_labels = self.has_labels or bool(labels.notna().any())
        times = part["timestamp"]
        if len(part):
            # Those of one instant are ordered by `tie_order`.
            is_ordered = times.is_monotonic_increasing and times.is_unique
            self.in_order = self.in_order and is_ordered and times.iloc[0] > self._newest
            self._newest = times.max()
        table = pa.Table.from_pandas(part, preserve_index=False)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema)
        # What a model remembers has only the columns that its features need.
        schema = self._writer.schema
        columns = [
            table[field.name].cast(field.type)
            if field.name in table.schema.names
            else pa.nulls(len(table), field.type)
            for field in schema
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _row_hashes(part: pd.DataFrame) -> np.ndarray:
    """64 bits for the values of each row; a part without any label has no column of them."""
    values = part.drop(columns="is_fraud", errors="ignore")
    return pd.util.hash_pandas_object(values, index=False).to_numpy()


def _hashes(ids: pd.Series) -> np.ndarray:
    """64 bits for each id: of 10 million, two are alike with a chance of 3 in a million."""
    return pd.util.hash_pandas_object(ids, index=False).to_numpy()
