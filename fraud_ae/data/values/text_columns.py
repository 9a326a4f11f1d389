"""Columns of ids and categories of any dtype: what kind they are, and the text of every value."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fraud_ae.data.values.kinds import (
    DATE,
    MISSING_WORDS,
    NO_NUMBERS,
    NUMBER,
    SPELLED_WHOLE,
    ValueKind,
    exact_text,
    missing_numbers,
    missing_words,
)

_CANONICAL_WHOLE = "^(?:0|-?[1-9][0-9]*)$"
_PLAIN_WHOLE = r"^-?(?:0|[1-9][0-9]*)(?:\.0+)?$"
_PLAIN_NUMBER = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
Wrong = dict[int, str]


def decide_kind(column: pd.Series, missing: Sequence[str] | None = None) -> ValueKind:
    """The kind of a column of training data, of any dtype.

    missing: words that stand for a missing value; None for `MISSING_WORDS` where the values are
    numbers, times or flags, and for none where they are text.
    """
    words = missing_words(MISSING_WORDS if missing is None else missing)
    texts, _, _ = exact_texts(column)
    distinct = pc.utf8_trim_whitespace(pc.unique(pa.array(texts, type=pa.large_string())))
    lowered = pc.utf8_lower(distinct)
    is_word = pc.is_in(lowered, value_set=pa.array([*words, ""], pa.large_string()))
    values = distinct.filter(pc.and_not(pc.is_valid(distinct), is_word))
    kind = _kind_of(values)
    if kind != "text":
        return ValueKind(kind, words)
    numbers = values.filter(pc.match_substring_regex(values, f"^{NUMBER}$")).to_pylist()
    number = ValueKind("number")
    as_numbers = all(number.text_of(value) == value for value in numbers)
    return ValueKind("text", () if missing is None else words, as_numbers)


def _kind_of(values: pa.Array) -> str:
    """values: distinct ones, none of them missing."""

    def all_match(pattern: str) -> bool:
        return pc.all(pc.match_substring_regex(values, pattern)).as_py()

    if not len(values):
        return "text"
    if all_match("(?i)^(?:true|false)$"):
        return "flag"
    if all_match(_PLAIN_WHOLE):
        return "whole number"
    if all_match(_PLAIN_NUMBER):
        # 1.1 and 1.10 may be two versions of something: then they are text.
        number = ValueKind("number")
        spelled = [value for value in values.to_pylist() if "." in value]
        return "number" if len({*map(number.text_of, spelled)}) == len(spelled) else "text"
    return "time" if all_match(f"^{DATE}$") else "text"


def canonical_text(column: pd.Series, kind: ValueKind) -> tuple[pd.Series, Wrong]:
    """What `kind.text` gives of each value: (n,) `str`, and what is wrong with some, by position.

    The result has the index of the column; values that are wrong are missing in it.
    """
    texts, came_as_number, wrong = exact_texts(column)
    if kind.kind == "text" and not kind.as_numbers and came_as_number.any():
        rows = np.flatnonzero(came_as_number & texts.notna().to_numpy())
        wrong = wrong | {int(row): NO_NUMBERS for row in rows}
        texts = texts.mask(came_as_number)
    return _as_kind(texts, kind), wrong


def _as_kind(texts: pd.Series, kind: ValueKind) -> pd.Series:
    values = pa.array(texts, type=pa.large_string())
    if _is_canonical(values, kind):
        return texts
    encoded = pc.dictionary_encode(values)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    distinct = [kind.text_of(text) for text in encoded.dictionary.to_pylist()]
    codes = pc.fill_null(encoded.indices, -1).to_numpy()
    taken = pd.array(distinct, dtype="str").take(codes, allow_fill=True)
    return pd.Series(taken, index=texts.index, name=texts.name)


def _is_canonical(values: pa.Array, kind: ValueKind) -> bool:
    """Whether all texts stand for themselves, seen without going through them one by one."""

    def holds(pattern: str, every: bool) -> bool:
        matched = pc.match_substring_regex(values, pattern)
        found = pc.all(matched) if every else pc.any(matched)
        return bool(found.as_py()) if found.as_py() is not None else every

    if kind.kind == "whole number":
        return not missing_numbers(kind.missing) and holds(_CANONICAL_WHOLE, every=True)
    if kind.kind != "text" or kind.missing or holds(r"^\s*$", every=False):
        return False
    return not (kind.as_numbers and holds(f"^{SPELLED_WHOLE}$", every=False))


def exact_texts(column: pd.Series) -> tuple[pd.Series, np.ndarray, Wrong]:
    """`exact_text` of each value: (n,) `str`, which of them were numbers, and what is wrong."""
    dtype, name, index = column.dtype, column.name, column.index
    nothing = np.zeros(len(column), dtype=bool)
    if isinstance(dtype, pd.CategoricalDtype):
        texts, numbers, wrong = exact_texts(pd.Series(column.cat.categories))
        return _taken(column, column.cat.codes.to_numpy(), texts, numbers, wrong)
    is_object = pd.api.types.is_object_dtype(dtype)
    kind = pd.api.types.infer_dtype(column, skipna=True) if is_object else ""
    if (pd.api.types.is_string_dtype(dtype) and not is_object) or kind == "string":
        return column.astype("str"), nothing, {}
    if pd.api.types.is_integer_dtype(dtype) or kind == "integer":
        return column.astype("str"), ~column.isna().to_numpy(), {}
    if pd.api.types.is_float_dtype(dtype):
        # Of nullable and Arrow types, too: a float of 32 bits is the text that it shows.
        plain = column.to_numpy(getattr(dtype, "numpy_dtype", dtype), na_value=np.nan)
        codes, distinct = pd.factorize(plain)
        texts, numbers, wrong = exact_texts(pd.Series(list(distinct), dtype=object))
        return _taken(column, codes, texts, numbers, wrong)
    texts, wrong = [], {}
    numbers = nothing.copy()
    for row, value in enumerate(column.array):
        try:
            texts.append(exact_text(value))
        except ValueError as error:
            texts.append(None)
            wrong[row] = str(error)
        numbers[row] = not isinstance(value, str | bool | np.bool_)
    return pd.Series(pd.array(texts, dtype="str"), index=index, name=name), numbers, wrong


def _taken(
    column: pd.Series, codes: np.ndarray, texts: pd.Series, numbers: np.ndarray, wrong: Wrong
) -> tuple[pd.Series, np.ndarray, Wrong]:
    """The results of distinct values at the codes of a column, -1 where it is missing."""
    taken = pd.Series(texts.array.take(codes, allow_fill=True), index=column.index)
    rows = np.flatnonzero(np.isin(codes, [*wrong]))
    are_numbers = np.append(numbers, False)[codes]
    return taken.rename(column.name), are_numbers, {int(row): wrong[codes[row]] for row in rows}
