"""What a column of transactions is likely to stand for, by its name and its values."""

import re
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from fraud_ae.data.columns import BIRTH_DATE, IDENTIFIERS, SCENARIO
from fraud_ae.data.values.kinds import decide_kind, exact_texts
from fraud_ae.data.values.labels import USUAL, guess_meaning, label_word
from fraud_ae.data.values.numbers import are_numbers, as_number
from fraud_ae.data.values.times import are_times_of_day, as_time

_FORMATS = (
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d-%b-%Y",
    "%d%b%y:%H:%M:%S",
)
# The least number of a unit counted since 1970 in this century.
_SINCE_1970 = ((9e17, None), (9e14, "us"), (9e11, "ms"), (9e8, "s"))
# Canonical name -> what a column of it may be called; in the order in which they are given out.
ROLE_NAMES = {
    "is_fraud": r"fraud|chargeback|^class$|^label$|^target$|illicit|is_?bad",
    "timestamp": r"time|date|dt$|^step$|created|when|month",
    SCENARIO: r"scenario",
    "amount": r"amount|amt|^value$|price|^total|^sum",
    "transaction_id": r"transaction_?id|trans_?num|^id$|txn?_?id|order|payment_?id|uuid|^tx",
    "customer_id": (
        r"customer(?!.*(?:age|location|city|state|country|region|name|birth))|client|^user"
        r"|account(?!.*age)|card_?(?:id|num)|cc_num|nameorig|holder|buyer"
    ),
    "terminal_id": r"terminal|merchant|shop|store|seller|namedest|vendor_?id",
    BIRTH_DATE: r"birth(?!.*count)|^dob$",
    "customer_age": r"^(?:customer_?)?age$",
    "account_age_days": r"account_?age",
    "quantity": r"quantity|^qty$|^items$",
    "ip_address": r"^ip|ip_?addr",
    "shipping_address": r"ship",
    "billing_address": r"bill",
    "payment_method": r"payment|^type$|method|chip",
    "product_category": r"category|product|^mcc$",
    "device": r"device|^os$|browser",
    "customer_location": r"location|state|country|region|city",
}
_NUMBERS = ("amount", "customer_age", "account_age_days", "quantity")
# So many values are looked at, and a category has so many at the most.
FEW = 1_000


@dataclass(frozen=True)
class Column:
    """What a column holds. kind: see `ValueKind`. missing: share. example: its first values."""

    name: str
    kind: str
    missing: float
    distinct: int
    example: str

    @classmethod
    def of(cls, name: str, values: pd.Series) -> Self:
        texts, kind = exact_texts(values)[0], decide_kind(values)
        missing = texts.isna() | texts.str.strip().str.lower().isin([*kind.missing, ""])
        known = texts[~missing].drop_duplicates()
        example = ", ".join(known.head(3))
        return cls(name, kind.kind, float(missing.mean()), len(known), example)


def may_be(canonical: str, column: Column, values: pd.Series) -> bool:
    """Whether the values, (n,), of a column can be those of a canonical name."""
    if canonical == "is_fraud":
        words = {label_word(value) for value in values.dropna().unique()[:10]} - {""}
        return len(words) <= 4 and (words <= USUAL.keys() or guess_meaning(values) is not None)
    if canonical in _NUMBERS:
        return any(are_numbers(values, decimal) for decimal in ".,")
    if canonical == "transaction_id":
        return column.distinct == len(values) and column.missing == 0
    if canonical == "customer_id":
        return column.missing == 0
    if canonical == "timestamp":
        return column.missing == 0 and time_settings(values) is not None
    if canonical == BIRTH_DATE:
        return bool(as_time(values.head(FEW)).notna().any())
    # Only of identifiers may nearly every row have another one.
    return canonical in IDENTIFIERS or column.distinct <= 0.9 * len(values)


def plain_name(name: str) -> str:
    """A name of a column as the patterns of `ROLE_NAMES` expect it."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def distance(canonical: str, column: Column) -> tuple[bool, bool, int]:
    """The canonical name itself is best, then times that need no unit, then the shortest."""
    is_counted = canonical == "timestamp" and column.kind in ("whole number", "number")
    return plain_name(column.name) != canonical, is_counted, len(column.name)


def time_settings(values: pd.Series) -> dict[str, str] | None:
    """How the times of a column are written; None where it holds none."""
    sample = values.dropna().head(FEW)
    if are_times_of_day(sample) or as_time(sample).notna().all():
        return {}
    for time_format in _FORMATS:
        if as_time(sample, time_format=time_format).notna().all():
            return {"time_format": time_format}
    numbers = as_number(sample)
    if not np.isfinite(numbers).all() or (numbers < 0).any():
        return None
    for least, unit in _SINCE_1970:
        if numbers.min() >= least:
            return None if unit is None else {"time_unit": unit}
    whole = as_number(values)
    if (whole.diff().dropna() < 0).mean() > 0.01:
        return None
    return {"time_unit": "s" if whole.max() > 100_000 else "step"}
