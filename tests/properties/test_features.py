"""Features of any transactions: of a row and its past alone, one by one as all at once."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import in_order
from fraud_ae.detector.trailing_history import TrailingHistory
from fraud_ae.features import (
    Baseline,
    Behavioural,
    Combined,
    DemographicRisk,
    Temporal,
    compute_features,
    fit_strategy,
    strategy_from_dict,
    strategy_to_dict,
)
from tests.properties.tables import transactions

IDS = SourceFormat({"transaction_id": "transaction_id"})
WINDOWS = st.lists(st.sampled_from((0.01, 0.5, 1, 7, 30, 400)), min_size=1, max_size=3, unique=True)
DELAYS = st.sampled_from((0.0, 0.5, 7.0))
BEHAVIOURAL = st.builds(Behavioural, WINDOWS, DELAYS)
DEMOGRAPHIC = st.builds(DemographicRisk, label_delay_days=DELAYS)
STRATEGIES = st.one_of(
    st.builds(Baseline),
    st.builds(Temporal),
    BEHAVIOURAL,
    DEMOGRAPHIC,
    st.builds(
        lambda one, other: Combined({"temporal": Temporal(), "one": one, "other": other}),
        BEHAVIOURAL,
        DEMOGRAPHIC,
    ),
)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def check(strategy: object, known: pd.DataFrame, frame: pd.DataFrame, cut: int) -> None:
    """known: what it is fitted on. cut: how many rows of the frame came first."""
    # A detector gives every frame the columns of the training data.
    frame = frame.reindex(columns=list(known)).astype(known.dtypes)
    frame = in_order(frame, IDS)
    before = frame.copy(deep=True)
    fit_strategy(strategy, in_order(known, IDS))
    features = compute_features(strategy, frame)
    assert_same(frame, before)
    assert list(features) == list(compute_features(strategy, known))
    for name, column in features.items():
        assert column.dtype in ("float64", "bool", "str"), name
        if column.dtype == "float64":
            assert not np.isinf(column).any(), name
    # Of the same rows in another order of the file.
    other = in_order(frame.sample(frac=1, random_state=0).reset_index(drop=True), IDS)
    assert_same(compute_features(strategy, other), features)
    # Later rows change nothing.
    first = frame.iloc[:cut]
    assert_same(compute_features(strategy, first), features.iloc[:cut])
    saved = json.loads(json.dumps(strategy_to_dict(strategy), allow_nan=False))
    assert_same(compute_features(strategy_from_dict(saved), frame), features)
    check_one_by_one(strategy, frame, features, cut)


def check_one_by_one(
    strategy: object, frame: pd.DataFrame, features: pd.DataFrame, cut: int
) -> None:
    """A row with what a model remembers of all before has the features that it has among them."""
    for row in {cut, len(frame) - 1} - {0, len(frame), -1}:
        remembered = TrailingHistory.of(frame.iloc[:row], strategy, IDS)
        later = frame.iloc[row : row + 1]
        related = remembered.related(later)
        joined = pd.concat([related, later], ignore_index=True)
        joined = joined.reindex(columns=list(frame)).astype(frame.dtypes)
        found = compute_features(strategy, joined).tail(1).reset_index(drop=True)
        expected = features.iloc[[row]].reset_index(drop=True)
        if "is_fraud" not in related:
            continue
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6, atol=1e-6)


FEW_ITEMS = pd.DataFrame(
    {
        "transaction_id": ["a", "b", "c"],
        "customer_id": "one",
        "timestamp": pd.date_range("2024-01-01", periods=3, tz="UTC", unit="us"),
        "amount": 1e15,
        "is_fraud": 0.0,
        "quantity": [1.0, 1e-300, 0.0],
    }
)


@pytest.mark.promise("D20")
# The amount of one item was infinite, with a warning.
@example(strategy=Behavioural(), known=FEW_ITEMS, frame=FEW_ITEMS, cut=1)
@given(strategy=STRATEGIES, known=transactions(), frame=transactions(1), cut=st.integers(0, 60))
@settings(max_examples=25)
def test_features_are_of_a_row_and_its_past(strategy, known, frame, cut):
    check(strategy, known, frame, min(cut, len(frame)))


@pytest.mark.slow
@given(strategy=STRATEGIES, known=transactions(), frame=transactions(1), cut=st.integers(0, 60))
@settings(max_examples=100)
def test_features_are_of_a_row_and_its_past_at_length(strategy, known, frame, cut):
    check(strategy, known, frame, min(cut, len(frame)))
