"""What a file itself says of its format: decided once, on the training data, saved with it."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from fraud_ae.data.columns import BIRTH_DATE, CANONICAL, NUMERIC
from fraud_ae.data.naming import is_pattern, listed, matching
from fraud_ae.data.source_columns import TEXT, part_key, resolve
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.kinds import MISSING_WORDS, ValueKind, decide_kind, missing_words
from fraud_ae.data.values.labels import guess_meaning
from fraud_ae.data.values.numbers import as_number, guess_decimal
from fraud_ae.data.values.times import are_times_of_day, role_of
from fraud_ae.errors import DataError

_LOGGER = logging.getLogger("fraud_ae")
_SAMPLE = 1_000


def infer_format(raw: pd.DataFrame, source_format: SourceFormat) -> SourceFormat:
    """The format with everything in it that a table of training data, (n, d) raw, decides.

    Patterns of names are replaced by the columns that they stand for, a time of day gets its date,
    separators of decimals and the meaning of labels are guessed where they are not given, and every
    column gets the kind of its values. What is guessed is logged.
    Raises DataError for a pattern that stands for nothing and for what can be read in two ways.
    """
    if source_format.kinds:
        return source_format
    # Which of two columns of one name is meant is reported with all other problems.
    raw = raw.loc[:, ~raw.columns.duplicated(keep=False)]
    for infer in (_with_names, _with_date, _with_decimal, _with_refunds, _with_labels, _with_kinds):
        source_format = infer(raw, source_format)
    return source_format


def _with_names(raw: pd.DataFrame, source_format: SourceFormat) -> SourceFormat:
    columns = [str(name) for name in raw.columns]
    taken = {source for name in CANONICAL for source in source_format.sources(name)}
    taken |= {source_format.columns.get(BIRTH_DATE), source_format.columns.get("fraud_scenario")}
    # Names that are given belong to nothing else.
    taken |= set(source_format.extra_categories)
    named: dict[str, list[str]] = {}
    for setting in ("extra_columns", "extra_categories"):
        names: list[str] = []
        for name in getattr(source_format, setting):
            matched = [name]
            if is_pattern(name, columns):
                matched = [column for column in matching(name, columns) if column not in taken]
                if not matched:
                    raise DataError(
                        f"data.{setting}: {name!r} matches no column of the file that is free\n"
                        f"  The file has these columns: {listed(columns)}"
                    )
            names += [column for column in matched if column not in names]
        if setting == "extra_columns":
            names = _only_numbers(raw, names, source_format.extra_columns)
        named[setting] = names
        taken |= set(names)
    return replace(source_format, **named)


def _only_numbers(raw: pd.DataFrame, names: list[str], given: Sequence[str]) -> list[str]:
    """Without the columns of text that a pattern stands for; those that are named stay."""
    texts = [
        name
        for name in names
        if name not in given and (as_number(raw[name].head(_SAMPLE)) == float("inf")).any()
    ]
    if texts:
        _LOGGER.warning(
            "data.extra_columns: %s hold text and are left out; data.extra_categories takes them",
            listed(texts),
        )
    return [name for name in names if name not in texts]


def _with_date(raw: pd.DataFrame, source_format: SourceFormat) -> SourceFormat:
    """A column that holds a time of day alone gets the columns beside it that say which day."""
    sources = source_format.sources("timestamp")
    is_plain = source_format.time_unit is None and source_format.time_format is None
    if len(sources) != 1 or sources[0] not in raw or not is_plain:
        return source_format
    times = raw[sources[0]]
    if not are_times_of_day(times):
        return source_format
    roles = {role_of(str(name)): str(name) for name in raw.columns if name != sources[0]}
    for wanted in (("year", "month", "day"), ("date",)):
        if all(role in roles for role in wanted):
            parts = (*(roles[role] for role in wanted), sources[0])
            _LOGGER.warning(
                "%s holds times of day: the date is taken from %s ('data.columns.timestamp=[%s]')",
                sources[0],
                ", ".join(parts[:-1]),
                ",".join(parts),
            )
            return replace(source_format, columns={**source_format.columns, "timestamp": parts})
    raise DataError(
        f"timestamp: {sources[0]!r} holds times of day such as {times.dropna().iloc[0]!r} and no "
        "date, so that all days would be one; name all its columns: "
        "'data.columns.timestamp=[Year,Month,Day,Time]'"
    )


def _with_decimal(raw: pd.DataFrame, source_format: SourceFormat) -> SourceFormat:
    if source_format.decimal is not None:
        return source_format
    names = ["amount", *NUMERIC, *source_format.extra_columns]
    sources = [source for name in names for source in source_format.sources(name)]
    decimal = guess_decimal({name: raw[name] for name in sources if name in raw.columns})
    if decimal == ",":
        _LOGGER.warning('numbers have a comma before their decimals (data.decimal=",")')
    return replace(source_format, decimal=decimal)


def _with_refunds(raw: pd.DataFrame, source_format: SourceFormat) -> SourceFormat:
    if source_format.negative_amounts is not None:
        return source_format
    columns = [name for name in source_format.sources("amount") if name in raw]
    amounts = as_number(raw[columns[0]], source_format.decimal or ".") if columns else pd.Series()
    refunds = int((amounts < 0).sum())
    if refunds:
        _LOGGER.warning(
            "%d negative amounts are read as refunds (data.negative_amounts=refund)", refunds
        )
    return replace(source_format, negative_amounts="refund" if refunds else "refuse")


def _with_labels(raw: pd.DataFrame, source_format: SourceFormat) -> SourceFormat:
    sources, _ = resolve(raw, source_format, labelled=False)
    if source_format.labels_map is not None or "is_fraud" not in sources:
        return source_format
    column = sources["is_fraud"][0]
    meaning = guess_meaning(raw[column])
    if meaning is not None:
        words = {None: "null", 0.0: "0", 1.0: "1"}
        shown = ", ".join(f"{word}: {words[value]}" for word, value in meaning.items())
        _LOGGER.warning("labels in %s are read as {%s} (data.labels_map)", column, shown)
    return replace(source_format, labels_map=meaning)


def _with_kinds(raw: pd.DataFrame, source_format: SourceFormat) -> SourceFormat:
    sources, _ = resolve(raw, source_format, labelled=True)
    words = missing_words(MISSING_WORDS if source_format.missing is None else source_format.missing)
    kinds = {}
    for name, columns in sources.items():
        if name not in TEXT and name not in source_format.extra_categories:
            kind = {"timestamp": "time", "is_fraud": "flag"}.get(name, "number")
            kinds[name] = ValueKind(kind, words)
            continue
        decided = {column: decide_kind(raw[column], source_format.missing) for column in columns}
        if len(columns) == 1:
            kinds[name] = decided[columns[0]]
        else:
            kinds |= {part_key(name, column): kind for column, kind in decided.items()}
            kinds[name] = ValueKind()
    return replace(source_format, kinds=kinds)
