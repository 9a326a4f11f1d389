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
    texts = pa.array(exact_texts(column)[0], type=pa.large_string())
    distinct = pc.utf8_trim_whitespace(pc.unique(texts))
    stand_ins = pa.array([*words, ""], pa.large_string())
    is_word = pc.is_in(pc.utf8_lower(distinct), value_set=stand_ins)
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
    if not _is_canonical(texts, kind):
        codes, distinct = pd.factorize(texts)
        canonical = pd.array([kind.text_of(text) for text in distinct], dtype="str")
        taken = canonical.take(codes, allow_fill=True)
        texts = pd.Series(taken, index=texts.index, name=texts.name)
    return texts, wrong


def _is_canonical(texts: pd.Series, kind: ValueKind) -> bool:
    """Whether all texts stand for themselves, seen without going through them one by one."""
    values = pa.array(texts, type=pa.large_string())

    def any_matches(pattern: str) -> bool:
        return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())

    if kind.kind == "whole number":
        are_whole = pc.all(pc.match_substring_regex(values, _CANONICAL_WHOLE)).as_py()
        return not missing_numbers(kind.missing) and are_whole is not False
    if kind.kind != "text" or kind.missing or any_matches(r"^\s*$"):
        return False
    return not (kind.as_numbers and any_matches(f"^{SPELLED_WHOLE}$"))


def exact_texts(column: pd.Series) -> tuple[pd.Series, np.ndarray, Wrong]:
    """`exact_text` of each value: (n,) `str`, which of them were numbers, and what is wrong."""
    dtype, name, index = column.dtype, column.name, column.index
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_float_dtype(dtype):
        return _texts_of_distinct(column)
    is_object = pd.api.types.is_object_dtype(dtype)
    kind = pd.api.types.infer_dtype(column, skipna=True) if is_object else ""
    if (pd.api.types.is_string_dtype(dtype) and not is_object) or kind == "string":
        return column.astype("str"), np.zeros(len(column), dtype=bool), {}
    if pd.api.types.is_integer_dtype(dtype) or kind == "integer":
        return column.astype("str"), ~column.isna().to_numpy(), {}
    texts, wrong = [], {}
    for row, value in enumerate(column.array):
        try:
            texts.append(exact_text(value))
        except ValueError as error:
            texts.append(None)
            wrong[row] = str(error)
    numbers = [not isinstance(value, str | bool | np.bool_) for value in column.array]
    texts = pd.Series(pd.array(texts, dtype="str"), index=index, name=name)
    return texts, np.array(numbers, dtype=bool), wrong


def _texts_of_distinct(column: pd.Series) -> tuple[pd.Series, np.ndarray, Wrong]:
    """`exact_texts` of a column of categories or floats, by its distinct values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, distinct = column.cat.codes.to_numpy(), pd.Series(column.cat.categories)
    else:
        # Of nullable and Arrow types, too: a float of 32 bits is the text that it shows.
        dtype = getattr(column.dtype, "numpy_dtype", column.dtype)
        codes, floats = pd.factorize(column.to_numpy(dtype, na_value=np.nan))
        distinct = pd.Series(list(floats), dtype=object)
    texts, numbers, wrong = exact_texts(distinct)
    # The code of a missing value is -1.
    taken = texts.array.take(codes, allow_fill=True)
    rows = np.flatnonzero(np.isin(codes, [*wrong]))
    are_numbers = np.append(numbers, False)[codes]
    texts = pd.Series(taken, index=column.index, name=column.name)
    return texts, are_numbers, {int(row): wrong[codes[row]] for row in rows}
