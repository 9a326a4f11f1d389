"""Amounts beyond all that a strategy was fitted on."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.features import Baseline, Behavioural, Combined, DemographicRisk, Temporal
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.serialization import strategy_from_dict, strategy_to_dict
from fraud_ae.features.strategy import compute_features, fit_strategy
from tests.features.conftest import make_transactions

STRATEGIES = {
    "baseline": Baseline,
    "temporal": Temporal,
    "behavioural": Behavioural,
    "demographic_risk": DemographicRisk,
    "combined": lambda: Combined({"behavioural": Behavioural(), "risk": DemographicRisk()}),
}
HUGE = (1e9, 1e15, 1e150, 1e300, np.finfo(np.float64).max)


def with_amount(transactions: pd.DataFrame, row: int, amount: float) -> pd.DataFrame:
    amounts = transactions["amount"].copy()
    amounts[row] = amount
    return transactions.assign(amount=amounts)


@pytest.mark.promise("B10")
@pytest.mark.parametrize("name", STRATEGIES)
def test_beyond_everything_seen_an_amount_counts_as_the_highest_seen(name):
    known = make_transactions()
    strategy = fit_strategy(STRATEGIES[name](), known[:300])
    strategy = strategy_from_dict(strategy_to_dict(strategy))
    highest = known["amount"][:300].max()
    within = known.assign(amount=known["amount"].clip(upper=highest))
    expected = compute_features(strategy, with_amount(within, 350, highest))
    for amount in HUGE:
        # Of the transaction itself, and of those that look back on it.
        found = compute_features(strategy, with_amount(within, 350, amount))
        pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("amount", HUGE)
@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("scaling", ["standard", "robust", "quantile"])
def test_one_among_the_training_rows_leaves_all_numbers_finite(name, amount, scaling):
    known = with_amount(make_transactions(), 5, amount)
    features = compute_features(fit_strategy(STRATEGIES[name](), known), known)
    inputs = Encoder(scaling=scaling).fit(features).transform(features)
    assert np.isfinite(inputs).all()


def test_within_what_was_seen_nothing_changes():
    known = make_transactions()
    fitted, plain = fit_strategy(Behavioural(), known), Behavioural().fit(known)
    found = compute_features(fitted, known)
    pd.testing.assert_frame_equal(found, compute_features(plain, known))


def test_where_no_amount_is_known_none_is_too_high():
    known = make_transactions()
    for amounts in (0.0, np.nan):
        strategy = fit_strategy(Baseline(), known.assign(amount=amounts))
        assert compute_features(strategy, known)["amount"].equals(known["amount"])
