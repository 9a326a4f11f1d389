"""Canonical transactions in order of time, some rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

# So many rows are in memory at a time while they are divided.
BATCH_ROWS = 100_000


class TransactionBatches(Protocol):
    """Canonical transactions, (n, d), in order of time."""

    def __len__(self) -> int: ...

    def batches(self) -> Iterator[pa.Table]:
        """All rows in their order, some at a time, in columns of one schema."""
        ...

    def labels(self) -> np.ndarray:
        """Which are known to be fraud: (n,) 0 or 1; one without a label is not."""
        ...

    def rows(self, mask: np.ndarray, columns: Sequence[str] | None) -> pd.DataFrame:
        """Some rows, mask: (n,) bool, numbered from 0; with some columns at least, or all."""
        ...


@dataclass(frozen=True)
class FrameBatches:
    """Those of a frame."""

    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    def batches(self) -> Iterator[pa.Table]:
        """See `TransactionBatches`."""
        for start in range(0, len(self.frame), BATCH_ROWS):
            part = self.frame.iloc[start : start + BATCH_ROWS]
            yield pa.Table.from_pandas(part, preserve_index=False)

    def labels(self) -> np.ndarray:
        """See `TransactionBatches`."""
        return _frauds(self.frame)

    def rows(self, mask: np.ndarray, columns: Sequence[str] | None) -> pd.DataFrame:
        """See `TransactionBatches`; rows that follow one another are not copied."""
        rows = np.flatnonzero(mask)
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            return self.frame.iloc[rows[0] : rows[-1] + 1].reset_index(drop=True)
        return self.frame[mask].reset_index(drop=True)


@dataclass(frozen=True)
class ParquetBatches:
    """Those of canonical Parquet files, each in order of time, the files in theirs."""

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return sum(pq.read_metadata(file).num_rows for file in self.files)

    def batches(self) -> Iterator[pa.Table]:
        """See `TransactionBatches`."""
        for file in self.files:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(batch_size=BATCH_ROWS):
                    yield pa.Table.from_batches([batch])

    def labels(self) -> np.ndarray:
        """See `TransactionBatches`."""
        return np.concatenate([_frauds(table.to_pandas()) for table in self._tables(["is_fraud"])])

    def rows(self, mask: np.ndarray, columns: Sequence[str] | None) -> pd.DataFrame:
        """See `TransactionBatches`; text is given as categories if columns are named."""
        start, tables = 0, []
        for table in self._tables(columns):
            some = table.filter(pa.array(mask[start : start + len(table)]))
            start += len(table)
            texts = [f.name for f in some.schema if pa.types.is_large_string(f.type)]
            for name in texts if columns else ():
                place = some.schema.get_field_index(name)
                some = some.set_column(place, name, some[name].dictionary_encode())
            tables.append(some)
        return pa.concat_tables(tables).unify_dictionaries().to_pandas()

    def _tables(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """A file at a time, with those of some columns that are there, or all."""
        there = pq.read_schema(self.files[0]).names
        names = [name for name in there if columns is None or name in columns]
        for file in self.files:
            with pq.ParquetFile(file) as parquet:
                yield parquet.read(columns=names)


def _frauds(frame: pd.DataFrame) -> np.ndarray:
    if "is_fraud" not in frame:
        return np.zeros(len(frame), dtype=np.int8)
    return (frame["is_fraud"] == 1).to_numpy(np.int8)
