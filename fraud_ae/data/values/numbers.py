"""Numbers as people write them: currency signs, separators of thousands and decimals, brackets."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
import polars as pl

from fraud_ae.data.values.kinds import MISSING_WORDS, missing_numbers
from fraud_ae.errors import DataError

# A currency's sign, or its code such as EUR, stands before or behind the digits.
_CURRENCY = re.compile(
    r"^(?:US\$|[A-Z]{3}|[$€£¥₹₽₩₺₴₦฿₫₪¢])|(?:US\$|[A-Z]{3}|[$€£¥₹₽₩₺₴₦฿₫₪¢]|kr|zł|Kč)$"
)
_SPACES = re.compile(r"[\s\u00a0\u202f'’]")
_DIGITS = re.compile(r"\+?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_GROUPED = {
    ".": re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII),
    ",": re.compile(r"\d{1,3}(?:\.\d{3})+(?:,\d*)?", re.ASCII),
}
_THOUSANDS = {".": ",", ",": "."}
# 1,234.5 can only be of one kind, 12,5 of the other; 1,234 may be of both.
_POINT_ONLY = r"\d,\d{3}\.\d|\d,\d{3},\d{3}|^[^,]*\d\.\d{1,2}\D*$|^[^,]*\d\.\d{4,}\D*$"
_COMMA_ONLY = r"\d\.\d{3},\d|\d\.\d{3}\.\d{3}|^[^.]*\d,\d{1,2}\D*$|^[^.]*\d,\d{4,}\D*$"
# So many values show whether a column holds numbers.
_LOOKED_AT = 1_000
_EITHER = r"^\D*\d{1,3},\d{3}\D*$"


def as_number(
    column: pd.Series, decimal: str = ".", missing: frozenset = MISSING_WORDS
) -> pd.Series:
    """Column of any type as float64: NaN where it is missing, infinite where it is no number.

    decimal: `.` or `,`, what stands before the decimals in text. missing: words (lower case) that
    stand for a missing value. A float of 32 bits is the decimal number that it shows, as in a CSV.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = as_number(pd.Series(column.cat.categories), decimal, missing)
        values = categories.reindex(column.cat.codes).to_numpy()
    elif pd.api.types.is_datetime64_any_dtype(column) or column.dtype.kind in "mc":
        values = np.where(column.isna(), np.nan, np.inf)
    elif pd.api.types.is_numeric_dtype(column.dtype):
        values = _of_numbers(column)
    elif pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        values = _of_text(column, decimal, missing)
    else:
        numbers = [_of_object(value, decimal, missing) for value in column]
        values = np.where(column.isna(), np.nan, numbers)
    if stand_ins := missing_numbers(missing):
        values = np.where(np.isin(values, stand_ins), np.nan, values)
    return pd.Series(values, index=column.index, name=column.name)


def _of_numbers(column: pd.Series) -> np.ndarray:
    dtype = getattr(column.dtype, "numpy_dtype", column.dtype)
    if dtype.kind == "f" and dtype.itemsize < 8:
        single = column.to_numpy(np.float32, na_value=np.nan)
        return pl.Series(single).cast(pl.String).cast(pl.Float64).to_numpy()
    return column.to_numpy(np.float64, na_value=np.nan)


def _of_object(value: object, decimal: str, missing: frozenset) -> float:
    if isinstance(value, str):
        return _read(value, decimal, missing)
    try:
        return float(value) if not isinstance(value, complex) else np.inf
    except (TypeError, ValueError, OverflowError):
        return np.inf


def _of_text(column: pd.Series, decimal: str, missing: frozenset) -> np.ndarray:
    texts = pl.from_pandas(column.astype("str")).cast(pl.String)
    nothing = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(texts))
    numbers = texts.cast(pl.Float64, strict=False) if decimal == "." else nothing
    values = numbers.fill_null(np.nan).to_numpy().copy()
    odd = np.flatnonzero(~np.isfinite(values) & texts.is_not_null().to_numpy())
    codes, distinct = pd.factorize(texts.gather(odd).to_numpy())
    values[odd] = np.array([_read(text, decimal, missing) for text in distinct])[codes]
    return values


def _read(text: str, decimal: str, missing: frozenset) -> float:
    word = text.strip()
    if not word or word.lower() in missing:
        return np.nan
    word, sign = _without_sign(word)
    word = _SPACES.sub("", _CURRENCY.sub("", word).strip())
    if sign == 1.0:
        word, sign = _without_sign(word)
    word = _SPACES.sub("", _CURRENCY.sub("", word))
    if _GROUPED[decimal].fullmatch(word):
        word = word.replace(_THOUSANDS[decimal], "")
    elif decimal == "," and "." in word:
        return np.inf
    word = word.replace(decimal, ".")
    number = float(word) if _DIGITS.fullmatch(word) else np.inf
    return sign * number if np.isfinite(number) else np.inf


def _without_sign(word: str) -> tuple[str, float]:
    """A number without its minus, which may stand behind it or be a pair of brackets."""
    if word.startswith("(") and word.endswith(")"):
        return word[1:-1].strip(), -1.0
    for minus in "-\u2212":
        if word.startswith(minus):
            return word[1:].strip(), -1.0
        if word.endswith(minus):
            return word[:-1].strip(), -1.0
    return word, 1.0


def are_numbers(column: pd.Series, decimal: str = ".") -> bool:
    """Whether the first values of a column, of which some are not missing, are finite numbers."""
    numbers = as_number(column.head(_LOOKED_AT), decimal).dropna()
    return len(numbers) > 0 and bool(np.isfinite(numbers).all())


def guess_decimal(columns: Mapping[str, pd.Series]) -> str:
    """What stands before the decimals in the numbers of some columns: `.` or `,`.

    columns: by name, of any type; only text says anything. Raises DataError where one column shows
    a point and another value a comma, or where 1,234 may mean both and nothing else decides.
    """
    point, comma, either = "", "", ""
    for name, column in columns.items():
        if pd.api.types.is_numeric_dtype(column.dtype) or column.dtype.kind == "M":
            continue
        column = column.dropna()
        if pd.api.types.is_object_dtype(column.dtype):
            # Bytes need not be text at all.
            column = column[[isinstance(value, str) for value in column]]
        texts = pl.from_pandas(column.astype("str")).cast(pl.String)
        if not texts.str.contains(",", literal=True).any():
            continue
        texts = texts.unique(maintain_order=True)
        point = point or _first(name, texts, _POINT_ONLY)
        comma = comma or _first(name, texts, _COMMA_ONLY)
        either = either or _first(name, texts, _EITHER)
    if point and comma:
        raise DataError(f"data.decimal: {point} has a point before the decimals, {comma} a comma")
    if either and not point and not comma:
        raise DataError(
            f"data.decimal: {either} may be a thousand or have three decimals; set data.decimal=. "
            'or data.decimal=","'
        )
    return "," if comma else "."


def _first(name: str, texts: pl.Series, pattern: str) -> str:
    matching = texts.filter(texts.str.contains(pattern))
    return f"{name}={matching[0]!r}" if len(matching) else ""
