"""What the values of an id or a category are, and the one text that stands for each of them.

The same value is written in many ways: 325 is `325.0` in a CSV whose column has gaps, an integer in
Parquet, a `Decimal` from a database. The kind of a column is decided once, on the training data;
from then on it gives every value one text, whatever the file, frame or request it comes from.
"""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

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
_FLAGS = {"true": "true", "false": "false", "0": "false", "1": "true"}


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
