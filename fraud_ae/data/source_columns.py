"""Which columns of a table the canonical ones are made of, and the values of several together."""

from collections.abc import Mapping, Sequence

import pandas as pd

from fraud_ae.data.columns import (
    BIRTH_DATE,
    CANONICAL,
    CATEGORICAL,
    IDENTIFIERS,
    OPTIONAL,
    REQUIRED,
    SCENARIO,
)
from fraud_ae.data.naming import did_you_mean, listed
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.kinds import ValueKind, Wrong, canonical_text, decide_kind

TEXT = ("transaction_id", "customer_id", *CATEGORICAL, *IDENTIFIERS, SCENARIO)
Sources = dict[str, tuple[str, ...]]


def resolve(
    raw: pd.DataFrame, source_format: SourceFormat, labelled: bool
) -> tuple[Sources, list[str]]:
    """Columns of `raw` for every canonical name and extra that it has, and what is wrong."""
    wanted = {name: source_format.sources(name) for name in REQUIRED}
    wanted |= {name: _optional(source_format, name) for name in (*OPTIONAL, BIRTH_DATE)}
    if labelled:
        wanted[SCENARIO] = _optional(source_format, SCENARIO)  # what is scored has no answer key
    extras = (*source_format.extra_columns, *source_format.extra_categories)
    wanted |= {name: (name,) for name in extras}
    present = set(raw.columns)
    mapped = {source for sources in wanted.values() for source in sources}
    may_be_absent = {*OPTIONAL, SCENARIO}
    resolved: Sources = {}
    problems = []
    for name, sources in wanted.items():
        absent = [source for source in sources if source not in present]
        may_lack = name == "is_fraud" and not labelled
        if sources and not absent:
            resolved[name] = sources
        elif sources and name in present and name not in mapped:
            resolved[name] = (name,)  # the frame is canonical already
        elif absent and not may_lack and not (sources == (name,) and name in may_be_absent):
            problems.append(_not_found(name, absent[0], raw))
    is_canonical = any(wanted[name] != sources for name, sources in resolved.items())
    for name, applies in (("transaction_id", is_canonical), ("customer_age", wanted[BIRTH_DATE])):
        if applies and name in present and name not in resolved and name not in mapped:
            resolved[name] = (name,)
    if "customer_age" in resolved and BIRTH_DATE in resolved:
        del resolved[BIRTH_DATE]
    if problems:
        problems[-1] += f"\n  The file has these columns: {listed(raw.columns)}"
    repeated = set(raw.columns[raw.columns.duplicated()])
    problems += [
        f"{name}: the file has more than one column {source!r}"
        for name, sources in resolved.items()
        for source in sources
        if source in repeated
    ]
    usable = {name: sources for name, sources in resolved.items() if not repeated & set(sources)}
    return usable, problems


def _optional(source_format: SourceFormat, name: str) -> tuple[str, ...]:
    return source_format.sources(name) if source_format.columns.get(name) else ()


def _not_found(name: str, source: str, raw: pd.DataFrame) -> str:
    meant = did_you_mean((source, name.replace("_", " ")), raw.columns)
    if name not in (*CANONICAL, BIRTH_DATE, SCENARIO):
        return f"no column {source!r} in the file{meant}; see data.extra_columns"
    null = "" if name == BIRTH_DATE else ", or =null where there is none"
    return (
        f"{name}: no column {source!r} in the file{meant}; "
        f"set data.columns.{name}=NAME_IN_THE_FILE{null}"
    )


def part_key(name: str, column: str) -> str:
    """Under which key `SourceFormat.kinds` has the kind of one of several columns of an id."""
    return f"{name}[{column}]"


def id_text(
    raw: pd.DataFrame, name: str, columns: Sequence[str], kinds: Mapping[str, ValueKind]
) -> tuple[pd.Series, Wrong]:
    """The text of an id or a category, and what is wrong with some values, by position.

    Several columns make one text, `24|0`, which is missing where one of them is. A bar is
    written `\\|` where a value has it, so that no two rows that differ are alike.
    """
    if len(columns) == 1:
        column = raw[columns[0]]
        return canonical_text(column, kinds[name] if name in kinds else decide_kind(column))
    parts, wrong = [], {}
    for column in columns:
        kind = kinds.get(part_key(name, column)) or decide_kind(raw[column])
        text, refused = canonical_text(raw[column], kind)
        wrong |= {row: f"{column} {why}" for row, why in refused.items()}
        parts.append(text.str.replace(r"([\\|])", r"\\\1", regex=True))
    return parts[0].str.cat(parts[1:], sep="|"), wrong
