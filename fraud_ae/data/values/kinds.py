"""What the values of an id or a category are, and the one text that stands for each of them.

The same value is written in many ways: 325 is `325.0` in a CSV whose column has gaps, an integer in
Parquet, a `Decimal` from a database. The kind of a column is decided once, on the training data;
from then on it gives every value one text, whatever the file, frame or request it comes from.
"""

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# What stands for a missing value where numbers, times or flags are expected. In a column of text
# they are values like any other: NA is Namibia, and None may be a shipping option.
MISSING_WORDS = frozenset(
    ("na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "nil", "nat", "\\n", "-")
)
# From here on a float stands for more than one whole number.
EXACT = 2.0**53

NO_NUMBERS = (
    "is a number, where the training data have text such as '007' that is written otherwise; give "
    "it as text"
)

# Patterns of whole texts, for Python's `re` and for RE2.
NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
DATE = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
SPELLED_WHOLE = r"-?(?:0|[1-9][0-9]*)\.0+"

_WHOLE = re.compile(r"[+-]?0*(\d+?)(?:\.0*)?", re.ASCII)
_NUMBER, _DATE, _POINT = re.compile(NUMBER), re.compile(DATE), re.compile(SPELLED_WHOLE)
# Patterns of whole texts, for RE2 alone.
_CANONICAL_WHOLE = "^(?:0|-?[1-9][0-9]*)$"
_PLAIN_WHOLE = r"^-?(?:0|[1-9][0-9]*)(?:\.0+)?$"
_PLAIN_NUMBER = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_FLAGS = {"true": "true", "false": "false", "0": "false", "1": "true"}

# What is wrong with some values of a column, by their position.
Wrong = dict[int, str]


@dataclass(frozen=True)
class ValueKind:
    """What the values of a column are, as the training data show it; plain data.

    kind: `text`, `whole number`, `number`, `flag` or `time`. missing: words (lower case) that stand
    for a missing value, besides blank. as_numbers: whether a text may come as a number, too; not
    where the training data hold numbers that are written in another way, such as `007`.
    """

    kind: str = "text"
    missing: tuple[str, ...] = ()
    as_numbers: bool = True

    def __post_init__(self) -> None:
        # A kind that comes back from JSON has a list.
        object.__setattr__(self, "missing", tuple(self.missing))

    def text(self, value: Any) -> str | None:
        """The text that stands for a value; None for a missing one.

        Raises ValueError, saying what is wrong with it, for a value that has no certain text.
        """
        if isinstance(value, str):
            return self.text_of(value)
        exact = exact_text(value)
        if exact is None:
            return None
        if self.kind == "text" and not self.as_numbers and _NUMBER.fullmatch(exact):
            raise ValueError(NO_NUMBERS)
        return self.text_of(exact)

    def text_of(self, text: str) -> str | None:
        """The text that stands for a value that is text already."""
        word = text.strip()
        if not word or word.lower() in self.missing:
            return None
        canonical = self._canonical(text, word)
        # Such as -1, which may be written -1.0.
        return None if canonical in self.missing else canonical

    def _canonical(self, text: str, word: str) -> str:
        if self.kind == "text":
            # As `pandas.read_csv` makes a float of it.
            return _number_text(text) if self.as_numbers and _POINT.fullmatch(text) else text
        if self.kind == "flag":
            return _FLAGS.get(_number_text(word.lower()), word)
        return _time_text(word) if self.kind == "time" else _number_text(word)


def missing_words(words: Iterable[str]) -> tuple[str, ...]:
    """Words that stand for a missing value as `ValueKind` has them: lower case, numbers plain."""
    return tuple(sorted({_number_text(word.strip().lower()) for word in words}))


def missing_numbers(words: Iterable[str]) -> list[float]:
    """The numbers among words that stand for a missing value."""
    return [float(word) for word in words if _NUMBER.fullmatch(word)]


def exact_text(value: Any) -> str | None:
    """A value of any type as text: whole numbers without a point, None where it is missing.

    Raises ValueError for a float that stands for several whole numbers, and for what is no single
    value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return _float_text(value)
    if isinstance(value, Decimal):
        return None if value.is_nan() else _decimal_text(value)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, dt.date | np.datetime64):
        return _time_text(str(value)) if not pd.isna(value) else None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, UUID):
        return str(value)
    raise ValueError(f"is a {type(value).__name__}; it must be one text or number")


def _float_text(value: float | np.floating) -> str | None:
    if np.isnan(value):
        return None
    if not np.isfinite(value) or not float(value).is_integer():
        # The shortest text that the precision of the value distinguishes: 0.1 of 32 bits, too.
        return _number_text(str(value))
    if abs(value) >= EXACT:
        raise ValueError(
            "is a number with a point beyond 2**53, which stands for several whole numbers; give "
            "it as text or as an integer"
        )
    return str(int(value))


def _number_text(word: str) -> str:
    """A number in the one way it is written: 7 for +7, 007 and 7.0; other text as it is."""
    whole = _WHOLE.fullmatch(word)
    if whole:
        digits = whole.group(1)
        return f"-{digits}" if word[0] == "-" and digits != "0" else digits
    if not _NUMBER.fullmatch(word):
        return word
    try:
        return _decimal_text(Decimal(word))
    except InvalidOperation:
        return word


def _decimal_text(value: Decimal) -> str:
    if not value.is_finite():
        return str(value)
    # A huge exponent would be a text of as many zeros.
    if abs(value.adjusted()) > 400:
        return str(value.normalize())
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _time_text(word: str) -> str:
    """A time in ISO 8601: a day where it is midnight, UTC where it has an offset."""
    # Other words may mean something to pandas: today, now.
    if not _DATE.fullmatch(word):
        return word
    try:
        time = pd.Timestamp(word)
    except ValueError:
        return word
    if time.tzinfo is not None:
        time = time.tz_convert("UTC")
    return time.isoformat().removesuffix("T00:00:00")


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
        spelled = values.filter(pc.match_substring(values, "."))
        if pc.any(pc.match_substring_regex(spelled, "[eE]")).as_py():
            shortest = pa.array(map(ValueKind("number").text_of, spelled.to_pylist()))
        else:
            shortest = pc.replace_substring_regex(spelled, r"\.?0+$", "")
        return "number" if len(pc.unique(shortest)) == len(spelled) else "text"
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
