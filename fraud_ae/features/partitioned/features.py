"""Features partition by partition: of customers, then of terminals, then put together by row."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from fraud_ae.errors import UserError
from fraud_ae.features.history import History, history_of
from fraud_ae.features.partitioned.batches import FrameBatches, TransactionBatches
from fraud_ae.features.partitioned.columns import FeatureColumns, write_columns
from fraud_ae.features.partitioned.computation import FeatureComputation
from fraud_ae.features.partitioned.division import ROW, divide
from fraud_ae.features.partitioned.engines import run_all
from fraud_ae.features.partitioned.memory import give_back, resident
from fraud_ae.features.strategy import compute_features
from fraud_ae.runtime.sizes import in_words

# With these rows it is tried whether partitions give the same as all rows together.
_TRIED = 2_000
# What computing the features of a row takes, in bytes of the row and of its features: measured.
_ROW_COPIES, _FEATURE_COPIES = 4, 4
# Of one feature of all rows, an encoder is fitted with so many copies.
_COLUMN_BYTES = 8 * 6
# With fewer rows in each, partitions cost more than they save.
_LEAST_ROWS = 1_000
# Without a bound of memory, tasks of an engine have so many rows at most.
_USUAL_ROWS = 500_000


@contextmanager
def partitioned_features(
    strategy: Any,
    transactions: TransactionBatches,
    computation: FeatureComputation,
    scratch: Path | None = None,
) -> Iterator[FeatureColumns]:
    """What `compute_features` gives of a fitted strategy, on disk for as long as it is needed.

    scratch: the folder that has room for it; with Ray every node has to see it. Raises UserError
    where the memory is too small, and for a strategy whose features of a partition are not those
    of all transactions.
    """
    with tempfile.TemporaryDirectory(prefix=".features-", dir=scratch) as folder:
        some = _first(transactions, _TRIED)
        names = list(compute_features(strategy, some))
        passes = _passes(strategy, list(some.columns), names)
        _try(strategy, some, passes)
        most = _rows_at_once(len(transactions), some, len(names), computation)
        folders = []
        for number, (key, wanted) in enumerate(passes):
            divided = Path(folder) / f"divided-{number}"
            tasks = []
            for file in divide(transactions, key, most, divided):
                computed = Path(folder) / f"{number}-{file.stem}"
                tasks.append((strategy, wanted, file, computed))
                folders.append(computed)
            run_all(computation.engine, compute_partition, tasks)
        yield FeatureColumns(names, len(transactions), folders)


def compute_partition(strategy: Any, names: list[str], file: Path, folder: Path) -> None:
    """Compute some features of the transactions in a file, which is removed, into a folder."""
    with pa.OSFile(str(file)) as source, pa.ipc.open_file(source) as reader:
        table = reader.read_all()
    rows = table[ROW].to_numpy()
    features = compute_features(strategy, table.drop_columns([ROW]).to_pandas())
    del table
    write_columns(folder, rows, {name: _plain(features[name]) for name in names})
    file.unlink()
    give_back()


def _plain(values: pd.Series) -> Any:
    return values.array if values.dtype == "str" else values.to_numpy()


def _first(transactions: TransactionBatches, rows: int) -> pd.DataFrame:
    first = next(islice(transactions.batches(), 1))
    return first[:rows].to_pandas()


def _passes(
    strategy: Any, columns: list[str], names: list[str]
) -> list[tuple[str | None, list[str]]]:
    """By which column transactions are divided, and the features that are computed then."""
    history: History = history_of(strategy).within(columns)
    by_terminal = []
    if history.terminal_days:
        pattern = getattr(strategy, "terminal_features", None)
        if pattern is None:
            raise UserError(
                f"{type(strategy).__name__} looks back at terminals, and does not say with which "
                "features: terminal_features, a regular expression of their names, is needed for "
                "features.memory and features.engine"
            )
        by_terminal = [name for name in names if re.fullmatch(pattern, name)]
    others = [name for name in names if name not in by_terminal]
    looks_back = history.customer_days or history.previous or history.first_uses
    passes = [("customer_id" if looks_back else None, others), ("terminal_id", by_terminal)]
    return [(key, wanted) for key, wanted in passes if wanted]


def _try(strategy: Any, some: pd.DataFrame, passes: list[tuple[str | None, list[str]]]) -> None:
    """Whether the features of partitions of a few rows are those of the few rows together."""
    together = compute_features(strategy, some)
    for key, names in passes:
        with tempfile.TemporaryDirectory(prefix="fraud_ae-") as scratch:
            most = len(some) if key is None else int(some[key].value_counts().max())
            most = max(most, len(some) // 4, 1) if key else max(len(some) // 4, 1)
            for file in divide(FrameBatches(some), key, most, Path(scratch) / "divided"):
                with pa.OSFile(str(file)) as source, pa.ipc.open_file(source) as reader:
                    part = reader.read_all().to_pandas()
                rows = part.pop(ROW).to_numpy()
                features = compute_features(strategy, part)
                for name in names:
                    expected = together[name].iloc[rows].reset_index(drop=True)
                    if name not in features or not features[name].equals(expected):
                        of = f"those of its {key}" if key else "no other transactions"
                        raise UserError(
                            f"{type(strategy).__name__}: the feature {name} depends on others than "
                            f"{of}, see its history; features.memory and features.engine cannot "
                            "divide it"
                        )


def _rows_at_once(
    rows: int, some: pd.DataFrame, n_features: int, computation: FeatureComputation
) -> int:
    """So many transactions fit into the memory at a time, with their features."""
    if computation.memory is None:
        return max(min(rows // 8, _USUAL_ROWS), _LEAST_ROWS)
    row = some.memory_usage(index=False, deep=True).sum() / len(some)
    bytes_each = _ROW_COPIES * row + _FEATURE_COPIES * 8 * n_features
    give_back()
    taken = resident()
    least = taken + max(_LEAST_ROWS * bytes_each, rows * _COLUMN_BYTES)
    if computation.memory < least:
        raise UserError(
            f"features.memory={in_words(computation.memory)}: too little for {rows:,} "
            f"transactions; this process takes {in_words(taken)} already, so that at least "
            f"{in_words(1.05 * least)} is needed"
        )
    return min(int((computation.memory - taken) / bytes_each), max(rows, 1))
