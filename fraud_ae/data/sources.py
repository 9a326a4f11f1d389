"""Data sources: what `conf/data/` names, each giving canonical transactions."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from fraud_ae.data.columns import CANONICAL
from fraud_ae.data.reading import read_transactions
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.synthetic import generate_transactions
from fraud_ae.data.transactions import fingerprint, to_transactions


@dataclass(frozen=True)
class Dataset:
    """Canonical transactions in order of time, and how raw ones are mapped to them."""

    transactions: pd.DataFrame
    source_format: SourceFormat

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all columns and values: the same data give the same one, wherever they lie."""
        return fingerprint(self.transactions)


def synthetic(**settings) -> Dataset:
    """A simulated marketplace; settings are those of `generate_transactions`."""
    source_format = SourceFormat(columns={name: name for name in CANONICAL})
    return Dataset(to_transactions(generate_transactions(**settings), source_format), source_format)


def from_file(path: str | None, **settings) -> Dataset:
    """Transactions of a CSV (also gzipped) or Parquet file.

    settings: the fields of SourceFormat. Raises DataError naming everything that is wrong.
    """
    source_format = SourceFormat(**settings)
    return Dataset(read_transactions(path, source_format), source_format)
