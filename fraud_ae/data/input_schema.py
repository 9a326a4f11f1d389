"""What a model takes: the columns of a transaction to be scored, with an example."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from fraud_ae.data.columns import CANONICAL, REQUIRED
from fraud_ae.data.schema import HIGHEST
from fraud_ae.data.source_columns import TEXT
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.kinds import ValueKind
from fraud_ae.errors import UserError
from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.runtime.json_files import read_json

INPUT_SCHEMA = "schema.json"


@dataclass(frozen=True)
class InputColumn:
    """A column of transactions to be scored.

    name: canonical, or that of an extra column. sources: its columns in the files that the model
    was trained on. type: `text`, `number`, `time` or `label`. kind: of its values, with the words
    that stand for a missing one, see `ValueKind`. needed: whether the column must be there.
    nullable: whether values of it may be missing. lowest, highest: of numbers, None for no bound.
    """

    name: str
    sources: tuple[str, ...]
    type: str
    kind: ValueKind
    needed: bool
    nullable: bool
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class InputSchema:
    """The columns, and one transaction as an example of them (canonical names, plain values)."""

    columns: tuple[InputColumn, ...]
    example: dict[str, Any]

    @classmethod
    def of(
        cls, transactions: pd.DataFrame, source_format: SourceFormat, used: Sequence[str]
    ) -> Self:
        """The schema of the transactions, (n, d) canonical, that a model was made of.

        used: the canonical columns that its strategy reads; all of them if it is empty.
        """
        extras = (*source_format.extra_columns, *source_format.extra_categories)
        names = [n for n in (*CANONICAL, *extras) if n in transactions]
        if not source_format.sources("timestamp"):
            names.remove("timestamp")
        columns = tuple(_column(n, source_format, not used or n in used) for n in names)
        newest = transactions.iloc[-1]
        shown = {c.name: _plain(newest[c.name]) for c in columns if c.type != "label"}
        return cls(columns, {name: value for name, value in shown.items() if value is not None})

    def save(self, folder: Path) -> None:
        """Write `schema.json`."""
        write_json(folder / INPUT_SCHEMA, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises UserError where the folder has none, or a damaged one."""
        path = folder / INPUT_SCHEMA
        if not path.is_file():
            raise UserError(f"{folder}: no {INPUT_SCHEMA}; this takes a model for production")
        saved = read_json(path)
        try:
            columns = tuple(
                InputColumn(
                    **column
                    | {"sources": tuple(column["sources"]), "kind": ValueKind(**column["kind"])}
                )
                for column in saved["columns"]
            )
            return cls(columns, dict(saved["example"]))
        except (LookupError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"{path}: not what was saved ({reason})") from error


def _column(name: str, source_format: SourceFormat, used: bool) -> InputColumn:
    sources = source_format.sources(name) or (name,)
    bounds = (None, None)
    if name in (*TEXT, *source_format.extra_categories):
        kind = "text"
    elif name in ("timestamp", "is_fraud"):
        kind = {"timestamp": "time", "is_fraud": "label"}[name]
    else:
        kind = "number"
        bounds = (_lowest(name, source_format), HIGHEST.get(name))
    required = name in REQUIRED and name != "is_fraud"
    extra = name not in CANONICAL
    needed = required or extra or (used and name != "is_fraud")
    may_lack = not required or (name == "amount" and source_format.negative_amounts == "missing")
    values = source_format.kinds.get(name, ValueKind(kind))
    return InputColumn(name, sources, kind, values, needed, may_lack, *bounds)


def _lowest(name: str, source_format: SourceFormat) -> float | None:
    if name == "amount":
        return None if source_format.negative_amounts in ("refund", None) else 0.0
    return 0.0 if name in CANONICAL else None


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value if isinstance(value, str) else float(value)
