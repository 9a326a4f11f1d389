"""Data sources: what `conf/data/` names, each giving canonical transactions."""

from dataclasses import dataclass
from functools import cached_property, partial

import pandas as pd

from fraud_ae.data.columns import CANONICAL, SCENARIO
from fraud_ae.data.labels import with_labels
from fraud_ae.data.reading import read_transactions
from fraud_ae.data.simulation.synthetic import simulate
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import fingerprint


@dataclass(frozen=True)
class Dataset:
    """Canonical transactions in order of time, and how raw ones are mapped to them.

    scenarios: (n,) str, what kind of fraud each transaction was, where the source knows it. It is
    kept apart from the transactions, so that no feature can be made of it.
    """

    transactions: pd.DataFrame
    source_format: SourceFormat
    scenarios: pd.Series | None = None

    @classmethod
    def of(cls, mapped: pd.DataFrame, source_format: SourceFormat) -> "Dataset":
        """From what `to_transactions` gives."""
        transactions = mapped.drop(columns=SCENARIO, errors="ignore")
        return cls(transactions, source_format, mapped.get(SCENARIO))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all columns and values: the same data give the same one, wherever they lie."""
        frame = self.transactions
        return fingerprint(frame if self.scenarios is None else frame.join(self.scenarios))


def synthetic(**settings) -> Dataset:
    """A simulated marketplace; settings are those of `simulate`."""
    source_format = SourceFormat(columns={name: name for name in (*CANONICAL, SCENARIO)})
    # What is simulated is canonical already, and in order of time.
    transactions, scenarios = simulate(**settings)
    return Dataset(transactions, source_format, scenarios)


def from_file(path: str | None, labels: str | None = None, **settings) -> Dataset:
    """Transactions of a CSV (also gzipped) or Parquet file.

    labels: a file of outcomes that became known later, see `fraud_ae.data.labels`. settings: the
    fields of SourceFormat. Raises DataError naming everything that is wrong.
    """
    source_format = SourceFormat(**settings)
    if labels is None:
        return Dataset.of(read_transactions(path, source_format), source_format)
    relabelled = partial(with_labels, source_format=source_format, path=labels)
    return Dataset.of(read_transactions(path, source_format, relabelled), source_format)
