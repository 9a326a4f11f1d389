"""Chronological split into train, validation and test, with the delay until labels are known."""

import bisect
import functools
import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraud_ae.errors import DataError

PARTS = ("train", "validation", "test")
BOUNDARIES = tuple(f"{part}_{side}" for part in PARTS for side in ("start", "end"))

_INSTANT = pd.Timedelta(1, unit="us")
_SECONDS = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Split:
    """Boundaries in time, UTC; every part is a half-open interval [start, end).

    label_delay_days: how long after its transaction a label becomes known.
    """

    train_start: pd.Timestamp
    train_end: pd.Timestamp
    validation_start: pd.Timestamp
    validation_end: pd.Timestamp
    test_start: pd.Timestamp
    test_end: pd.Timestamp
    label_delay_days: float

    def train(self, df: pd.DataFrame) -> np.ndarray:
        """Mask of the training rows of `df`: bool, shape (n,)."""
        return self._part(df, "train")

    def validation(self, df: pd.DataFrame) -> np.ndarray:
        """Mask of the validation rows of `df`: bool, shape (n,)."""
        return self._part(df, "validation")

    def test(self, df: pd.DataFrame) -> np.ndarray:
        """Mask of the test rows of `df`: bool, shape (n,)."""
        return self._part(df, "test")

    def before_test(self, df: pd.DataFrame) -> np.ndarray:
        """Mask of all rows of `df` before the end of validation: bool, shape (n,)."""
        return (df["timestamp"] < self.validation_end).to_numpy(bool)

    def describe(self, df: pd.DataFrame, parts: Sequence[str] = PARTS) -> dict[str, dict]:
        """Rows, frauds (None without labels) and boundaries (ISO text, UTC) of each part."""
        described = {}
        for part in parts:
            mask = self._part(df, part)
            start, end = self.interval(part)
            described[part] = {
                "rows": int(mask.sum()),
                "frauds": int((df["is_fraud"][mask] == 1).sum()) if "is_fraud" in df else None,
                "start": start.isoformat(),
                "end": end.isoformat(),
            }
        return described

    def interval(self, part: str) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Start and end of a part."""
        return getattr(self, f"{part}_start"), getattr(self, f"{part}_end")

    def _part(self, df: pd.DataFrame, part: str) -> np.ndarray:
        start, end = self.interval(part)
        return df["timestamp"].between(start, end, inclusive="left").to_numpy(bool)


def split_by_time(
    timestamps,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    label_delay_days: float = 7.0,
    dates: Mapping[str, str | None] | None = None,
) -> Split:
    """Split times, shape (n,), UTC, in any order, by shares of the rows or by dates.

    `dates`: any of the six boundaries as ISO text; an end given as a day excludes that day.
    Raises DataError for impossible settings and for empty parts.
    """
    times = pd.DatetimeIndex(pd.to_datetime(timestamps, utc=True)).as_unit("us").sort_values()
    if len(times) == 0:
        raise DataError("split: there are no transactions to split")
    if times.hasnans:
        raise DataError("split: some transactions have no timestamp")
    given = _given_dates(dates or {})
    shares = _checked_fractions(fractions)
    delay = _delay(label_delay_days)
    start = given.get("train_start", times[0])
    end = given.get("test_end", times[-1] + _INSTANT)
    if "train_end" not in given:
        within = times[(times >= start) & (times < end)]
        given |= _ends_by_fractions(within, shares)
        if not {"validation_start", "test_start"} & set(given):
            given |= _ends_with_room(within, shares, delay, given)
    train_end, validation_end = given["train_end"], given["validation_end"]
    split = Split(
        train_start=start,
        train_end=train_end,
        validation_start=given.get("validation_start", train_end + delay),
        validation_end=validation_end,
        test_start=given.get("test_start", validation_end + delay),
        test_end=end,
        label_delay_days=delay / pd.Timedelta(days=1),
    )
    _check_order(split)
    _check_delay(split, delay)
    _check_parts(split, times)
    return split


def _checked_fractions(fractions: Sequence[float]) -> list[float]:
    try:
        shares = [float(share) for share in fractions]
    except (TypeError, ValueError):
        shares = []
    if len(shares) != 3 or min(shares) <= 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise DataError(
            "data.split.fractions must be 3 positive numbers (train, validation, test) that sum "
            f"to 1, such as [0.6,0.2,0.2]; got {fractions}"
        )
    return shares


def _delay(label_delay_days: float) -> pd.Timedelta:
    try:
        days = float(label_delay_days)
        if not 0 <= days <= 36_500:
            raise ValueError
    except (TypeError, ValueError):
        raise DataError(
            "data.split.label_delay_days must be a number of days from 0 to 36500; "
            f"got {label_delay_days!r}"
        ) from None
    return pd.Timedelta(round(days * 86_400_000_000), unit="us")


def _given_dates(dates: Mapping[str, str | None]) -> dict[str, pd.Timestamp]:
    if unknown := [name for name in dates if name not in BOUNDARIES]:
        plural = "s" if len(unknown) > 1 else ""
        known = ", ".join(BOUNDARIES)
        raise DataError(f"data.split: unknown date{plural} {', '.join(unknown)}; known are {known}")
    given = {name: _moment(name, text) for name, text in dates.items() if text is not None}
    if ("train_end" in given) != ("validation_end" in given):
        lacking = "validation_end" if "train_end" in given else "train_end"
        raise DataError(
            "data.split: train_end and validation_end must be given together; "
            f"set data.split.{lacking}=DATE too"
        )
    return given


def _moment(name: str, text) -> pd.Timestamp:
    try:
        moment = pd.Timestamp(str(text))
    except ValueError:
        moment = pd.NaT
    if moment is pd.NaT:
        raise DataError(f"data.split.{name}: {text!r} is not a date such as 2018-07-25")
    utc = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
    return utc.as_unit("us")


def _ends_by_fractions(times: pd.DatetimeIndex, shares: list[float]) -> dict[str, pd.Timestamp]:
    if len(times) == 0:
        raise DataError(
            "split: no transactions lie between data.split.train_start and data.split.test_end"
        )
    # An end is the time of the first row beyond the share: rows of equal time stay together.
    rows = [round(share * len(times)) for share in (shares[0], shares[0] + shares[1])]
    ends = [times[min(row, len(times) - 1)] for row in rows]
    return dict(zip(("train_end", "validation_end"), ends, strict=True))


def _ends_with_room(
    times: pd.DatetimeIndex, shares: list[float], delay: pd.Timedelta, ends: dict
) -> dict[str, pd.Timestamp]:
    """Ends that leave rows in every part where those by shares of all rows do not.

    The rows in the gaps of the delay are in no part: the shares are those of the rows that are
    left. Nothing where there is no need, or no room.
    """
    last = len(times)

    def cut(usable: int) -> tuple[int, int, int]:
        train = round(shares[0] * usable)
        start = times.searchsorted(times[min(train, last - 1)] + delay)
        validation = start + round(shares[1] * usable)
        test = times.searchsorted(times[min(validation, last - 1)] + delay)
        return train, validation, last - test

    starts = {name: times.searchsorted(ends[f"{name}_end"] + delay) for name in PARTS[:2]}
    if starts["train"] < times.searchsorted(ends["validation_end"]) and starts["validation"] < last:
        return {}
    # The more rows are used, the fewer are left for the test part.
    usable = bisect.bisect_left(
        range(last), True, key=lambda rows: cut(rows)[2] < shares[2] * rows or cut(rows)[1] >= last
    )
    train, validation, test = cut(max(usable - 1, 0))
    if usable < 2 or not 0 < train < validation < last or not test:
        return {}
    _warn_once(
        f"data.split: a label delay of {delay / pd.Timedelta(days=1):g} days leaves "
        f"{(usable - 1) / last:.0%} of the rows for training, validation and test; the fractions "
        "are those of these rows"
    )
    return {"train_end": times[train], "validation_end": times[validation]}


@functools.cache
def _warn_once(message: str) -> None:
    logging.getLogger("fraud_ae").warning(message)


def _check_order(split: Split) -> None:
    if not split.train_start < split.train_end <= split.validation_end <= split.test_end:
        names = ("train_start", "train_end", "validation_end", "test_end")
        shown = ", ".join(f"{name}={getattr(split, name):{_SECONDS}}" for name in names)
        raise DataError(f"data.split: these must follow one another in time: {shown}")


def _check_delay(split: Split, delay: pd.Timedelta) -> None:
    problems = []
    for earlier, later in itertools.pairwise(PARTS):
        end, start = split.interval(earlier)[1], split.interval(later)[0]
        if start < end + delay:
            problems.append(
                f"data.split.{later}_start={start:{_SECONDS}} is too early: with a label delay of "
                f"{split.label_delay_days:g} days the labels of the {earlier} rows from "
                f"{start - delay:{_SECONDS}} to {end:{_SECONDS}} are not known yet; the earliest "
                f"start is {end + delay:{_SECONDS}} (or lower data.split.label_delay_days)"
            )
    if problems:
        raise DataError("\n".join(problems))


def _check_parts(split: Split, times: pd.DatetimeIndex) -> None:
    empty = []
    for part in PARTS:
        start, end = split.interval(part)
        if times.searchsorted(start) >= times.searchsorted(end):
            empty.append(f"{part} ({start:{_SECONDS}} to {end:{_SECONDS}})")
    if empty:
        first, last = times[0], times[-1]
        raise DataError(
            f"split: no transactions in {', '.join(empty)}. The data go from {first:{_SECONDS}} to "
            f"{last:{_SECONDS}} ({(last - first) / pd.Timedelta(days=1):.1f} days), the label "
            f"delay is {split.label_delay_days:g} days.\n"
            "Shorten the delay (data.split.label_delay_days=0), change the shares "
            "(data.split.fractions=[0.6,0.2,0.2]) or set dates (data.split.train_end=DATE "
            "and data.split.validation_end=DATE)."
        )
