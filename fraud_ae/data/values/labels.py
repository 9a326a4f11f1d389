"""Labels as people write them: which value means fraud, which does not, which says nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fraud_ae.data.values.kinds import MISSING_WORDS, ValueKind, Wrong, canonical_text

_FRAUD = (
    "1",
    "true",
    "yes",
    "y",
    "t",
    "fraud",
    "fraudulent",
    "illicit",
    "bad",
    "positive",
    "chargeback",
)
_NORMAL = (
    "0",
    "false",
    "no",
    "n",
    "f",
    "legit",
    "legitimate",
    "licit",
    "genuine",
    "normal",
    "good",
    "negative",
    "not fraud",
    "non-fraud",
    "nonfraud",
    "non fraud",
    "not_fraud",
    "non_fraud",
    "valid",
    "ok",
    "clean",
)
_UNKNOWN = ("unknown", "unlabelled", "unlabeled", "pending", "?")
USUAL: Mapping[str, float] = {
    **dict.fromkeys(_FRAUD, 1.0),
    **dict.fromkeys(_NORMAL, 0.0),
    **dict.fromkeys(_UNKNOWN, np.nan),
}
_PLAIN = ValueKind("whole number", tuple(sorted(MISSING_WORDS)))


def label_word(value: Any) -> str:
    """How a value of a label is looked up: lower case, whole numbers without a point."""
    try:
        return (_PLAIN.text(value) or "").strip().lower()
    except ValueError:
        return str(value)


def as_label(column: pd.Series, meaning: Mapping[str, float | None] | None = None) -> pd.Series:
    """Column as float64: 1 fraud, 0 none, NaN where nothing is said; infinite where it is no label.

    meaning: `label_word` of a value -> 1, 0 or None; the usual words without it.
    """
    words, wrong = _label_words(column)
    known = USUAL if meaning is None else {label_word(key): value for key, value in meaning.items()}
    values = {key: np.nan if value is None else float(value) for key, value in known.items()}
    labels = words.map(values).astype("float64").mask(words.notna() & ~words.isin([*known]), np.inf)
    labels.iloc[list(wrong)] = np.inf
    return labels


def _label_words(column: pd.Series) -> tuple[pd.Series, Wrong]:
    texts, wrong = canonical_text(column, _PLAIN)
    return texts.str.strip().str.lower(), wrong


def guess_meaning(column: pd.Series) -> dict[str, float | None] | None:
    """What the values of a label mean: `label_word` of each -> 1, 0 or None for not labelled.

    None where all are 0, 1, true or false, which need no meaning, and where it cannot be said.
    """
    counts = _label_words(column)[0].value_counts()
    words = list(counts.index)
    if set(words) <= {"0", "1", "true", "false"}:
        return None
    labels = [word for word in words if word not in _UNKNOWN]
    if set(labels) == {"1", "2"} and counts["1"] != counts["2"]:
        # The rarer one, as in Elliptic's licit (2) and illicit (1) transactions.
        rare, usual = ("1", "2") if counts["1"] < counts["2"] else ("2", "1")
        meaning = {rare: 1.0, usual: 0.0}
    elif all(word in USUAL for word in labels):
        meaning = {word: USUAL[word] for word in labels}
    else:
        return None
    return meaning | {word: None for word in words if word in _UNKNOWN}
