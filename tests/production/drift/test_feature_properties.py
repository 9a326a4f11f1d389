"""What each feature depends on is found out by trying."""

import pandas as pd
import pytest

from fraud_ae.data.simulation.synthetic import generate_transactions
from fraud_ae.features import Baseline, DemographicRisk, Temporal, fit_strategy
from fraud_ae.production.drift.feature_properties import comparable_features, feature_properties


class Payday(Baseline):
    """A strategy of a user's own, which goes by the day of the month."""

    def generate_features(self, df):
        return super().generate_features(df).assign(day_of_month=df["timestamp"].dt.day)


@pytest.fixture(scope="module")
def transactions() -> pd.DataFrame:
    return generate_transactions(n_transactions=4_000, days=60)


def arguments(strategy, transactions: pd.DataFrame) -> tuple:
    """The arguments of either function: the newest rows, after 30 days of history."""
    times = transactions["timestamp"]
    rows = (times > times.iloc[2_800]).to_numpy()
    fitted = fit_strategy(strategy, transactions)
    return fitted, transactions, rows, 30.0, times.iloc[-1] + pd.Timedelta(days=14)


def test_hours_weekdays_dates_and_earlier_rows_are_distinguished(transactions):
    temporal = feature_properties(*arguments(Temporal(), transactions))
    assert temporal["hour_sin"].cycle == "day"
    assert temporal["weekend"].cycle == "week"
    assert temporal["amount"].cycle is None
    looks_back = [name for name, known in temporal.items() if known.looks_back]
    assert looks_back == ["log_seconds_since_previous"]
    dated = feature_properties(*arguments(Payday(), transactions))
    assert dated["day_of_month"].cycle == "date"


def test_a_learned_rate_stands_for_its_category(transactions):
    known = feature_properties(*arguments(DemographicRisk(), transactions))
    assert known["risk_of_payment_method"].stands_for == "payment_method"
    assert known["location_rarity"].stands_for == "customer_location"
    assert known["account_age_days"].stands_for is None


def test_a_share_of_values_that_hardly_ever_come_twice_stands_for_its_category(transactions):
    """In rows that were learned from, each is known; in later ones none is, drift or not."""
    towns = pd.Series([f"Town {number}" for number in range(len(transactions))], dtype="str")
    transactions = transactions.assign(customer_location=towns)
    known = feature_properties(*arguments(DemographicRisk(), transactions))
    assert known["location_rarity"].stands_for == "customer_location"
    assert known["amount"].stands_for is None


def test_what_was_learned_by_day_is_read_as_it_stood_in_the_end(transactions):
    strategy, transactions, rows, *others = arguments(DemographicRisk(), transactions)
    features = comparable_features(strategy, transactions, rows, *others)
    rates = features["risk_of_payment_method"].groupby(features["payment_method"])
    assert len(features) == rows.sum()
    assert (rates.nunique() == 1).all()
