"""Learned rates and shares against their definition, and their point in time."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.errors import UserError
from fraud_ae.features import Baseline, DemographicRisk, compute_features
from fraud_ae.features.strategies.demographic_risk import age_band

DAY = pd.Timedelta(days=1)


def known_counts(
    history: pd.DataFrame, df: pd.DataFrame, column: str, delay_days: float
) -> tuple[np.ndarray, ...]:
    """Transactions and frauds of each row's value and of all, in the days that ended by then.

    Four of shape (n,), NaN where the value is missing.
    """
    ends = history["timestamp"].dt.floor("D") + DAY
    until = df["timestamp"] - pd.Timedelta(days=delay_days)
    is_known = ends.to_numpy()[None] <= until.to_numpy()[:, None]
    is_like = history[column].to_numpy()[None] == df[column].to_numpy()[:, None]
    frauds, missing = history["is_fraud"].to_numpy(), df[column].isna()
    of_value = (is_known & is_like).astype(float)
    of_value[missing] = np.nan
    return of_value.sum(axis=1), of_value @ frauds, is_known.sum(axis=1), is_known @ frauds


@pytest.mark.parametrize(("delay_days", "n_history"), [(0.0, 400), (2.5, 400), (7.0, 250)])
def test_risk_is_as_defined(transactions, delay_days, n_history):
    strategy = DemographicRisk(delay_days, smoothing=3.0).fit(transactions.iloc[:n_history])
    features = strategy.generate_features(transactions)
    df = transactions.assign(age_band=age_band(transactions["customer_age"]))
    for column in ("customer_location", "payment_method", "product_category", "age_band"):
        counts = known_counts(df.iloc[:n_history], df, column, delay_days)
        number, frauds, all_transactions, all_frauds = counts
        with np.errstate(invalid="ignore"):
            expected = (frauds + 3.0 * all_frauds / all_transactions) / (number + 3.0)
        np.testing.assert_allclose(features[f"risk_of_{column}"], expected, rtol=1e-12)
        assert pd.notna(features[f"risk_of_{column}"]).sum() > 150


def test_rarity_is_as_defined(transactions):
    features = Baseline().fit(transactions).generate_features(transactions)
    number, _, everything, _ = known_counts(transactions, transactions, "customer_location", 0.0)
    expected = np.where(everything == 0, np.nan, -np.log((number + 1) / (everything + 1)))
    np.testing.assert_allclose(features["location_rarity"], expected, rtol=1e-12)


def test_a_new_value_gets_the_overall_rate(transactions):
    last = transactions.tail(1).assign(customer_location="nowhere")
    _, _, number, frauds = known_counts(transactions, last, "customer_location", 2.0)
    for smoothing in (0.0, 20.0):
        strategy = DemographicRisk(2.0, smoothing).fit(transactions)
        features = strategy.generate_features(last)["risk_of_customer_location"]
        assert features.item() == pytest.approx((frauds / number).item())


def test_nothing_is_known_on_the_first_day(transactions):
    first = transactions[transactions["timestamp"] < transactions["timestamp"][0].ceil("D") + DAY]
    features = DemographicRisk(label_delay_days=1.0).fit(first).generate_features(first)
    assert features.filter(like="risk_of_").isna().all(axis=None)


def test_a_longer_history_changes_nothing_within_the_shorter(transactions):
    short = transactions.iloc[:250]
    expected = compute_features(DemographicRisk(2.0).fit(short), short)
    features = compute_features(DemographicRisk(2.0).fit(transactions), short)
    pd.testing.assert_frame_equal(features, expected, check_exact=True)


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
