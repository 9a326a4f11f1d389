"""Times as people write them."""

import pandas as pd
import pytest

from fraud_ae.data.values.times import as_time, has_date, joined_time
from fraud_ae.errors import DataError


def first(*arguments, **settings) -> str:
    return as_time(pd.Series(list(arguments)), **settings).iloc[0].isoformat()


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("count", "unit", "time"),
    [
        (0.5, "s", "2024-01-01T00:00:00.500000+00:00"),
        (86_400_000, "ms", "2024-01-02T00:00:00+00:00"),
        (864e8, "us", "2024-01-02T00:00:00+00:00"),
        (36, "h", "2024-01-02T12:00:00+00:00"),
        (1.5, "d", "2024-01-02T12:00:00+00:00"),
        (2, "w", "2024-01-15T00:00:00+00:00"),
        (13, "month", "2025-02-01T00:00:00+00:00"),
        ("3", "step", "2024-01-04T00:00:00+00:00"),
    ],
)
def test_counted_times(count, unit, time):
    assert first(count, unit=unit, origin="2024-01-01") == time


@pytest.mark.promise(6)
def test_local_times_have_a_zone_and_a_rule_for_the_hour_that_comes_twice():
    berlin = {"zone": "Europe/Berlin"}
    assert first("2024-07-01 12:00", **berlin) == "2024-07-01T10:00:00+00:00"
    assert first("2024-10-27 02:30", **berlin) == "2024-10-27T00:30:00+00:00"
    assert first("2024-10-27 02:30", ambiguous="later", **berlin) == "2024-10-27T01:30:00+00:00"
    assert as_time(pd.Series(["2024-10-27 02:30"]), ambiguous="refuse", **berlin).isna().all()
    assert as_time(pd.Series(["2024-03-31 02:30"]), **berlin).isna().all()
    assert first("2024-07-01T12:00Z", **berlin) == "2024-07-01T12:00:00+00:00"


@pytest.mark.promise(6)
def test_a_time_of_several_columns():
    frame = pd.DataFrame(
        {"Year": ["2018", 2019.0], "Month": ["1", 12], "Day": [2, "3"], "Time": ["06:21", "7:05"]}
    )
    times = as_time(joined_time([frame[name] for name in frame], None))
    assert times.dt.strftime("%Y-%m-%d %H:%M").tolist() == ["2018-01-02 06:21", "2019-12-03 07:05"]
    parts = [frame["Day"], frame["Month"], frame["Year"]]
    by_format = as_time(joined_time(parts, "%d %m %Y"), time_format="%d %m %Y")
    assert by_format.dt.strftime("%Y-%m-%d").tolist() == ["2018-01-02", "2019-12-03"]
    with pytest.raises(DataError, match="nothing says how"):
        joined_time([frame["Year"], frame["Month"], frame["Time"]], None)


@pytest.mark.parametrize(
    ("time_format", "expected"),
    [("%H:%M", False), ("%d.%m.%Y", True), ("%Y-%j", True), ("%Y-%m", False), ("%c", True)],
)
def test_a_format_has_a_date_or_not(time_format, expected):
    assert has_date(time_format) == expected


@pytest.mark.parametrize("settings", [{}, {"time_format": "%Y-%m-%d"}])
def test_words_for_the_present_are_no_times(settings):
    times = as_time(pd.Series(["now", "today", "2024-01-01"]), **settings)
    assert times.isna().tolist() == [True, True, False]
