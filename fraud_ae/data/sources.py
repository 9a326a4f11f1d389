"""Data sources: what `conf/data/` names, each giving canonical transactions."""

import logging
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from fraud_ae.data.columns import CANONICAL
from fraud_ae.data.reading import read_table
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.synthetic import generate_transactions
from fraud_ae.data.transactions import fingerprint, to_transactions, unused_columns
from fraud_ae.errors import DataError

log = logging.getLogger("fraud_ae")


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
    raw = read_table(path, source_format)
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
    return Dataset(transactions, source_format)
