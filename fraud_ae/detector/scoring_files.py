"""Scoring a file of any length, part by part, with what later parts look back to."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from fraud_ae.data.canonical_file import NOT_SCORED, CanonicalFile, Report, canonical_file
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.reasons import sentence
from fraud_ae.detector.scoring import ScoredTransactions, score_rows
from fraud_ae.errors import UserError
from fraud_ae.features.history import history_of, needed_later
from fraud_ae.runtime.storage import writing

_LOGGER = logging.getLogger("fraud_ae")
_SUFFIXES = (".csv", ".parquet")


@contextmanager
def transactions_to_score(
    detector: FraudDetector, path: Path, history: Path | None, report: Report
) -> Iterator[CanonicalFile]:
    """The transactions of a file with their history: see `canonical_file`.

    That is what the detector remembers, and the file of the history. Where the file begins before
    what is remembered, and no history is given, a warning says that something may be missing.
    """
    remembered = detector.history
    known = None if remembered is None else remembered.transactions
    with canonical_file(path, detector.source_format, history, report, known) as file:
        is_all = remembered is not None and history is None
        if is_all and (gap := remembered.gap(file.first, file.rows)):
            _LOGGER.warning("%s; --history FILE adds it", gap)
        yield file


def scored_parts(
    detector: FraudDetector, file: CanonicalFile
) -> Iterator[tuple[np.ndarray, ScoredTransactions]]:
    """What a detector makes of the transactions of a file, part by part, in order of time.

    Gives the places of m transactions in the file, (m,) int, with what was made of them. What
    later parts look back to is carried along, so that this much, and no more, is in memory.
    Raises UserError where the detector has no threshold.
    """
    if detector.threshold is None:
        raise UserError("this detector has no threshold, so it can score but not alert")
    history = history_of(detector.strategy)
    for frame, is_new in _with_history(file, history):
        rows = np.flatnonzero(is_new & (frame["place"] != NOT_SCORED).to_numpy())
        places = frame["place"].to_numpy()[rows]
        yield places, score_rows(detector, frame.drop(columns="place"), rows)


def _with_history(file: CanonicalFile, history) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Frames of what is carried along and what is new, (n,) bool."""
    carried, waiting = [], []
    parts = file.parts()
    part = next(parts, None)
    while part is not None:
        waiting.append(part)
        part = next(parts, None)
        new = sum(map(len, waiting))
        # As much as is carried along, so that features are made about twice at most.
        if part is not None and new < sum(map(len, carried)):
            continue
        frame = pd.concat([*carried, *waiting], ignore_index=True)
        yield frame, np.arange(len(frame)) >= len(frame) - new
        carried = [frame[needed_later(frame, history, frame["timestamp"].iloc[-1])]]
        waiting = []


def check_output(out: Path, *read: Path | None) -> None:
    """Say before any work that a file cannot be written, or would take the place of one of `read`.

    Raises UserError.
    """
    for path in read:
        if path is not None and out.resolve() == path.resolve():
            raise UserError(f"{out}: is read, and would be lost; write to another file")
    if out.suffix.lower() not in _SUFFIXES:
        raise UserError(f"{out}: unknown kind of file; its name must end in .csv or .parquet")
    if out.is_dir():
        raise UserError(f"{out}: this is a directory; name a file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: its folder cannot be made ({error.strerror})") from error


@dataclass(frozen=True)
class FileScores:
    """What came out of a file: rows, alerts, and rows of customers that have no earlier ones.

    new_customers: None where there are no customers.
    """

    rows: int = 0
    alerts: int = 0
    new_customers: int | None = 0

    def with_part(self, part: ScoredTransactions, seen: set[str]) -> Self:
        """With what a part adds. seen: the customers of the parts before, to which it adds its."""
        new = None
        if "customer_id" in part.transactions:
            customers = part.transactions["customer_id"]
            is_first = ~customers.duplicated() & ~customers.isin(seen)
            new = (self.new_customers or 0) + int(is_first.to_numpy()[part.rows].sum())
            seen.update(customers.unique())
        rows, alerts = self.rows + len(part.rows), self.alerts + int(part.alerts.sum())
        return type(self)(rows, alerts, new)


def score_file(
    detector: FraudDetector,
    file: CanonicalFile,
    out: Path,
    *,
    top: int = 3,
    report: Callable[[int], None] = lambda rows: None,
) -> FileScores:
    """Score a file into another, in its order: transaction_id, score, alert, reasons of alerts.

    out: a CSV or Parquet file, written whole or not at all. top: so many reasons at most.
    report: is called with how many rows have been scored.
    Raises StorageError where `out` cannot be written.
    """
    check_output(out)
    draft, counted = out.with_name(f".{out.name}.draft"), FileScores()
    customers: set[str] = set()
    try:
        with writing(out), tempfile.TemporaryDirectory(prefix="fraud_ae-") as scratch:
            scored = Path(scratch) / "scores.parquet"
            with pq.ParquetWriter(scored, _SCHEMA) as writer:
                for places, part in scored_parts(detector, file):
                    writer.write_table(_table(places, part, top))
                    counted = counted.with_part(part, customers)
                    report(counted.rows)
            frame = pl.scan_parquet(scored)
            frame = (frame if file.in_order else frame.sort("place")).drop("place")
            sink = frame.sink_parquet if out.suffix.lower() == ".parquet" else frame.sink_csv
            sink(draft)
            draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    return counted


_SCHEMA = pa.schema(
    {
        "place": pa.int64(),
        "transaction_id": pa.large_string(),
        "score": pa.float32(),
        "alert": pa.int8(),
        "reasons": pa.large_string(),
    }
)


def _table(places: np.ndarray, part: ScoredTransactions, top: int) -> pa.Table:
    flagged = part.alerts
    sentences = np.full(len(places), None, dtype=object)
    sentences[flagged] = [sentence(alerts) for alerts in part.reasons(flagged, top)]
    columns = {
        "place": places,
        "transaction_id": part.scored["transaction_id"].to_numpy(),
        "score": part.scores,
        "alert": flagged.astype(np.int8),
        "reasons": sentences,
    }
    return pa.table(columns, schema=_SCHEMA)
