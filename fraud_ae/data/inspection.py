"""What a file of transactions is: its columns, what they may stand for, and what would go wrong."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fraud_ae.data.column_roles import (
    FEW,
    ROLE_NAMES,
    Column,
    distance,
    fits,
    plain_name,
    time_settings,
)
from fraud_ae.data.columns import BIRTH_DATE, CANONICAL, SCENARIO
from fraud_ae.data.files.csv_files import Dialect, csv_dialect
from fraud_ae.data.files.paths import kind_of, table_files
from fraud_ae.data.files.reading import read_parts
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.split import split_by_time
from fraud_ae.data.transactions import training_transactions
from fraud_ae.data.values.kinds import MISSING_WORDS
from fraud_ae.data.values.text_columns import decide_kind, exact_texts
from fraud_ae.data.values.times import TIME_OF_DAY, role_of
from fraud_ae.errors import DataError

# Enough to know a file by.
LOOKED_AT = 200_000


@dataclass
class Inspection:
    """A file as it was found.

    dialect: of a CSV. rows: that were looked at, all of them unless `cut`. settings: of `data`, as
    an option of `conf/data/` has them. problems: what would go wrong. notes: what was guessed.
    """

    path: Path
    kind: str
    files: int
    dialect: Dialect | None
    rows: int
    cut: bool
    columns: list[Column]
    settings: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect_file(path: Path) -> Inspection:
    """Look at the first rows of a file, a directory or a glob. Raises DataError as reading does."""
    files = table_files(path)
    kind = kind_of(files[0])
    dialect = csv_dialect(files[0]) if kind == "csv" else None
    parts = read_parts(path, SourceFormat(columns={}), LOOKED_AT)
    raw = next(parts, pd.DataFrame())
    cut = next(parts, None) is not None
    columns = [_column(str(name), raw.iloc[:, place]) for place, name in enumerate(raw.columns)]
    found = Inspection(path, kind, len(files), dialect, len(raw), cut, columns, {})
    if len(raw):
        _choose(raw, found)
        _try(raw, found)
    return found


def _column(name: str, values: pd.Series) -> Column:
    texts, _, _ = exact_texts(values)
    kind = decide_kind(values).kind
    words = MISSING_WORDS if kind != "text" else frozenset()
    lowered = texts.str.strip().str.lower()
    missing = texts.isna() | (lowered == "") | lowered.isin([*words])
    known = texts[~missing]
    shown = ", ".join(known.drop_duplicates().head(3))
    return Column(name, kind, float(missing.mean()), int(known.nunique()), shown)


def _choose(raw: pd.DataFrame, found: Inspection) -> None:
    """Give every canonical name the column that is most likely it, and the rest to the extras."""
    free = [
        column
        for column in found.columns
        if column.name.strip() and column.distinct > 1 and list(raw.columns).count(column.name) == 1
    ]
    usable = tuple(free)
    chosen: dict[str, Any] = {}
    settings: dict[str, Any] = {"columns": chosen}
    for canonical, pattern in ROLE_NAMES.items():
        candidates = [c for c in free if re.search(pattern, plain_name(c.name))]
        candidates = [c for c in candidates if fits(canonical, c, raw, found.rows)]
        best = min(candidates, key=lambda c: distance(canonical, c), default=None)
        if best is not None:
            chosen[canonical] = best.name
            free.remove(best)
    _choose_time(raw, found, free, settings)
    parts = chosen.get("timestamp") or ()
    ignored = [
        column.name or "an unnamed column"
        for column in found.columns
        if column not in usable and column.name not in parts
    ]
    if ignored:
        found.notes.append(f"not used, unnamed, constant or twice there: {', '.join(ignored)}")
    for name in ("transaction_id", "customer_id", "timestamp", "amount", "is_fraud"):
        if chosen.setdefault(name, None) is None:
            found.notes.append(f"no column looks like {name}: it is null")
    known_later = [c for c in free if re.search(ROLE_NAMES["is_fraud"], plain_name(c.name))]
    if known_later:
        names = ", ".join(c.name for c in known_later)
        found.notes.append(f"not used, sounds like an answer that is known later: {names}")
    free = [c for c in free if c not in known_later]
    texts = [c for c in free if c.kind in ("text", "flag", "time")]
    settings["extra_columns"] = [c.name for c in free if c.kind in ("number", "whole number")]
    settings["extra_categories"] = [c.name for c in texts if c.distinct <= FEW]
    left = [c.name for c in texts if c.distinct > FEW]
    if left:
        found.notes.append(f"not used, too many different texts: {', '.join(left)}")
    if settings["extra_columns"] or settings["extra_categories"]:
        found.notes.append(
            "extra columns must be known when a payment is made: take out what is known later"
        )
    found.settings = settings


def _choose_time(
    raw: pd.DataFrame, found: Inspection, free: list[Column], settings: dict[str, Any]
) -> None:
    """The settings of the time that was chosen, and the columns of its date beside it."""
    chosen = settings["columns"]
    name = chosen.get("timestamp")
    # A year may be the same in all rows.
    roles = {role_of(column.name): column for column in found.columns if column.name != name}
    has_date = all(role in roles for role in ("year", "month", "day"))
    is_clock = (
        name is not None
        and raw[name]
        .dropna()
        .head(FEW)
        .map(str)
        .map(lambda text: TIME_OF_DAY.fullmatch(text) is not None)
        .all()
    )
    if has_date and (name is None or is_clock):
        parts = [roles[role] for role in ("year", "month", "day")]
        chosen["timestamp"] = [*(part.name for part in parts), *([name] if name else [])]
        free[:] = [column for column in free if column not in parts]
        return
    if name is None or is_clock:
        chosen["timestamp"] = None
        return
    settings |= time_settings(raw[name]) or {}
    if settings.get("time_unit") == "step":
        found.notes.append(
            f"{name} counts steps of unknown length: time_unit=h, d, w or month says how long"
        )
    if settings.get("time_format", "").startswith(("%d/%m", "%m/%d")):
        found.notes.append(f"{name} is read as {settings['time_format']}; check day and month")


def _try(raw: pd.DataFrame, found: Inspection) -> None:
    """Read and split the rows as a training would, and note what is wrong."""
    try:
        transactions, inferred = _read(raw, found)
    except DataError as error:
        found.problems.append(str(error))
        return
    if inferred.decimal == ",":
        found.settings["decimal"] = ","
    if inferred.labels_map:
        found.settings["labels_map"] = dict(inferred.labels_map)
    if inferred.negative_amounts == "refund":
        found.settings["negative_amounts"] = "refund"
    if "is_fraud" in transactions and not (transactions["is_fraud"] == 1).any():
        found.problems.append("is_fraud: no row is fraud among those that were looked at")
    with _warnings_in([]):
        fits = _splits(transactions["timestamp"])
    if fits:
        return
    found.settings["split"] = {"label_delay_days": 0}
    found.notes.append("the data are too short for a label delay of 7 days: it is set to 0")


def _read(raw: pd.DataFrame, found: Inspection) -> tuple[pd.DataFrame, SourceFormat]:
    """What a training reads; impossible values of optional columns are missing if need be."""
    try:
        with _warnings_in(found.notes):
            return training_transactions(raw, SourceFormat(**found.settings))
    except DataError as error:
        if "data.bad_values=missing" not in str(error):
            raise
    found.settings["bad_values"] = "missing"
    with _warnings_in(found.notes):
        return training_transactions(raw, SourceFormat(**found.settings))


@contextmanager
def _warnings_in(notes: list[str]) -> Iterator[None]:
    """Take what is logged meanwhile into the notes."""
    logger, handler = logging.getLogger("fraud_ae"), logging.Handler()
    handler.emit = lambda record: notes.append(record.getMessage())  # type: ignore[method-assign]
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _splits(times: pd.Series) -> bool:
    """Whether times, (n,), can be split with the usual label delay."""
    try:
        split_by_time(times)
    except DataError:
        return False
    return True


def option_of(found: Inspection, name: str) -> dict[str, Any]:
    """The option of `conf/data/` that reads the file, as plain data."""
    named = found.settings["columns"]
    columns = {key: named.get(key) for key in (*CANONICAL, BIRTH_DATE, SCENARIO)}
    required = ("transaction_id", "customer_id", "timestamp", "amount", "is_fraud")
    columns = {k: v for k, v in columns.items() if v is not None or k in required}
    rest = {key: value for key, value in found.settings.items() if key != "columns" and value}
    return {
        "defaults": ["/hydra/schema/data/file@_here_"],
        "_target_": "fraud_ae.data.sources.from_file",
        "name": name,
        "path": str(found.path.absolute()),
        "columns": columns,
        **rest,
    }
