import numpy as np
import pandas as pd
import pytest

from fraud_ae.features.customer_history import CustomerHistory, customer_histories, usual_hours

HOUR = 3_600_000_000


def transactions(customers: str, minutes: list[float], **columns: object) -> pd.DataFrame:
    """A row for each letter, which is its customer; minutes since an UTC midnight."""
    times = pd.Timestamp("2024-03-04", tz="UTC") + pd.to_timedelta(minutes, unit="min")
    frame = pd.DataFrame({"customer_id": pd.Series(list(customers), dtype="str")})
    amount = np.arange(1.0, len(frame) + 1)
    return frame.assign(timestamp=times.as_unit("us"), amount=amount, **columns)


def last(frame: pd.DataFrame) -> CustomerHistory:
    """The history of the last transaction."""
    (history,) = customer_histories(frame, np.array([len(frame) - 1]))
    return history


def test_earlier_transactions_are_those_of_the_same_customer_before():
    frame = transactions("abaabca", range(7))
    histories = list(customer_histories(frame, np.array([6, 0, 5, 3])))
    assert [history.earlier.tolist() for history in histories] == [[0, 2, 3], [], [], [0, 2]]
    assert [history.amount for history in histories] == [7.0, 1.0, 6.0, 4.0]
    assert str(histories[0].time) == "2024-03-04 00:06:00+00:00"
    for unknown in (frame.assign(customer_id=np.nan), frame.drop(columns="customer_id")):
        for history in customer_histories(unknown, np.arange(3)):
            assert len(history.earlier) == 0


def test_nothing_is_usual_for_a_customer_hardly_known():
    few = last(transactions("aaaaa", range(5), device="phone"))
    assert few.usual_amounts() is few.usual_gaps() is few.usual_hours() is None
    assert few.usual_category("device") is None


def test_what_is_usual_is_that_of_the_earlier_transactions_alone():
    devices = pd.Series([*["phone"] * 4, *["tablet"] * 3], dtype="str")
    history = last(transactions("aaaaaaa", [0, 60, 120, 180, 240, 300, 900], device=devices))
    assert history.usual_amounts() == pytest.approx(np.quantile([1, 2, 3, 4, 5, 6], (0.05, 0.95)))
    assert history.usual_gaps() == (3600, 3600)
    assert history.usual_category("device") == "phone"
    assert history.usual_category("city") is None
    assert history.value("device") == "tablet"
    assert history.value("city") is None
    # A value that half of them have is no habit.
    devices = pd.Series([*["phone"] * 3, *["tablet"] * 4], dtype="str")
    assert last(transactions("a" * 7, range(7), device=devices)).usual_category("device") is None


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ([0, 4, 9], (3, 600)),
        ([0, 5, 9, 9], (3, 600)),
        ([0, 4, 10], (3, 3600)),
        ([0, 8], None),
        ([0, 30, 60], None),
    ],
)
def test_a_burst_is_three_purchases_within_ten_minutes_or_an_hour(minutes, expected):
    assert last(transactions("a" * len(minutes), minutes)).burst() == expected


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([9, 10, 12, 13, 15, 16, 17, 18, 18, 3], (9, 18)),
        ([22, 23, 23, 0, 1, 1, 2, 3, 3, 13], (22, 3)),
        ([5], (5, 5)),
    ],
)
def test_usual_hours_are_the_shortest_stretch_that_holds_nine_of_ten(hours, expected):
    assert usual_hours(np.array(hours) * HOUR) == expected
