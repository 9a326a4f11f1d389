import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.split import split_by_time
from fraud_ae.errors import DataError


def hourly(days: int = 100) -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=24 * days, freq="h", tz="UTC", unit="us")
    frauds = (np.arange(len(times)) % 10 == 0).astype("int8")
    return pd.DataFrame({"timestamp": times, "is_fraud": frauds})


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def test_fractions_and_delay():
    df = hourly()
    split = split_by_time(df["timestamp"])

    assert split.train_start == utc("2024-01-01")
    assert split.train_end == utc("2024-03-01")  # 60 days later
    assert split.validation_start == utc("2024-03-08")
    assert split.validation_end == utc("2024-03-21")
    assert split.test_start == utc("2024-03-28")
    assert split.test(df)[-1]
    assert split.train(df).sum() == 60 * 24
    assert split.validation(df).sum() == 13 * 24
    assert split.test(df).sum() == 13 * 24
    assert split.before_test(df).sum() == 80 * 24


def test_parts_are_disjoint_leave_the_gaps_out_and_do_not_depend_on_the_order_of_rows():
    df = hourly().sample(frac=1, random_state=0)
    split = split_by_time(df["timestamp"], label_delay_days=2.5)
    assert split == split_by_time(df["timestamp"].sort_index(), label_delay_days=2.5)
    masks = np.stack([split.train(df), split.validation(df), split.test(df)])

    assert masks.dtype == bool
    assert masks.sum(axis=0).max() == 1
    assert (~masks.any(axis=0)).sum() == 2 * 60
    for earlier, later in ((0, 1), (1, 2)):
        gap = df["timestamp"][masks[later]].min() - df["timestamp"][masks[earlier]].max()
        assert gap > pd.Timedelta(days=2.5)


def test_no_delay_uses_every_row():
    df = hourly(2)
    split = split_by_time(df["timestamp"], (0.5, 0.25, 0.25), label_delay_days=0)
    sizes = [mask.sum() for mask in (split.train(df), split.validation(df), split.test(df))]
    assert sizes == [24, 12, 12]


def test_equal_times_stay_together():
    days = pd.date_range("2024-01-01", periods=10, tz="UTC")
    df = pd.DataFrame({"timestamp": days.repeat([1, 1, 1, 1, 1, 4, 4, 4, 2, 2])})
    split = split_by_time(df["timestamp"], label_delay_days=0)
    part = split.train(df) + 2 * split.validation(df) + 4 * split.test(df)
    assert (df.assign(part=part).groupby("timestamp")["part"].nunique() == 1).all()
    assert set(part) == {1, 2, 4}
    assert split.train(df).sum() == 13  # day 7 ends at 61.9 %, day 6 at 42.9 %


def test_describe():
    df = hourly()
    split = split_by_time(df["timestamp"])
    assert split.describe(df)["validation"] == {
        "rows": 312,
        "frauds": 31,
        "start": "2024-03-08T00:00:00+00:00",
        "end": "2024-03-21T00:00:00+00:00",
    }
    assert split.describe(df[["timestamp"]])["train"]["frauds"] is None


def test_dates_replace_fractions():
    dates = {
        "train_start": "2024-01-10",
        "train_end": "2024-02-01",
        "validation_start": "2024-02-20",
        "validation_end": "2024-03-01T12:00:00+02:00",
        "test_start": None,
        "test_end": "2024-03-20",
    }
    df = hourly()
    split = split_by_time(df["timestamp"], dates=dates)
    assert df["timestamp"][split.train(df)].min() == utc("2024-01-10")
    assert split.validation_start == utc("2024-02-20")
    assert split.validation_end == utc("2024-03-01 10:00")
    assert split.test_start == utc("2024-03-08 10:00")
    assert df["timestamp"][split.test(df)].max() == utc("2024-03-19 23:00")


def test_fractions_of_a_given_period():
    dates = {"train_start": "2024-01-11", "test_end": "2024-03-01", "train_end": None}
    split = split_by_time(hourly()["timestamp"], label_delay_days=0, dates=dates)
    assert split.train_end == utc("2024-02-10")  # 60 % of 50 days


def test_a_delay_that_leaves_no_room_by_shares_of_all_rows_gets_shares_of_what_is_left():
    frame = hourly(31)
    split = split_by_time(frame["timestamp"], label_delay_days=7)
    parts = [getattr(split, part)(frame).sum() for part in ("train", "validation", "test")]
    assert sum(parts) == pytest.approx(17 * 24, abs=48)
    assert [part / sum(parts) for part in parts] == pytest.approx([0.6, 0.2, 0.2], abs=0.02)
    assert split.validation_start - split.train_end == pd.Timedelta(days=7)
    assert split.test_start - split.validation_end == pd.Timedelta(days=7)


@pytest.mark.promise(15)
def test_three_rows_are_the_fewest():
    times = pd.Series(pd.date_range("2024-01-01", periods=3, tz="UTC"))
    thirds = (1 / 3, 1 / 3, 1 / 3)
    assert split_by_time(times, thirds, label_delay_days=0).train_end == utc("2024-01-02")
    for rows in (1, 2):
        with pytest.raises(DataError, match="data.split|no transactions in"):
            split_by_time(times[:rows], thirds, label_delay_days=0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dates": {"train_end": "2024-02-01"}}, "data.split.validation_end"),
        ({"dates": {"validation_end": "2024-02-01"}}, "data.split.train_end"),
        ({"dates": {"train_stop": "2024-02-01"}}, "unknown date train_stop"),
        ({"dates": {"train_start": "yesterday-ish"}}, "train_start: 'yesterday-ish' is not a date"),
        ({"dates": {"train_start": "2030-01-01"}}, "no transactions"),
        (
            {"dates": {"train_end": "2024-03-01", "validation_end": "2024-02-01"}},
            "must follow one another",
        ),
        (
            {
                "dates": {
                    "train_end": "2024-02-01",
                    "validation_start": "2024-02-03",
                    "validation_end": "2024-03-01",
                }
            },
            "labels of the train rows from 2024-01-27 00:00:00 to 2024-02-01 00:00:00 are not",
        ),
        ({"fractions": (0.6, 0.4)}, "data.split.fractions must be 3 positive numbers"),
        ({"fractions": (0.6, 0.3, 0.3)}, "data.split.fractions must be 3 positive numbers"),
        ({"fractions": (1.2, -0.4, 0.2)}, "data.split.fractions must be 3 positive numbers"),
        ({"fractions": ("a", 1, 2)}, "data.split.fractions must be 3 positive numbers"),
        ({"fractions": None}, "data.split.fractions must be 3 positive numbers"),
        ({"label_delay_days": -1}, "data.split.label_delay_days"),
        ({"label_delay_days": float("nan")}, "data.split.label_delay_days"),
        ({"label_delay_days": "week"}, "data.split.label_delay_days"),
        ({"label_delay_days": None}, "data.split.label_delay_days"),
    ],
)
def test_impossible_settings(settings, expected):
    with pytest.raises(DataError, match=expected):
        split_by_time(hourly()["timestamp"], **settings)


def test_empty_parts_say_what_to_change():
    with pytest.raises(DataError, match="no transactions"):
        split_by_time(hourly()["timestamp"][:0])
    with pytest.raises(
        DataError,
        match=r"in validation .*, test .*2024-01-01 00:00:00 to 2024-01-02 23:00:00 .* 7 days"
        r"(?s:.*)label_delay_days=0.*data.split.fractions=.*data.split.train_end=",
    ):
        split_by_time(hourly(2)["timestamp"])
