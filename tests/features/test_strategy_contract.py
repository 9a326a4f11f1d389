"""What every built-in strategy keeps to, whatever it builds."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from fraud_ae.data.columns import OPTIONAL
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

ABSENTEES = ("transaction_id", "customer_id", "is_fraud", *OPTIONAL)
CUTS = (1, 57, 200, 233, 399)
DELAY_DAYS = 2.0
STRATEGIES = {
    "baseline": Baseline(),
    "temporal": Temporal(),
    "behavioural": Behavioural(windows_days=(1, 7), label_delay_days=DELAY_DAYS),
    "demographic_risk": DemographicRisk(label_delay_days=DELAY_DAYS, smoothing=3.0),
}
STRATEGIES["combined"] = Combined(copy.deepcopy(STRATEGIES))
LEARN_FROM_LABELS = (Behavioural, DemographicRisk, Combined)
# What is read from the labels of the frame itself rather than learned by fit.
DELAYED_RATES = ["terminal_delayed_fraud_rate_1d", "terminal_delayed_fraud_rate_7d"]


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> object:
    return copy.deepcopy(STRATEGIES[request.param])


def refitted_features(strategy: object, df: pd.DataFrame) -> pd.DataFrame:
    return compute_features(fit_strategy(copy.deepcopy(strategy), df), df)


def test_index_is_kept_and_frame_unchanged(strategy, transactions):
    shifted = transactions.set_index(transactions.index + 1000)
    before = shifted.copy(deep=True)
    fit_strategy(strategy, shifted)
    features = strategy.generate_features(shifted)
    assert features.index.equals(shifted.index)
    assert features.columns.is_unique
    assert len(features.columns) >= 10
    assert_frame_equal(shifted, before)


def test_no_feature_is_always_missing(strategy, transactions):
    features = refitted_features(strategy, transactions)
    assert features.notna().any().all()


@pytest.mark.parametrize("cut", CUTS)
def test_later_rows_do_not_matter(strategy, transactions, cut):
    fitted = fit_strategy(copy.deepcopy(strategy), transactions)
    whole = compute_features(fitted, transactions).iloc[:cut]
    history = transactions.iloc[:cut]
    assert_frame_equal(compute_features(fitted, history), whole, check_exact=True)
    assert_frame_equal(refitted_features(strategy, history), whole, check_exact=True)


def test_some_cuts_stand_between_ties(transactions):
    instants = transactions["timestamp"]
    assert sum(instants[cut - 1] == instants[cut] for cut in CUTS) >= 2


@pytest.mark.parametrize("cut", CUTS)
def test_later_values_and_labels_do_not_matter(strategy, transactions, cut):
    order = np.random.default_rng(cut).permutation(len(transactions) - cut) + cut
    later = transactions.iloc[order].assign(timestamp=transactions["timestamp"].iloc[cut:].array)
    later["is_fraud"] = 1 - later["is_fraud"]
    altered = pd.concat([transactions.iloc[:cut], later], ignore_index=True)
    assert_frame_equal(
        refitted_features(strategy, altered).iloc[:cut],
        refitted_features(strategy, transactions).iloc[:cut],
        check_exact=True,
    )


def test_own_label_does_not_matter(strategy, transactions):
    row = 300
    altered = transactions.copy()
    altered.loc[row, "is_fraud"] = 1 - altered.loc[row, "is_fraud"]
    assert_frame_equal(
        refitted_features(strategy, altered).iloc[[row]],
        refitted_features(strategy, transactions).iloc[[row]],
        check_exact=True,
    )


def test_order_of_unrelated_ties_does_not_matter(strategy, transactions):
    order = np.lexsort([np.random.default_rng(0).random(len(transactions)), instant(transactions)])
    assert (order != np.arange(len(order))).mean() > 0.5
    shuffled = transactions.iloc[order].reset_index(drop=True)
    there = refitted_features(strategy, shuffled)
    back = there.iloc[np.argsort(order)].reset_index(drop=True)
    unrelated = ~(shares_instant(transactions, "customer_id"))
    unrelated &= ~(shares_instant(transactions, "terminal_id"))
    assert unrelated.sum() > 50
    assert_frame_equal(
        back[unrelated], refitted_features(strategy, transactions)[unrelated], rtol=1e-9, atol=1e-6
    )


def instant(df: pd.DataFrame) -> np.ndarray:
    return df["timestamp"].astype("int64").to_numpy()


def shares_instant(df: pd.DataFrame, key: str) -> pd.Series:
    return df.duplicated(["timestamp", key], keep=False) & df[key].notna()


def with_labels_flipped(df: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    return df.assign(is_fraud=df["is_fraud"].where(~rows, 1 - df["is_fraud"]))


@pytest.mark.parametrize("cut", [200, 399])
def test_labels_count_only_after_the_delay(strategy, transactions, cut):
    history = transactions.iloc[: cut + 1]
    known_by = history["timestamp"].iloc[-1] - pd.Timedelta(days=DELAY_DAYS)
    too_young = history["timestamp"] > known_by
    assert too_young.sum() > 20
    assert_frame_equal(
        refitted_features(strategy, with_labels_flipped(history, too_young)),
        refitted_features(strategy, history),
        check_exact=True,
    )


@pytest.mark.parametrize("row", [10, 152])
def test_older_labels_count(strategy, transactions, row):
    flipped = with_labels_flipped(transactions, transactions.index == row)
    before = refitted_features(strategy, transactions)
    after = refitted_features(strategy, flipped)
    differs = ((before != after) & ~(before.isna() & after.isna())).any(axis=1)
    assert differs.any() == isinstance(strategy, LEARN_FROM_LABELS)
    age = transactions["timestamp"] - transactions["timestamp"][row]
    assert (age[differs] >= pd.Timedelta(days=DELAY_DAYS)).all()


def test_labels_of_the_frame_are_read_for_the_delayed_rates_alone(strategy, transactions):
    fit_strategy(strategy, transactions)
    labelled = compute_features(strategy, transactions)
    unlabelled = compute_features(strategy, transactions.drop(columns="is_fraud"))
    assert list(unlabelled) == list(labelled)
    rates = [name for name in DELAYED_RATES if name in labelled]
    assert unlabelled[rates].isna().all(axis=None)
    assert_frame_equal(
        unlabelled.drop(columns=rates), labelled.drop(columns=rates), check_exact=True
    )


def test_partly_labelled_rows_have_all_features(strategy, transactions):
    fit_strategy(strategy, transactions)
    newest = transactions["timestamp"] > transactions["timestamp"].iloc[-1] - pd.Timedelta(
        days=DELAY_DAYS
    )
    partly = transactions.assign(is_fraud=transactions["is_fraud"].astype("float64").mask(newest))
    assert_frame_equal(
        compute_features(strategy, partly),
        compute_features(strategy, transactions),
        check_exact=True,
    )


def test_saved_strategy_gives_the_same_features(strategy, transactions):
    fit_strategy(strategy, transactions.iloc[:250])
    saved = json.dumps(strategy_to_dict(strategy), allow_nan=False)
    loaded = strategy_from_dict(json.loads(saved))
    assert_frame_equal(
        compute_features(loaded, transactions),
        compute_features(strategy, transactions),
        check_exact=True,
    )


def test_fitted_again_it_forgets_what_it_learned_before(strategy, transactions):
    expected = refitted_features(strategy, transactions)
    fit_strategy(strategy, transactions.iloc[:150])
    compute_features(strategy, transactions)
    fit_strategy(strategy, transactions)
    assert_frame_equal(compute_features(strategy, transactions), expected, check_exact=True)


def test_use_changes_neither_what_is_saved_nor_a_copy(strategy, transactions):
    fit_strategy(strategy, transactions)
    before = strategy_to_dict(strategy)
    features = compute_features(strategy, transactions)
    assert strategy_to_dict(strategy) == before
    for other in (copy.deepcopy(strategy), pickle.loads(pickle.dumps(strategy))):
        assert_frame_equal(compute_features(other, transactions), features, check_exact=True)


@pytest.mark.parametrize("absent", ABSENTEES)
def test_absent_column_takes_only_its_own_features(strategy, transactions, absent):
    complete = refitted_features(strategy, transactions)
    features = refitted_features(strategy, transactions.drop(columns=absent))
    assert set(features) <= set(complete)
    assert len(features.columns) >= 10 - 1
    if absent == "is_fraud":
        rates = [name for name in DELAYED_RATES if name in features]
        assert features[rates].isna().all(axis=None)
        features = features.drop(columns=rates)
    assert_frame_equal(features, complete[features.columns], check_exact=True)


def test_required_columns_are_enough(strategy, transactions):
    features = refitted_features(strategy, transactions[["timestamp", "amount"]])
    assert {"amount", "log_amount"} <= set(features)


@pytest.mark.parametrize("n_rows", [0, 1])
def test_few_rows(strategy, transactions, n_rows):
    complete = refitted_features(strategy, transactions)
    features = refitted_features(strategy, transactions.iloc[:n_rows])
    assert list(features) == list(complete)
    assert len(features) == n_rows
