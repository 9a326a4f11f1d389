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
    may_be,
    plain_name,
    time_settings,
)
from fraud_ae.data.columns import BIRTH_DATE, CANONICAL, REQUIRED, SCENARIO
from fraud_ae.data.files.csv_files import Dialect, csv_dialect
from fraud_ae.data.files.folders import partitions
from fraud_ae.data.files.paths import kind_of, table_files
from fraud_ae.data.files.reading import read_parts
from fraud_ae.data.naming import as_ranges
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.split import split_by_time
from fraud_ae.data.transactions import training_transactions
from fraud_ae.data.values.times import are_times_of_day, role_of
from fraud_ae.errors import DataError

# Enough to know a file by.
LOOKED_AT = 200_000


@dataclass
class Inspection:
    """What a file holds.

    dialect: of a CSV. rows: that were looked at, all of them unless `cut`. partitions: the columns
    that folders give. settings: of `data`, as an option of `conf/data/` has them. problems: what
    would go wrong. notes: what was guessed.
    """

    path: Path
    kind: str
    files: int
    dialect: Dialect | None
    rows: int
    cut: bool
    columns: list[Column]
    partitions: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect_file(path: Path) -> Inspection:
    """Look at the first rows of a file, a directory or a glob. Raises DataError as reading does."""
    files = table_files(path)
    kind = kind_of(files[0])
    dialect = csv_dialect(files[0]) if kind == "csv" else None
    raw, cut = _first_rows(path)
    columns = [Column.of(str(name), raw.iloc[:, place]) for place, name in enumerate(raw.columns)]
    folders = tuple(partitions(path.expanduser(), files[0]))
    inspection = Inspection(path, kind, len(files), dialect, len(raw), cut, columns, folders)
    if len(raw):
        _choose_roles(raw, inspection)
        _try_training(raw, inspection)
    return inspection


def _first_rows(path: Path) -> tuple[pd.DataFrame, bool]:
    """The first rows of all files, and whether there are more."""
    frames, rows = [], 0
    for frame in read_parts(path, SourceFormat(columns={}), LOOKED_AT):
        if rows >= LOOKED_AT:
            return pd.concat(frames, ignore_index=True)[:LOOKED_AT], True
        frames.append(frame)
        rows += len(frame)
    raw = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return raw[:LOOKED_AT], rows > LOOKED_AT


def _choose_roles(raw: pd.DataFrame, inspection: Inspection) -> None:
    """Give every canonical name the column that is most likely it, and the rest to the extras."""
    names = list(raw.columns)
    usable = [
        column
        for column in inspection.columns
        if column.name.strip() and column.distinct > 1 and names.count(column.name) == 1
    ]
    free = list(usable)
    chosen: dict[str, Any] = {}
    for canonical, pattern in ROLE_NAMES.items():
        candidates = [c for c in free if re.search(pattern, plain_name(c.name))]
        candidates = [c for c in candidates if may_be(canonical, c, raw[c.name])]
        if candidates:
            best = min(candidates, key=lambda c: distance(canonical, c))
            chosen[canonical] = best.name
            free.remove(best)
    settings = {"columns": chosen} | _choose_time(raw, inspection, chosen)
    parts = chosen["timestamp"] if isinstance(chosen["timestamp"], list) else ()
    free = [c for c in free if c.name not in parts]
    ignored = [
        column.name or "an unnamed column"
        for column in inspection.columns
        if column not in usable and column.name not in parts
    ]
    notes = inspection.notes
    if ignored:
        notes.append(f"not used, unnamed, constant or twice there: {', '.join(ignored)}")
    for name in REQUIRED:
        if chosen.setdefault(name, None) is None:
            notes.append(f"no column looks like {name}: it is null")
    known_later = [c for c in free if re.search(ROLE_NAMES["is_fraud"], plain_name(c.name))]
    if known_later:
        names = ", ".join(c.name for c in known_later)
        notes.append(f"not used, sounds like an answer that is known later: {names}")
    folders = [c.name for c in free if c.name in inspection.partitions]
    if folders:
        notes.append(f"not used, only names of folders: {', '.join(folders)}")
    free = [c for c in free if c not in known_later and c.name not in folders]
    texts = [c for c in free if c.kind in ("text", "flag", "time")]
    settings["extra_columns"] = [c.name for c in free if c not in texts]
    settings["extra_categories"] = [c.name for c in texts if c.distinct <= FEW]
    left = [c.name for c in texts if c.distinct > FEW]
    if left:
        notes.append(f"not used, too many different texts: {', '.join(left)}")
    if settings["extra_columns"] or settings["extra_categories"]:
        notes.append(
            "extra columns must be known when a payment is made: take out what is known later"
        )
    inspection.settings = settings


def _choose_time(
    raw: pd.DataFrame, inspection: Inspection, chosen: dict[str, Any]
) -> dict[str, str]:
    """The settings of the time in `chosen`, which gets the columns of its date."""
    name = chosen.setdefault("timestamp", None)
    if name is None or are_times_of_day(raw[name]):
        # A year may be the same in all rows.
        others = [column.name for column in inspection.columns if column.name != name]
        roles = {role_of(other): other for other in others}
        date = [roles.get(role) for role in ("year", "month", "day")]
        has_date = None not in date
        chosen["timestamp"] = [*date, *([name] if name else [])] if has_date else None
        return {}
    settings = time_settings(raw[name]) or {}
    if settings.get("time_unit") == "step":
        inspection.notes.append(
            f"{name} counts steps of unknown length: time_unit=h, d, w or month says how long"
        )
    if settings.get("time_format", "").startswith(("%d/%m", "%m/%d")):
        inspection.notes.append(f"{name} is read as {settings['time_format']}; check day and month")
    return settings


def _try_training(raw: pd.DataFrame, inspection: Inspection) -> None:
    """Read and split the rows as a training would, and note what is wrong."""
    settings = inspection.settings
    try:
        with _warnings_in(inspection.notes):
            transactions, inferred = _read(raw, settings)
    except DataError as error:
        inspection.problems.append(str(error))
        return
    if inferred.decimal == ",":
        settings["decimal"] = ","
    if inferred.labels_map:
        settings["labels_map"] = dict(inferred.labels_map)
    if inferred.negative_amounts == "refund":
        settings["negative_amounts"] = "refund"
    if "is_fraud" in transactions and not (transactions["is_fraud"] == 1).any():
        inspection.problems.append("is_fraud: no row is fraud among those that were looked at")
    try:
        with _warnings_in([]):
            split_by_time(transactions["timestamp"])
    except DataError:
        settings["split"] = {"label_delay_days": 0}
        inspection.notes.append(
            "the data are too short for a label delay of 7 days: it is set to 0"
        )


def _read(raw: pd.DataFrame, settings: dict[str, Any]) -> tuple[pd.DataFrame, SourceFormat]:
    """What a training reads; impossible values of optional columns are missing if need be."""
    try:
        return training_transactions(raw, SourceFormat(**settings))
    except DataError as error:
        if "data.bad_values=missing" not in str(error):
            raise
    settings["bad_values"] = "missing"
    return training_transactions(raw, SourceFormat(**settings))


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


def option_of(inspection: Inspection, name: str) -> dict[str, Any]:
    """The option of `conf/data/` that reads the file, as plain data."""
    settings = dict(inspection.settings)
    chosen = settings.pop("columns")
    columns = {key: chosen.get(key) for key in (*CANONICAL, BIRTH_DATE, SCENARIO)}
    names = [column.name for column in inspection.columns]
    for key in ("extra_columns", "extra_categories"):
        settings[key] = as_ranges(settings.get(key, []), names)
    return {
        "defaults": ["/hydra/schema/data/file@_here_"],
        "_target_": "fraud_ae.data.sources.from_file",
        "name": name,
        "path": str(inspection.path.absolute()),
        "columns": {k: v for k, v in columns.items() if v is not None or k in REQUIRED},
        **{key: value for key, value in settings.items() if value},
    }
