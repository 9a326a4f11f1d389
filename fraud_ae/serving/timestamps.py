"""Timestamps of a request, parsed as `fraud_ae.data.schema.as_time` parses those of a file."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import local_times, source_times
from fraud_ae.data.values.times import MICROSECONDS, as_time, counted_from, present

# What `datetime.fromisoformat` and pandas parse to the same value. Everything else goes through
# pandas, which takes a hundred times as long for a single value.
_ISO_8601 = re.compile(
    r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST = (datetime(1900, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_DAY = timedelta(days=1) // _MICROSECOND


class TimeReader:
    """Parses timestamps in ISO 8601 or in the format of the model's source files.

    newest: the latest timestamp of the data that the model was made of. A timestamp more than a day
    ahead of this machine's clock is rejected, unless it is within a year of `newest`: simulated
    data may lie in the future.
    """

    def __init__(self, source_format: SourceFormat, newest: datetime) -> None:
        self._format = source_format
        self._newest = (newest - _EPOCH) // _MICROSECOND
        start = counted_from(source_format.time_origin, source_format.time_zone)
        self._origin = (start.to_pydatetime() - _EPOCH) // _MICROSECOND

    def read(self, values: Sequence[tuple[Any, bool]]) -> list[int | None]:
        """Microseconds since 1970-01-01 UTC of n values, each with whether it is as in the files.

        The others are in ISO 8601. None stands for a value that is no time between 1900 and a day
        from now.
        """
        microseconds = [self._parse_fast(*value) for value in values]
        for by_source in (True, False):
            slow = [
                row
                for row, us in enumerate(microseconds)
                if us is None and values[row][1] == by_source
            ]
            parsed = self._parse_column([values[row][0] for row in slow], by_source) if slow else []
            for row, us in zip(slow, parsed, strict=True):
                microseconds[row] = us
        latest = max(present().value // 1000, self._newest + 365 * _DAY)
        return [us if us is not None and _EARLIEST <= us <= latest else None for us in microseconds]

    def clock_change(self, value: Any, by_source: bool) -> str | None:
        """Why a value that `read` does not take is no time where the clocks of a zone changed."""
        if not by_source or self._format.time_zone is None:
            return None
        column = pd.Series([value if isinstance(value, str) else None], dtype=object)
        _, wrong = local_times(column, source_times(column, self._format), self._format)
        return wrong.get(0)

    @property
    def rule(self) -> str:
        """The format of the source's timestamps, in words for error messages."""
        if len(self._format.sources("timestamp")) > 1:
            return "as in the files"
        if self._format.time_unit:
            return f"in {self._format.time_unit} since {self._format.time_origin}"
        if self._format.time_format:
            return f"as {self._format.time_format}"
        return "as 2024-01-31T13:45:00Z"

    def _parse_fast(self, value: Any, by_source: bool) -> int | None:
        if by_source and self._format.time_unit is not None:
            if (
                self._format.time_unit not in MICROSECONDS
                or not isinstance(value, int | float)
                or isinstance(value, bool)
                or not abs(value) < 1e15
            ):
                return None
            return self._origin + round(float(value) * MICROSECONDS[self._format.time_unit])
        if by_source and self._format.time_format is not None:
            return None
        if not isinstance(value, str) or not _ISO_8601.fullmatch(value):
            return None
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        if parsed.tzinfo is None:
            if by_source and self._format.time_zone is not None:
                return None
            parsed = parsed.replace(tzinfo=UTC)
        return (parsed - _EPOCH) // _MICROSECOND

    def _parse_column(self, values: list[Any], by_source: bool) -> list[int | None]:
        plain = [v if isinstance(v, str | int | float) else None for v in values]
        column = pd.Series(plain, dtype=object)
        times = source_times(column, self._format) if by_source else as_time(column)
        missing = times.isna().tolist()
        us = times.astype("int64").tolist()
        return [None if gone else value for value, gone in zip(us, missing, strict=True)]
