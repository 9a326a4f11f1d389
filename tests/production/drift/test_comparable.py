"""What each feature depends on is found out by trying."""

import pandas as pd

from fraud_ae.data.simulation.synthetic import generate_transactions
from fraud_ae.features import Baseline, Combined, DemographicRisk, Temporal, fit_strategy
from fraud_ae.production.drift.comparable import features_of, traits


class Payday(Baseline):
    """A strategy of a user's own, which goes by the day of the month."""

    def generate_features(self, df):
        return super().generate_features(df).assign(day_of_month=df["timestamp"].dt.day)


def of(strategy):
    transactions = generate_transactions(n_transactions=4_000, days=60)
    fit_strategy(strategy, transactions)
    rows = (transactions["timestamp"] > transactions["timestamp"].iloc[2_800]).to_numpy()
    until = transactions["timestamp"].iloc[-1] + pd.Timedelta(days=14)
    return strategy, transactions, rows, 30.0, until


def test_hours_weekdays_and_dates_are_told_apart():
    found = traits(*of(Combined({"temporal": Temporal()})))
    assert found["hour_sin"].cycle == "day"
    assert found["weekend"].cycle == "week"
    assert found["amount"].cycle is None
    assert traits(*of(Payday()))["day_of_month"].cycle == "date"


def test_what_looks_back_is_told_from_what_does_not():
    found = traits(*of(Temporal()))
    assert [n for n, t in found.items() if t.looks_back] == ["log_seconds_since_previous"]


def test_a_learned_rate_stands_for_its_category():
    found = traits(*of(DemographicRisk()))
    assert found["risk_of_payment_method"].stands_for == "payment_method"
    assert found["location_rarity"].stands_for == "customer_location"
    assert found["account_age_days"].stands_for is None


def test_so_does_a_share_of_values_that_hardly_ever_come_twice():
    """In rows that were learned from, each is known; in later ones none is, drift or not."""
    strategy, transactions, *others = of(DemographicRisk())
    towns = [f"Town {number}" for number in range(len(transactions))]
    transactions = transactions.assign(customer_location=pd.Series(towns, dtype="str"))
    found = traits(fit_strategy(strategy, transactions), transactions, *others)
    assert found["location_rarity"].stands_for == "customer_location"
    assert found["amount"].stands_for is None


def test_what_was_learned_by_day_is_read_as_it_stood_in_the_end():
    strategy, transactions, rows, days, until = of(DemographicRisk())
    features = features_of(strategy, transactions, rows, days, until)
    rates = features["risk_of_payment_method"].groupby(features["payment_method"])
    assert len(features) == rows.sum()
    assert (rates.nunique() == 1).all()
