import copy
import re

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.simulation.synthetic import generate_transactions
from fraud_ae.features import (
    Baseline,
    Behavioural,
    Combined,
    DemographicRisk,
    Temporal,
    compute_features,
    fit_strategy,
)
from fraud_ae.features.customer_history import CustomerHistory, customer_histories
from fraud_ae.features.descriptions import (
    DescribedFeature,
    descriptions_of,
    duration,
    money,
    ordinal,
    percent,
    subject_of,
    times,
)

TEMPORAL = Temporal()
TEMPORAL.usual_hours_ = (8.0, 22.0)
BUILT_IN = Combined({"t": TEMPORAL, "b": Behavioural((0.007, 1, 7, 30)), "d": DemographicRisk()})
SHARES = {"0": 0.96, "1": 0.04}
USUAL = {"amount": [12.3, 180.4], "account_age_days": [40.0, 1825.0]}


def describe(
    name: str,
    value: object,
    usual: object,
    others: dict | None = None,
    history: CustomerHistory | None = None,
    strategy: object = BUILT_IN,
) -> str:
    """Subject, value and what is usual of a feature, as a strategy describes it.

    usual: of the feature. others: values of other features.
    """
    subject, parts, describe_feature = subject_of(name, descriptions_of(strategy))
    values, all_usual = {**(others or {}), name: value}, {**USUAL, name: usual}
    feature = DescribedFeature(name, parts, values, all_usual, history)
    return "{}: {}; {}".format(subject, *describe_feature(feature))


def at(hour: float) -> dict[str, float]:
    angle = 2 * np.pi * hour / 24
    return {"hour_sin": np.sin(angle), "hour_cos": np.cos(angle)}


def on(day: int) -> dict[str, float]:
    angle = 2 * np.pi * day / 7
    return {"weekday_sin": np.sin(angle), "weekday_cos": np.cos(angle)}


PAID = {"amount": 812.4}
# Arguments of `describe`, and what it gives.
EXAMPLES = [
    (("amount", 812.4, [12.3, 180.4]), "amount: amount 812.40; usually 12 to 180"),
    (("amount", 4.1, [0.5, 8.0]), "amount: amount 4.10; usually 0.50 to 8.00"),
    (("log_amount", 6.7, [2.6, 5.2], PAID), "amount: amount 812.40; usually 12 to 180"),
    (
        ("amount_to_customer_mean_30d", 9.0, [0.1, 3.0], PAID),
        "amount: amount 812.40, 9 times this customer's average of 30 days; usually 12 to 180",
    ),
    (
        ("amount_z_customer_30d", 5.0, [-1.0, 2.0], {**PAID, "amount_to_customer_mean_30d": 2.55}),
        "amount: amount 812.40, 2.5 times this customer's average of 30 days; usually 12 to 180",
    ),
    (
        ("amount_to_terminal_mean_7d", 12.4, [0.1, 3.0], PAID),
        "amount: amount 812.40, 12 times this merchant's average of 7 days; usually 12 to 180",
    ),
    (
        ("customer_mean_amount_7d", 400.0, [15.0, 150.0], PAID),
        "amount: amount 812.40, this customer's average of 7 days is 400.00; usually 15 to 150",
    ),
    (
        ("amount_per_item", 406.2, [5.0, 90.0], {**PAID, "quantity": 2.0}),
        "amount: amount 812.40, 406.20 per item; usually 5.00 to 90",
    ),
    (
        ("log_seconds_since_previous", np.log1p(9), [np.log1p(10_800), np.log1p(777_600)]),
        "pace of purchases: 9 seconds after the previous purchase; usually 3 hours to 9 days apart",
    ),
    (
        ("customer_count_1d", 7.0, [1.0, 3.0]),
        "pace of purchases: 7th purchase within 1 day; usually 1 to 3",
    ),
    (
        ("customer_count_0.007d", 3.0, [1.0, 1.0]),
        "pace of purchases: 3rd purchase within 10 minutes; usually 1",
    ),
    (
        ("terminal_delayed_fraud_rate_1d", 0.12, [0.0, 0.0]),
        "fraud at merchant: 12% fraud at this merchant in 1 day (up to 7 days ago); usually 0%",
    ),
    (
        ("terminal_delayed_count_1d", 1.0, [0.0, 4.0]),
        "sales of merchant: 1 sale of this merchant in 1 day (up to 7 days ago); usually 0 to 4",
    ),
    (("new_device", 1.0, SHARES), "new device: new device; in 4% of transactions"),
    (("new_device", 0.0, SHARES), "new device: known device; in 96% of transactions"),
    (("new_device", np.nan, SHARES), "new device: new device missing; usually there"),
    (("new_terminal", 1.0, SHARES), "new merchant: new merchant; in 4% of transactions"),
    (
        ("address_mismatch", 1.0, SHARES),
        "address mismatch: shipping address differs from billing address; in 4% of transactions",
    ),
    (
        ("hour_sin", at(3.2)["hour_sin"], [-1.0, 1.0], at(3.2)),
        "time of day: at 03:12 UTC; usually 08:00 to 22:00",
    ),
    (("night", 1.0, SHARES, at(3.2)), "time of day: at 03:12 UTC; usually 08:00 to 22:00"),
    (
        ("weekend", 1.0, {"0": 0.7, "1": 0.3}, on(6)),
        "weekday: on a Sunday; weekends have 30% of transactions",
    ),
    (
        ("risk_of_customer_location", 0.12, [0.01, 0.04]),
        "fraud by customer_location: 12% fraud so far in this location; usually 1% to 4%",
    ),
    (
        ("risk_of_payment_method", 0.12, [0.005, 0.04], {"payment_method": "card"}),
        "fraud by payment_method: 12% fraud so far in this payment method card; usually 0.5% to 4%",
    ),
    (
        ("location_rarity", -np.log(0.002), [-np.log(0.08), -np.log(0.01)]),
        "location: location in 0.2% of transactions so far; usually 1% to 8%",
    ),
    (("age_band", "65+", {"65+": 0.1}), "customer age: age band 65+; in 10% of transactions"),
    (
        ("payment_method", "PayPal", {"PayPal": 0.03, "card": 0.9}),
        "payment method: payment method PayPal; in 3% of transactions",
    ),
    (
        ("payment_method", "barter", {"PayPal": 0.03, "card": 0.9}),
        "payment method: payment method barter, rare or new; usually card, PayPal",
    ),
    (("V14", -7.25, [-2.0, 1.5]), "V14: V14 -7.25; usually -2 to 1.50"),
    (
        ("days_since_payday", 3.0, [0.0, 29.0]),
        "days since payday: days since payday 3; usually 0 to 29",
    ),
    (("is_gift", 1.0, SHARES), "is gift: is gift: yes; in 4% of transactions"),
    *(
        (
            ("new_account", 1.0, SHARES, {"account_age_days": days}),
            f"account age: account {text} old; usually 40 days to 5 years",
        )
        for days, text in ((0.4, "less than 1 day"), (1.0, "1 day"), (3.0, "3 days"))
    ),
]


@pytest.mark.parametrize(("arguments", "expected"), EXAMPLES, ids=[e[0][0] for e in EXAMPLES])
def test_features_are_described_as_a_reviewer_would(arguments, expected):
    assert describe(*arguments) == expected


def test_columns_that_every_strategy_has_are_described_by_every_strategy():
    for strategy in (Baseline(), Behavioural()):
        described = describe("account_age_days", 17.0, [18.0, 51.0], strategy=strategy)
        assert described == "account age: account 17 days old; usually 18 days to 51 days"
        described = describe("customer_age", 32.0, [18.0, 51.0], strategy=strategy)
        assert described == "customer age: customer 32 years old; usually 18 to 51"


def history_of(minutes: list[float], **columns: object) -> CustomerHistory:
    """Of the last of a customer's transactions."""
    times = pd.Timestamp("2024-03-03", tz="UTC") + pd.to_timedelta(minutes, unit="min")
    frame = pd.DataFrame({"timestamp": times.as_unit("us"), "customer_id": "a", **columns})
    (history,) = customer_histories(frame, np.array([len(frame) - 1]))
    return history


def test_what_is_usual_for_this_customer_comes_before_what_is_usual_for_all():
    """A sixth transaction, at night, 9 seconds after the fifth, with another device."""
    known = history_of(
        [minutes + 1440 * day for day, minutes in enumerate((600, 660, 720, 600))]
        + [190 + 5 * 1440, 190.2 + 5 * 1440],
        amount=[20.0, 40.0, 60.0, 80.0, 95.0, 812.4],
        device=pd.Series([*["phone"] * 5, "tablet"], dtype="str"),
    )
    of_amount = "amount: amount 812.40; usually 24 to 92 for this customer"
    assert describe("amount", 812.4, [12.3, 180.4], history=known) == of_amount
    ratio = {"amount": 812.4, "amount_to_customer_mean_30d": 13.0}
    assert describe("amount_z_customer_30d", 20.0, [-1, 2], ratio, known) == of_amount
    of_device = describe("device", "tablet", {"tablet": 0.2, "phone": 0.8}, history=known)
    assert of_device == "device: device tablet; usually phone for this customer"
    # The time is that of the transaction, whatever the features say.
    of_time = describe("hour_cos", 1.0, [-1.0, 1.0], {"hour_sin": 0.0}, known)
    assert of_time == "time of day: at 03:10 UTC; usually 08:00 to 22:00"


def test_many_purchases_in_a_short_time_are_counted():
    burst = history_of([540, 542, 540 + 400 / 60], amount=1.0)
    usual = [np.log1p(10_800), np.log1p(777_600)]
    third = "pace of purchases: 3rd purchase within 10 minutes; usually"
    of_count = describe("customer_count_1d", 3.0, [1.0, 2.0], history=burst)
    assert of_count == f"{third} 1 to 2 within 1 day"
    of_gap = describe("log_seconds_since_previous", np.log1p(280), usual, history=burst)
    assert of_gap == f"{third} 3 hours to 9 days apart"


def test_every_built_in_feature_that_is_no_column_has_words():
    frame = generate_transactions(500)
    patterns = [description.pattern for description in descriptions_of(BUILT_IN)]
    features = compute_features(fit_strategy(copy.deepcopy(BUILT_IN), frame), frame)
    without = {f for f in features if not any(re.fullmatch(pattern, f) for pattern in patterns)}
    assert without == {"quantity", "payment_method", "product_category", "device"}


class Payday(Baseline):
    def generate_features(self, df):
        return super().generate_features(df).assign(days_since_payday=1.0)


class Plain:
    def generate_features(self, df):
        return df[["amount"]]


def test_own_strategies_keep_the_words_of_the_baseline_and_need_none():
    assert subject_of("log_amount", descriptions_of(Payday()))[0] == "amount"
    assert subject_of("days_since_payday", descriptions_of(Payday()))[0] == "days since payday"
    assert descriptions_of(Plain()) == ()
    assert subject_of("log_amount", descriptions_of(Plain()))[0] == "log amount"
    assert subject_of("log_amount", descriptions_of(Combined({"plain": Plain()})))[0] == "amount"


def test_durations_are_in_the_largest_unit_that_fits():
    texts = [duration(seconds) for seconds in (0, 1, 90, 600, 604.8, 3600, 5400)]
    assert texts[:3] == ["0 seconds", "1 second", "90 seconds"]
    assert texts[3:] == ["10 minutes", "10 minutes", "1 hour", "90 minutes"]
    assert [duration(days * 86_400) for days in (1, 30, 1095)] == ["1 day", "30 days", "3 years"]


def test_no_number_is_too_large_to_be_described():
    assert duration(np.inf) == duration(1e300) == "tens of thousands of years"
    assert money(1.7e308) == "1.7e+308"
    assert times(1e300) == "1e+300 times"


def test_ordinals():
    texts = [ordinal(number) for number in (1, 2, 3, 4, 11, 22, 112)]
    assert texts == ["1st", "2nd", "3rd", "4th", "11th", "22nd", "112th"]


def test_percentages_have_no_more_digits_than_mean_something():
    texts = [percent(share) for share in (0, 1, 0.123, 0.0123, 0.02, 0.0497, 0.0004)]
    assert texts == ["0%", "100%", "12%", "1.2%", "2%", "5%", "0.04%"]
