"""Data sources: what `conf/data/` names, each giving canonical transactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from fraud_ae.data.columns import CANONICAL, SCENARIO
from fraud_ae.data.files.reading import read_table, read_transactions
from fraud_ae.data.format_inference import infer_format
from fraud_ae.data.labels import with_labels
from fraud_ae.data.naming import listed
from fraud_ae.data.simulation.synthetic import simulate
from fraud_ae.data.source_columns import id_text
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import fingerprint
from fraud_ae.data.values.kinds import decide_kind
from fraud_ae.errors import DataError
from fraud_ae.runtime.named_objects import Kind


@dataclass(frozen=True)
class Dataset:
    """Canonical transactions in order of time, and how raw ones are mapped to them.

    scenarios: (n,) str, what kind of fraud each transaction was, where the source knows it. It is
    separate from the transactions, so that no feature can be made of it.
    """

    transactions: pd.DataFrame
    source_format: SourceFormat
    scenarios: pd.Series | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all columns and values: the same data give the same one, wherever they lie."""
        frame = self.transactions
        return fingerprint(frame if self.scenarios is None else frame.join(self.scenarios))


def synthetic(**settings) -> Dataset:
    """A simulated marketplace; settings are those of `simulate`."""
    # What is simulated is canonical already, and in order of time.
    transactions, scenarios = simulate(**settings)
    source_format = SourceFormat(columns={name: name for name in (*CANONICAL, SCENARIO)})
    return Dataset(transactions, infer_format(transactions, source_format), scenarios)


def from_file(
    path: str | None,
    labels: str | None = None,
    join: Sequence[str] = (),
    allow_unmatched: bool = False,
    **settings,
) -> Dataset:
    """Transactions of a file, see `read_table` for what it may be.

    labels: a file of outcomes that became known later, see `fraud_ae.data.labels`; allow_unmatched:
    whether fewer than half of them may be of these transactions. join: files with further columns
    of the same transactions. settings: the fields of SourceFormat. Raises DataError naming
    everything that is wrong.
    """
    source_format = SourceFormat(**settings)

    def prepare(raw: pd.DataFrame) -> pd.DataFrame:
        for file in join:
            raw = _joined(raw, file, source_format)
        if labels is not None:
            raw = with_labels(raw, source_format, labels, allow_unmatched)
        return raw

    transactions, inferred = read_transactions(path, source_format, prepare)
    scenarios = transactions.get(SCENARIO)
    return Dataset(transactions.drop(columns=SCENARIO, errors="ignore"), inferred, scenarios)


def _joined(raw: pd.DataFrame, path: str, source_format: SourceFormat) -> pd.DataFrame:
    """The table, (n, d), in its order, with further columns from a file that has the same ids.

    Transactions that the other file does not have get missing values. Raises DataError where there
    is no id to join on, where an id stands twice in the other file, or where none matches.
    """
    ids = source_format.sources("transaction_id")
    other = read_table(path, source_format)
    absent = [name for name in ids if name not in other]
    if not ids or absent:
        raise DataError(
            f"data.join={path}: is joined on the id of a transaction "
            f"({listed(ids) or 'data.columns.transaction_id is null'}), which it does not have"
        )
    kinds = {"transaction_id": decide_kind(raw[ids[0]])} if len(ids) == 1 else {}
    keys, other_keys = (
        id_text(table, "transaction_id", ids, kinds)[0].reset_index(drop=True)
        for table in (raw, other)
    )
    if other_keys.duplicated().any():
        twice = other_keys[other_keys.duplicated()].iloc[0]
        raise DataError(f"data.join={path}: the id {twice} stands there more than once")
    rows = pd.Index(other_keys).get_indexer(keys)
    if not (rows >= 0).any():
        raise DataError(f"data.join={path}: has none of the ids of these transactions")
    columns = [name for name in other if name not in ids]
    taken = [name for name in columns if name in raw]
    if taken:
        raise DataError(f"data.join={path}: has columns that are there already: {listed(taken)}")
    added = {name: pd.Series(other[name].array.take(rows, allow_fill=True)) for name in columns}
    return pd.concat([raw.reset_index(drop=True), pd.DataFrame(added)], axis=1)


SOURCE = Kind(
    "a source of transactions, a function that returns a fraud_ae.data.sources.Dataset",
    frozenset(f"fraud_ae.data.sources.{name}" for name in ("from_file", "synthetic")),
    callable,
)
