import numpy as np
import pandas as pd
import pytest

from fraud_ae.audit.label_use import (
    differing_rows,
    features_from_labels,
    separation,
    with_flipped_labels,
)
from fraud_ae.data.sources import synthetic
from fraud_ae.features import Baseline, Behavioural, Combined, DemographicRisk, Temporal
from tests.features.conftest import make_transactions

RATES = [f"terminal_delayed_fraud_rate_{days}d" for days in (1, 7, 30)]
GROUPS = ("customer_location", "payment_method", "product_category", "age_band")
RISKS = [f"risk_of_{name}" for name in GROUPS]


class Counting(Baseline):
    """Counts how many rows it has seen at most."""

    most = 0

    def generate_features(self, df):
        Counting.most = max(Counting.most, len(df))
        earlier = df.groupby("customer_id")["is_fraud"].cumsum() - df["is_fraud"]
        return super().generate_features(df).assign(earlier_frauds=earlier)


@pytest.fixture(scope="module")
def generated() -> pd.DataFrame:
    return synthetic(n_transactions=6000).transactions


@pytest.mark.parametrize("max_rows", [1000, 20_000])
def test_features_made_from_labels_are_named_in_their_order(generated, max_rows):
    parts = {"behavioural": Behavioural(), "risk": DemographicRisk(), "temporal": Temporal()}
    assert features_from_labels(Combined(parts), generated, max_rows) == [*RATES, *RISKS]
    for strategy, names in ((Baseline(), []), (Temporal(), []), (Behavioural(), RATES)):
        assert features_from_labels(strategy, generated, max_rows) == names


def test_the_strategy_may_be_fitted_and_stays_as_it_is(generated):
    strategy = DemographicRisk()
    strategy.fit(generated.head(100))
    before = strategy.overall_counts_
    assert features_from_labels(strategy, generated) == RISKS
    assert strategy.overall_counts_ is before
    assert features_from_labels(strategy, generated.drop(columns="is_fraud")) == []


@pytest.mark.parametrize("absent", [(), ("terminal_id",), ("ip_address",)])
def test_no_more_rows_than_asked_are_used(generated, absent):
    Counting.most = 0
    found = features_from_labels(Counting(), generated.drop(columns=list(absent)), 500)
    assert found == ["earlier_frauds"]
    assert 125 <= Counting.most <= 500


def test_customers_who_come_once_and_few_terminals_are_spread_over_the_whole_time(generated):
    names = [f"C{i}" for i in range(len(generated))]
    for altered in (
        generated.assign(customer_id=names).drop(columns="terminal_id"),
        generated.assign(terminal_id="M1", customer_id=np.nan),
        generated.drop(columns=["terminal_id", "customer_id"]),
    ):
        assert features_from_labels(DemographicRisk(), altered, 300) == RISKS


def test_only_the_labels_of_the_rows_asked_are_flipped():
    transactions = make_transactions(10)
    rows = np.arange(10) < 3
    flipped = with_flipped_labels(transactions, rows)
    changed = flipped["is_fraud"] != transactions["is_fraud"]
    assert changed.tolist() == rows.tolist()
    assert flipped["is_fraud"].dtype == transactions["is_fraud"].dtype
    assert flipped.drop(columns="is_fraud").equals(transactions.drop(columns="is_fraud"))


def test_differing_rows_are_counted_to_the_bit():
    one = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": ["x", None, "y"], "c": [True, False, True]})
    one["b"] = one["b"].astype("str")
    assert differing_rows(one, one.copy()) == {}
    other = one.assign(a=[1.0, np.nan, np.nextafter(3.0, 4)], b=np.nan, d=1.0)
    assert differing_rows(one, other) == {"a": 1, "b": 2, "d": 3}
    assert differing_rows(one, one.set_axis([7, 8, 9])) == {}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 1.0),
        ([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 1.0),
        ([5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0], 0.5),
        ([0.0, 9.0, 0.0, 9.0, np.nan, np.nan, np.nan, np.nan], 1.0),
        ([np.nan] * 8, 0.5),
        ([False, False, False, True, True, True, True, True], 0.875),
        (["a", "b", "a", "b", "c", "d", "c", "d"], 0.5),
        (["a", "b", "b", "a", "c", "d", "d", "c"], 1.0),
    ],
)
def test_how_far_one_feature_tells_fraud(values, expected):
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert separation(pd.Series(values, index=range(5, 13)), labels) == expected
