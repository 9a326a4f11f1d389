"""Dividing transactions into partitions: whole customers, whole terminals, or rows in a row."""

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fraud_ae.errors import UserError
from fraud_ae.features.partitioned.batches import TransactionBatches

ROW = "__row__"
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


def divide(
    transactions: TransactionBatches, key: str | None, most: int, folder: Path
) -> list[Path]:
    """Files of at most so many transactions each, with their row in the column `ROW`, in order.

    key: all rows of one value of it are in one file; those without a value are anywhere. None: rows
    that follow one another. folder: is made. Raises UserError where one value has more rows.
    """
    folder.mkdir()
    keys = None if key is None else _Keys(transactions, key, most)
    parts = -(-len(transactions) // most) if keys is None else keys.parts
    files = [folder / f"{part}.arrow" for part in range(parts)]
    writers: dict[int, pa.ipc.RecordBatchFileWriter] = {}
    with ExitStack() as opened:
        for part, table in _divided(transactions, key, keys, most):
            if part not in writers:
                new = pa.ipc.new_file(str(files[part]), table.schema, options=_COMPRESSED)
                writers[part] = opened.enter_context(new)
            writers[part].write_table(table)
    return [file for part, file in enumerate(files) if part in writers]


def _divided(
    transactions: TransactionBatches, key: str | None, keys: "_Keys | None", most: int
) -> Iterator[tuple[int, pa.Table]]:
    start = 0
    for table in transactions.batches():
        rows = np.arange(start, start + len(table))
        start += len(table)
        part = rows // most if keys is None else keys.part_of(table[key], rows)
        order = np.argsort(part, kind="stable")
        numbered = table.append_column(ROW, pa.array(rows)).take(pa.array(order))
        parts, firsts = np.unique(part[order], return_index=True)
        for number, first, end in zip(parts, firsts, [*firsts[1:], len(order)], strict=True):
            yield int(number), numbered[first:end]


class _Keys:
    """Which partition each value of a column belongs to; the partitions are of about one size."""

    def __init__(self, transactions: TransactionBatches, key: str, most: int) -> None:
        counts = _counts(transactions, key)
        if len(counts) and counts.iloc[0] > most:
            raise UserError(
                f"features.memory: {key} {counts.index[0]} has {counts.iloc[0]:,} transactions, "
                f"which are computed together, and there is memory for {most:,}; give "
                f"{counts.iloc[0] / most:.1f} times as much or more"
            )
        self._missing = len(transactions) - int(counts.sum())
        self.parts = max(1, -(-len(transactions) // most))
        while (largest := self._assign(counts)) > most:
            self.parts += max(1, self.parts * (largest - most) // most)
        self._values = pa.array(counts.index, type=pa.large_string())

    def _assign(self, counts: pd.Series) -> int:
        """Largest first, each to the partition with the fewest rows; returns the most rows."""
        spread = -(-self._missing // self.parts)
        heap = [(spread, part) for part in range(self.parts)]
        self._parts_of = np.empty(len(counts), dtype=np.int64)
        for place, count in enumerate(counts.to_numpy()):
            rows, part = heapq.heappop(heap)
            self._parts_of[place] = part
            heapq.heappush(heap, (rows + int(count), part))
        return max(rows for rows, _ in heap)

    def part_of(self, values: pa.ChunkedArray, rows: np.ndarray) -> np.ndarray:
        """The partition of each value, (n,) int; rows: (n,) their numbers."""
        codes = pc.index_in(values.cast(pa.large_string()), value_set=self._values)
        known = pc.fill_null(codes, -1).to_numpy()
        part = rows % self.parts
        part[known >= 0] = self._parts_of[known[known >= 0]]
        return part


def _counts(transactions: TransactionBatches, key: str) -> pd.Series:
    """How many rows each value has, the most first and equal ones by value."""
    total = pd.Series(dtype=np.int64)
    for table in transactions.batches():
        counts = table[key].to_pandas().value_counts()
        total = total.add(counts, fill_value=0)
    order = np.lexsort((total.index.to_numpy(dtype=object), -total.to_numpy()))
    return total.iloc[order].astype(np.int64)
