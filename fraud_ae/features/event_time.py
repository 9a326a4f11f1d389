"""When transactions happened, as integers that arithmetic cannot blur."""

import numpy as np
import pandas as pd

from fraud_ae.errors import DataError

DAY_US = 86_400_000_000


def microseconds(timestamp: pd.Series) -> np.ndarray:
    """Microseconds since 1970-01-01 UTC, int64 of shape (n,), never decreasing.

    Raises DataError if a timestamp is missing or earlier than the one before it.
    """
    instants = pd.DatetimeIndex(timestamp)
    if instants.hasnans:
        raise DataError(f"timestamp: {int(timestamp.isna().sum())} are missing; fill or drop them")
    us = instants.as_unit("us").asi8
    backwards = us[1:] < us[:-1]
    if backwards.any():
        row = int(backwards.argmax()) + 1
        raise DataError(
            f"timestamp: row {row} ({timestamp.iloc[row]}) is earlier than the row before it; "
            "sort the transactions by timestamp, stably"
        )
    return us


def days_to_microseconds(days: float) -> int:
    """A number of days, whole or not, in microseconds."""
    return round(days * DAY_US)
