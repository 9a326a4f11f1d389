"""Times as people write them: counted, in a format, in parts, in local time."""

import datetime as dt
import re
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fraud_ae.data.values.kinds import ValueKind, canonical_text, exact_text
from fraud_ae.data.values.numbers import as_number
from fraud_ae.errors import DataError

# Microseconds of a unit in which times are counted. A month is one of the calendar, and a step, of
# which only the order is known, counts as a day.
MICROSECONDS = {
    "us": 1.0,
    "ms": 1e3,
    "s": 1e6,
    "min": 60e6,
    "h": 3600e6,
    "d": 86400e6,
    "w": 7 * 86400e6,
    "step": 86400e6,
}
UNITS = (*MICROSECONDS, "month")
EARLIEST = pd.Timestamp("1900-01-01", tz="UTC")
LATEST = pd.Timestamp("2200-01-01", tz="UTC")
# So far ahead of the clock of this machine a time may be that has come to pass.
AHEAD = pd.Timedelta(days=1)
# A second between two days, which the clock of most machines does not know.
_LEAP_SECOND = re.compile(r":59:60(?!\d)")
_SECONDS = re.compile(r"%[-#]?[STXcsr]")
_TIME_OF_DAY = re.compile(r"\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*", re.ASCII)
# So many values show that a column has times of day.
_LOOKED_AT = 1_000

_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2}|\sUTC)\s*$"
_DIGITS = r"^\s*[+-]?[\d.]+\s*$"
# What a column of a part of a time may be called.
_ROLES = {
    "year": ("year", "yr", "yyyy"),
    "month": ("month", "mon"),
    "day": ("day", "dayofmonth", "dom"),
    "date": ("date", "dt"),
    "hour": ("hour", "hr"),
    "minute": ("minute", "min"),
    "second": ("second", "sec"),
    "time": ("time", "clock", "timeofday"),
}
_NUMBER = ValueKind("whole number")


def as_time(
    column: pd.Series,
    unit: str | None = None,
    origin: str = "1970-01-01",
    time_format: str | None = None,
    zone: str | None = None,
    ambiguous: str = "earlier",
) -> pd.Series:
    """Column as datetime64[us, UTC]; what cannot be read becomes NaT.

    unit: one of `UNITS`, for numbers counted from `origin`; time_format: strptime, for text. zone:
    of times that have none, UTC without it. ambiguous: which of the two hours, `earlier` or
    `later`, a time stands for that the clock showed twice; `refuse` makes it NaT, as is one that
    the clock never showed. A second 60 of a minute 59 is read as the second after it, the first of
    the next hour; any other is no time.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if pd.api.types.is_datetime64_any_dtype(column) or str(column.dtype).startswith("timestamp"):
        times = _in_utc(pd.to_datetime(column), zone, ambiguous)
    elif unit is not None:
        times = _counted(as_number(column), unit, counted_from(origin, zone))
    elif time_format is not None:
        texts, _ = canonical_text(column, ValueKind())
        times = _parsed(texts, time_format, zone, ambiguous)
    else:
        times = _of_iso(column, zone, ambiguous)
    times = times.astype("datetime64[us, UTC]")
    return times.where(times.between(EARLIEST, LATEST))


def is_shown_twice(times: pd.Series, zone: str) -> pd.Series:
    """Which times, UTC, stand in an hour that the clock of a zone shows twice: (n,) bool."""
    local = times.dt.tz_convert(zone).dt.tz_localize(None)
    early, late = (
        local.dt.tz_localize(zone, ambiguous=np.full(len(local), first), nonexistent="NaT")
        for first in (True, False)
    )
    return (early != late) & local.notna()


def present() -> pd.Timestamp:
    """The clock of this machine and a day: what is later has not come to pass yet."""
    return pd.Timestamp(time.time_ns(), unit="ns", tz="UTC").as_unit("us") + AHEAD


def newest(times: pd.Series) -> pd.Timestamp:
    """The last of some times that has come to pass; of times that all lie ahead, the last.

    times: (n,) in order. One wrong time, such as one of the year 2190, makes nothing old.
    """
    past = int(times.searchsorted(present(), side="right"))
    return times.iloc[past - 1] if past else times.iloc[-1]


def counted_from(origin: str, zone: str | None) -> pd.Timestamp:
    """The time from which units are counted, in UTC."""
    start = pd.Timestamp(origin)
    if start.tz is None:
        start = start.tz_localize(zone or "UTC")
    return start.tz_convert("UTC").as_unit("us")


def _counted(numbers: pd.Series, unit: str, start: pd.Timestamp) -> pd.Series:
    if unit == "month":
        months = numbers.where(np.isfinite(numbers) & (numbers % 1 == 0) & (numbers.abs() < 3600))
        distinct = {
            count: start + pd.DateOffset(months=int(count)) for count in months.dropna().unique()
        }
        return months.map(distinct).astype("datetime64[us, UTC]")
    microseconds = (numbers * MICROSECONDS[unit]).round()
    microseconds = microseconds.where(microseconds.abs() < 1e16)  # 300 years
    return start + microseconds.astype("Int64").astype("timedelta64[us]")


def _of_iso(column: pd.Series, zone: str | None, ambiguous: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        # Numbers would be read as nanoseconds since 1970, whatever they count.
        return pd.Series(pd.NaT, index=column.index, dtype="datetime64[us, UTC]")
    texts = _iso_texts(column)
    with_offset = texts.str.contains(_OFFSET)
    local = _parsed(texts.mask(with_offset), "ISO8601", zone, ambiguous)
    if not with_offset.any():
        return local
    return _parsed(texts.where(with_offset), "ISO8601", None, ambiguous).where(with_offset, local)


def _iso_texts(column: pd.Series) -> pd.Series:
    """The texts of a column of texts or dates; numbers, which may count anything, are missing."""
    if pd.api.types.is_object_dtype(column.dtype):
        column = column.map(_iso_text, na_action="ignore")
    texts = column.astype("str")
    return texts.mask(texts.str.match(_DIGITS))


def with_offsets(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Which values of a column are texts or dates, and which of them say how far from UTC they are.

    Both (n,) bool; all False for a column of one type of time, or of numbers.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    is_text = pd.api.types.is_object_dtype(column.dtype) or column.dtype == "str"
    if not is_text:
        return np.zeros((2, len(column)), dtype=bool)
    texts = _iso_texts(column)
    is_there = texts.notna() & texts.str.strip().ne("")
    return is_there.to_numpy(bool), texts.str.contains(_OFFSET, na=False).to_numpy(bool)


def _iso_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return exact_text(value) if isinstance(value, dt.date | np.datetime64) else None


def _parsed(texts: pd.Series, time_format: str, zone: str | None, ambiguous: str) -> pd.Series:
    # pandas takes these words for the present.
    texts = texts.mask(texts.isin(["now", "today"]))
    is_utc = zone is None or "%z" in time_format
    times = pd.to_datetime(texts, format=time_format, errors="coerce", utc=is_utc)
    if time_format != "ISO8601":
        # pandas reads a second 60, and 61, in any minute.
        times = times.mask(_beyond_a_minute(texts, times, time_format))
    elif times.isna().any():
        leaps = texts.where(times.isna()).str.contains(_LEAP_SECOND, na=False)
        if leaps.any():
            before = texts.where(leaps).str.replace(_LEAP_SECOND, ":59:59", regex=True)
            before = pd.to_datetime(before, format=time_format, errors="coerce", utc=is_utc)
            times = times.mask(leaps, before + pd.Timedelta(seconds=1))
    return _in_utc(times, zone, ambiguous)


def _beyond_a_minute(texts: pd.Series, times: pd.Series, time_format: str) -> pd.Series:
    """Which texts, read as some times, have a second that no minute has, a leap second aside."""
    beyond = pd.Series(False, index=texts.index)
    if not _SECONDS.search(time_format):
        return beyond
    may_be = times.dt.second.isin([0, 1]) & texts.str.contains("6[01]", na=False)
    for row, text in texts[may_be].items():
        try:
            read = time.strptime(text.strip(), time_format)
        except ValueError:  # pandas knows more than Python, and this is none of its seconds
            continue
        beyond[row] = read.tm_sec > 60 or (read.tm_sec == 60 and read.tm_min != 59)
    return beyond


def _in_utc(times: pd.Series, zone: str | None, ambiguous: str) -> pd.Series:
    if times.dt.tz is not None:
        return times.dt.tz_convert("UTC")
    if zone is None:
        return times.dt.tz_localize("UTC")
    rule = "NaT" if ambiguous == "refuse" else np.full(len(times), ambiguous == "earlier")
    return times.dt.tz_localize(zone, ambiguous=rule, nonexistent="NaT").dt.tz_convert("UTC")


def joined_time(columns: Sequence[pd.Series], time_format: str | None) -> pd.Series:
    """A time in several columns as one text: ISO 8601, or for a format.

    With a format the parts are joined by blanks. Without one they are a date and a time of day, or
    columns whose names say what they are: year, month, day, date, hour, minute, second, time.
    Raises DataError where they do not.
    """
    texts = [canonical_text(column, _NUMBER)[0] for column in columns]
    if time_format is not None:
        return texts[0].str.cat(texts[1:], sep=" ")
    roles = [role_of(str(column.name)) for column in columns]
    parts = dict(zip(roles, texts, strict=True))
    if {"year", "month", "day"} <= set(parts):
        month_and_day = [parts["month"].str.zfill(2), parts["day"].str.zfill(2)]
        day = parts["year"].str.zfill(4).str.cat(month_and_day, sep="-")
    elif "date" in parts:
        day = parts["date"]
    elif len(columns) == 2:
        return texts[0].str.cat(_clock({"time": texts[1]}), sep="T")
    else:
        names = ", ".join(str(column.name) for column in columns)
        raise DataError(
            f"data.columns.timestamp: nothing says how [{names}] make a time; name columns of "
            "year, month, day and time, or of date and time, or set data.time_format for them "
            'joined by blanks, such as "%Y %m %d %H:%M"'
        )
    return day.str.cat(_clock(parts), sep="T")


def are_times_of_day(values: pd.Series) -> bool:
    """Whether the values of a column, of which some are not missing, are text such as 13:45."""
    texts = values.dropna().head(_LOOKED_AT)
    is_clock = (isinstance(text, str) and _TIME_OF_DAY.fullmatch(text) for text in texts)
    return len(texts) > 0 and all(is_clock)


def role_of(name: str) -> str | None:
    """Which part of a time a column of a name holds: year, month, day, date, hour, ..."""
    plain = re.sub(r"[^a-z]", "", name.lower())
    for role, names in _ROLES.items():
        if plain in names or any(plain.endswith(word) for word in names if len(word) > 3):
            return role
    return None


def _clock(parts: dict[str | None, pd.Series]) -> pd.Series:
    """The time of day in ISO 8601; midnight where no part says."""
    if "time" in parts:
        return parts["time"].str.strip().str.replace(r"^(\d:)", r"0\1", regex=True)
    zero = pd.Series("0", index=next(iter(parts.values())).index, dtype="str")
    clock = [parts.get(role, zero).str.zfill(2) for role in ("hour", "minute", "second")]
    return clock[0].str.cat(clock[1:], sep=":")


def has_date(time_format: str) -> bool:
    """Whether a strptime format says on which day a time lies."""
    codes = set(re.findall(r"%(?:[-#])?([A-Za-z%])", time_format))
    day = {"d", "j"} & codes and ({"m", "b", "B", "j"} & codes)
    return bool(({"Y", "y", "G"} & codes and day) or {"c", "x"} & codes)
