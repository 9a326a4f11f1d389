"""Hours that a clock showed twice or never, leap seconds, and times that have not come to pass."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fraud_ae.data.files.reading import read_table
from fraud_ae.data.input_schema import InputSchema
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import map_columns, to_transactions, training_transactions
from fraud_ae.data.values.times import as_time, newest, present
from fraud_ae.errors import DataError
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.transactions import TransactionReader

COLUMNS = {"transaction_id": "id", "customer_id": "user", "timestamp": "when", "amount": "amount"}
BERLIN = {"time_zone": "Europe/Berlin"}
GERMAN = {"time_format": "%d.%m.%Y %H:%M:%S"}
ROADS = ("csv", "parquet", "json", "frame", "request")
NEWEST = datetime(2024, 12, 31, tzinfo=UTC)


def format_of(**settings) -> SourceFormat:
    return SourceFormat({**COLUMNS, "is_fraud": None}, **settings)


def table(*times: str) -> pd.DataFrame:
    rows = range(len(times))
    return pd.DataFrame(
        {"id": [f"T{n}" for n in rows], "user": "C1", "when": list(times), "amount": 5.0}
    )


def read(road: str, tmp_path, source_format: SourceFormat, *times: str) -> list[str]:
    """Times as a road reads them, in order of the rows."""
    raw = table(*times)
    if road == "request":
        usual = to_transactions(
            table(f"{datetime(2024, 7, 1):{source_format.time_format or '%Y-%m-%d %H:%M'}}"),
            source_format,
        )
        schema = InputSchema.of(usual, source_format, ())
        reader = TransactionReader(schema, source_format, NEWEST)
        rows = reader.read(json.loads(raw.to_json(orient="records")), is_list=True)
        read_times = pd.to_datetime([row["timestamp"] for row in rows], unit="us", utc=True)
        return [time.isoformat() for time in read_times]
    path = tmp_path / f"table.{road}"
    if road == "csv":
        raw.to_csv(path, index=False)
    elif road == "parquet":
        raw.to_parquet(path)
    elif road == "json":
        raw.to_json(path, orient="records", lines=True)
    if road != "frame":
        raw = read_table(path, source_format)
    mapped = map_columns(raw, source_format, labelled=False)
    return [time.isoformat() for time in mapped["timestamp"]]


@pytest.mark.promise("C18")
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("settings", "written", "expected"),
    [
        (BERLIN, "2024-10-27 02:30:00", "2024-10-27T00:30:00+00:00"),
        (BERLIN | {"ambiguous_times": "later"}, "2024-10-27 02:30:00", "2024-10-27T01:30:00+00:00"),
        (BERLIN, "2024-10-27T02:30:00+01:00", "2024-10-27T01:30:00+00:00"),
        (BERLIN | GERMAN, "27.10.2024 02:30:00", "2024-10-27T00:30:00+00:00"),
        ({}, "2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ({}, "2016-12-31 23:59:60.250", "2017-01-01T00:00:00.250000+00:00"),
        ({}, "2017-01-01T08:59:60+09:00", "2017-01-01T00:00:00+00:00"),
        (BERLIN, "2017-01-01 00:59:60", "2017-01-01T00:00:00+00:00"),
        (GERMAN, "31.12.2016 23:59:60", "2017-01-01T00:00:00+00:00"),
    ],
)
def test_a_time_is_the_same_on_every_road(road, tmp_path, settings, written, expected):
    assert read(road, tmp_path, format_of(**settings), written) == [expected]


@pytest.mark.promise("C18")
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("settings", "written", "reason"),
    [
        (BERLIN, "2024-03-31 02:30:00", "the clocks of Europe/Berlin went forward over it"),
        (BERLIN | GERMAN, "31.03.2024 02:30:00", "the clocks of Europe/Berlin went forward"),
        (
            BERLIN | {"ambiguous_times": "refuse"},
            "2024-10-27 02:30:00",
            "the clocks of Europe/Berlin showed it twice; give it with its offset from UTC, or",
        ),
        ({}, "2016-12-31T12:34:60Z", "must be a time"),
        ({}, "2016-12-31T23:59:61Z", "must be a time"),
        (GERMAN, "31.12.2016 12:34:60", "must be a time"),
        (GERMAN, "31.12.2016 23:59:61", "must be a time"),
    ],
)
def test_what_is_no_certain_time_is_refused_in_one_line_with_its_row(
    road, tmp_path, settings, written, reason
):
    source_format = format_of(**settings)
    usual = f"{datetime(2024, 7, 1, 12):{source_format.time_format or '%Y-%m-%d %H:%M:%S'}}"
    usual += "Z" * written.endswith("Z")
    if road == "request":
        with pytest.raises(RequestRefused, match=r"^1\.timestamp: ") as refused:
            read(road, tmp_path, source_format, usual, written)
        assert (refused.value.status, refused.value.field) == (422, "1.timestamp")
        line = refused.value.error
    else:
        with pytest.raises(DataError) as error:
            read(road, tmp_path, source_format, usual, written, usual)
        (line,) = str(error.value).splitlines()[1:]
        assert f"timestamp: 1 bad value: row 1 (transaction T1) is '{written}'; " in line
    assert reason in line


def test_times_that_were_shown_twice_are_told_in_one_line(caplog):
    times = ("2024-10-27 01:59", "2024-10-27 02:15", "2024-10-27 02:15+01:00", "2024-10-27 02:45")
    training_transactions(table(*times), format_of(**BERLIN))
    (message,) = caplog.messages
    assert message == (
        "when: 2 of the times lie in an hour that the clocks of Europe/Berlin showed twice, the "
        "first in row 1: 2024-10-27 02:15; each is read as the earlier one (data.ambiguous_times)"
    )


def test_across_a_change_of_the_clock_elapsed_time_counts():
    """Two hours by the clock are one hour in spring, and three in autumn."""
    spring = as_time(pd.Series(["2024-03-31 01:30", "2024-03-31 03:30"]), zone="Europe/Berlin")
    autumn = as_time(pd.Series(["2024-10-27 01:30", "2024-10-27 03:30"]), zone="Europe/Berlin")
    assert [times.diff()[1] for times in (spring, autumn)] == [
        pd.Timedelta(hours=1),
        pd.Timedelta(hours=3),
    ]


@pytest.mark.parametrize("function", [training_transactions, to_transactions])
def test_times_ahead_of_the_clock_are_told_in_one_line_and_taken(function, caplog):
    soon = f"{datetime.now(UTC) + timedelta(hours=20):%Y-%m-%dT%H:%M:%SZ}"
    raw = table("2024-01-01T00:00:00Z", "2190-05-01T10:00:00Z", soon, "2190-04-01T00:00:00Z")
    with caplog.at_level(logging.WARNING, "fraud_ae"):
        function(raw, format_of())
    assert caplog.messages == [
        "timestamp: 2 of 4 times lie more than a day ahead of the clock of this machine, the first "
        "in row 1: 2190-05-01 10:00:00; they are taken as they are"
    ]


def test_the_newest_time_is_one_that_has_come_to_pass():
    times = as_time(pd.Series(["2024-01-01", "2024-01-05", "2190-01-01"]))
    assert newest(times).isoformat() == "2024-01-05T00:00:00+00:00"
    assert newest(times[2:]).year == 2190
    assert timedelta(hours=23) < present() - datetime.now(UTC) < timedelta(hours=25)
