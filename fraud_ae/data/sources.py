"""Data sources: what `conf/data/` names, each giving canonical transactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from fraud_ae.data.columns import CANONICAL, SCENARIO
from fraud_ae.data.files.joining import joined
from fraud_ae.data.files.reading import read_transactions
from fraud_ae.data.format_inference import infer_format
from fraud_ae.data.labels import with_labels
from fraud_ae.data.simulation.synthetic import simulate
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import fingerprint


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
            raw = joined(raw, file, source_format)
        if labels is not None:
            raw = with_labels(raw, source_format, labels, allow_unmatched)
        return raw

    transactions, inferred = read_transactions(path, source_format, prepare)
    scenarios = transactions.get(SCENARIO)
    return Dataset(transactions.drop(columns=SCENARIO, errors="ignore"), inferred, scenarios)
