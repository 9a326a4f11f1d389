"""Learned rates and shares against their definition, and their point in time."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.errors import UserError
from fraud_ae.features import Baseline, DemographicRisk, compute_features
from fraud_ae.features.strategies.demographic_risk import age_band

DAY = pd.Timedelta(days=1)


def days_known(history: pd.DataFrame, row: pd.Series, delay_days: float) -> pd.DataFrame:
    """The transactions of the days that ended `delay_days` before the row."""
    end_of_day = history["timestamp"].dt.floor("D") + DAY
    return history[end_of_day <= row["timestamp"] - pd.Timedelta(days=delay_days)]


def risk_by_definition(
    history: pd.DataFrame, df: pd.DataFrame, column: str, delay_days: float, smoothing: float
) -> list[float]:
    rates = []
    for _, row in df.iterrows():
        known = days_known(history, row, delay_days)
        prior = known["is_fraud"].mean()
        own = known[known[column] == row[column]]
        rate = (own["is_fraud"].sum() + smoothing * prior) / (len(own) + smoothing)
        rates.append(np.nan if pd.isna(row[column]) else rate)
    return rates


@pytest.mark.parametrize(("delay_days", "n_history"), [(0.0, 400), (2.5, 400), (7.0, 250)])
def test_risk_is_as_defined(transactions, delay_days, n_history):
    history = transactions.iloc[:n_history]
    strategy = DemographicRisk(label_delay_days=delay_days, smoothing=3.0).fit(history)
    features = strategy.generate_features(transactions)
    with_band = transactions.assign(age_band=age_band(transactions["customer_age"]))
    for column in ("customer_location", "payment_method", "product_category", "age_band"):
        expected = risk_by_definition(
            with_band.iloc[:n_history], with_band, column, delay_days, smoothing=3.0
        )
        np.testing.assert_allclose(features[f"risk_of_{column}"], expected, rtol=1e-12)


def test_rarity_is_as_defined(transactions):
    features = Baseline().fit(transactions).generate_features(transactions)
    expected = []
    for _, row in transactions.iterrows():
        known = days_known(transactions, row, 0.0)
        own = (known["customer_location"] == row["customer_location"]).sum()
        unknown = pd.isna(row["customer_location"]) or known.empty
        expected.append(np.nan if unknown else -np.log((own + 1) / (len(known) + 1)))
    np.testing.assert_allclose(features["location_rarity"], expected, rtol=1e-12)


def test_a_new_value_gets_the_overall_rate(transactions):
    last = transactions.tail(1).assign(customer_location="nowhere")
    strategy = DemographicRisk(label_delay_days=2.0).fit(transactions)
    known = days_known(transactions, last.iloc[0], 2.0)
    found = strategy.generate_features(last)["risk_of_customer_location"].item()
    assert found == pytest.approx(known["is_fraud"].mean())


def test_a_new_value_gets_the_overall_rate_without_smoothing(transactions):
    last = transactions.tail(1).assign(customer_location="nowhere")
    features = DemographicRisk(smoothing=0).fit(transactions).generate_features(last)
    assert 0 < features["risk_of_customer_location"].item() < 1


def test_nothing_is_known_on_the_first_day(transactions):
    first = transactions[transactions["timestamp"] < transactions["timestamp"][0].ceil("D") + DAY]
    features = DemographicRisk(label_delay_days=1.0).fit(first).generate_features(first)
    assert features.filter(like="risk_of_").isna().all(axis=None)


def test_a_longer_history_changes_nothing_within_the_shorter(transactions):
    short = transactions.iloc[:250]
    expected = compute_features(DemographicRisk(2.0).fit(short), short)
    found = compute_features(DemographicRisk(2.0).fit(transactions), short)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_there_is_no_risk_without_labels(transactions):
    unlabelled = transactions.drop(columns="is_fraud")
    features = DemographicRisk().fit(unlabelled).generate_features(transactions)
    assert not [name for name in features if name.startswith("risk_of_")]
    assert {"age_band", "new_account", "address_mismatch"} <= set(features)


@pytest.mark.parametrize("arguments", [{"label_delay_days": -1.0}, {"smoothing": -1.0}])
def test_negative_delay_and_smoothing_are_refused(transactions, arguments):
    strategy = DemographicRisk(**arguments).fit(transactions)
    with pytest.raises(UserError, match="neither can be negative"):
        strategy.generate_features(transactions)
