"""Times of a request, read as `fraud_ae.data.schema.as_time` reads those of a file."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from fraud_ae.data.schema import MICROSECONDS, as_time
from fraud_ae.data.source_format import SourceFormat

# What Python and pandas read alike; anything else takes the way of whole columns, which takes a
# hundred times as long for a single value.
_USUAL = re.compile(
    r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST = (datetime(1900, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_DAY = timedelta(days=1) // _MICROSECOND


class TimeReader:
    """Reads times that have the canonical name, or that of the source and its format.

    newest: of the transactions that the model was made of. What lies more than a day ahead of this
    machine's clock comes from a wrong one, unless it is within a year of the newest: a simulation
    may lie in the future.
    """

    def __init__(self, source_format: SourceFormat, newest: datetime) -> None:
        self._format = source_format
        self._newest = (newest - _EPOCH) // _MICROSECOND
        origin = pd.to_datetime(source_format.time_origin, utc=True).to_pydatetime()
        self._origin = (origin - _EPOCH) // _MICROSECOND

    def read(self, values: Sequence[Any], by_source: bool) -> list[int | None]:
        """Microseconds since 1970-01-01 UTC, in the order of n values.

        by_source: whether they are as in the files of the source, ISO 8601 otherwise. None for what
        is no time from 1900 to a day from now.
        """
        found = [self._quickly(value, by_source) for value in values]
        left = [row for row, us in enumerate(found) if us is None]
        if left:
            for row, us in zip(
                left, self._at_once([values[r] for r in left], by_source), strict=True
            ):
                found[row] = us
        latest = max(time.time_ns() // 1000 + _DAY, self._newest + 365 * _DAY)
        return [us if us is not None and _EARLIEST <= us <= latest else None for us in found]

    @property
    def rule(self) -> str:
        """What a time of the source must be, in words."""
        if self._format.time_unit:
            return f"in {self._format.time_unit} since {self._format.time_origin}"
        if self._format.time_format:
            return f"as {self._format.time_format}"
        return "as 2024-01-31T13:45:00Z"

    def _quickly(self, value: Any, by_source: bool) -> int | None:
        if by_source and self._format.time_unit is not None:
            if (
                not isinstance(value, int | float)
                or isinstance(value, bool)
                or not abs(value) < 1e15
            ):
                return None
            return self._origin + round(float(value) * MICROSECONDS[self._format.time_unit])
        if by_source and self._format.time_format is not None:
            return None
        if not isinstance(value, str) or not _USUAL.fullmatch(value):
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND

    def _at_once(self, values: list[Any], by_source: bool) -> list[int | None]:
        plain = [v if isinstance(v, str | int | float) else None for v in values]
        column = pd.Series(plain, dtype=object)
        if by_source:
            unit, origin = self._format.time_unit, self._format.time_origin
            times = as_time(column, unit, origin, self._format.time_format)
        else:
            times = as_time(column)
        gone = times.isna().tolist()
        us = times.astype("int64").tolist()
        return [None if missing else one for one, missing in zip(us, gone, strict=True)]
