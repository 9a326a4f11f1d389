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


def refitted_features(strategy: object, df: pd.DataFrame) -> pd.DataFrame:
    return compute_features(fit_strategy(copy.deepcopy(strategy), df), df)


@pytest.fixture(params=STRATEGIES, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def strategy(name) -> object:
    return copy.deepcopy(STRATEGIES[name])


@pytest.fixture
def fitted(strategy, transactions) -> object:
    return fit_strategy(strategy, transactions)


@pytest.fixture(scope="module")
def complete(name, transactions) -> pd.DataFrame:
    """Features of a strategy that was fitted on the same transactions."""
    return refitted_features(STRATEGIES[name], transactions)


def test_features_have_the_index_of_the_frame_which_stays_as_it_is(strategy, transactions):
    shifted = transactions.set_index(transactions.index + 1000)
    before = shifted.copy(deep=True)
    features = fit_strategy(strategy, shifted).generate_features(shifted)
    assert features.index.equals(shifted.index)
    assert features.columns.is_unique
    assert len(features.columns) >= 10
    assert features.notna().any().all()
    assert_frame_equal(shifted, before)


@pytest.mark.parametrize("cut", CUTS)
def test_later_rows_their_values_and_labels_do_not_matter(fitted, transactions, complete, cut):
    expected, history = complete.iloc[:cut], transactions.iloc[:cut]
    assert_frame_equal(compute_features(fitted, history), expected, check_exact=True)
    assert_frame_equal(refitted_features(fitted, history), expected, check_exact=True)
    order = np.random.default_rng(cut).permutation(len(transactions) - cut) + cut
    later = transactions.iloc[order].assign(timestamp=transactions["timestamp"].iloc[cut:].array)
    later["is_fraud"] = 1 - later["is_fraud"]
    altered = refitted_features(fitted, pd.concat([history, later], ignore_index=True))
    assert_frame_equal(altered.iloc[:cut], expected, check_exact=True)


def test_some_cuts_stand_between_ties(transactions):
    instants = transactions["timestamp"]
    assert sum(instants[cut - 1] == instants[cut] for cut in CUTS) >= 2


@pytest.mark.promise(2)
def test_order_of_unrelated_ties_does_not_matter(strategy, transactions, complete):
    instants = transactions["timestamp"].astype("int64")
    order = np.lexsort([np.random.default_rng(0).random(len(transactions)), instants])
    assert (order != np.arange(len(order))).mean() > 0.5
    shuffled = refitted_features(strategy, transactions.iloc[order].reset_index(drop=True))
    back = shuffled.iloc[np.argsort(order)].reset_index(drop=True)
    unrelated = np.ones(len(transactions), dtype=bool)
    for key in ("customer_id", "terminal_id"):
        shares_instant = transactions.duplicated(["timestamp", key], keep=False)
        unrelated &= ~(shares_instant & transactions[key].notna())
    assert unrelated.sum() > 50
    assert_frame_equal(back[unrelated], complete[unrelated], rtol=1e-9, atol=1e-6)


def with_labels_flipped(df: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    return df.assign(is_fraud=df["is_fraud"].where(~rows, 1 - df["is_fraud"]))


@pytest.mark.parametrize("cut", [200, 399])
def test_labels_count_only_after_the_delay(strategy, transactions, complete, cut):
    """The label of the row itself is among those that are flipped."""
    history = transactions.iloc[: cut + 1]
    known_by = history["timestamp"].iloc[-1] - pd.Timedelta(days=DELAY_DAYS)
    too_young = history["timestamp"] > known_by
    assert too_young.sum() > 20
    features = refitted_features(strategy, with_labels_flipped(history, too_young))
    assert_frame_equal(features, complete.iloc[: cut + 1], check_exact=True)


@pytest.mark.parametrize("row", [10, 152])
def test_older_labels_count(strategy, transactions, complete, row):
    flipped = with_labels_flipped(transactions, transactions.index == row)
    after = refitted_features(strategy, flipped)
    differs = ((complete != after) & ~(complete.isna() & after.isna())).any(axis=1)
    assert differs.any() == isinstance(strategy, LEARN_FROM_LABELS)
    age = transactions["timestamp"] - transactions["timestamp"][row]
    assert (age[differs] >= pd.Timedelta(days=DELAY_DAYS)).all()


def test_labels_of_the_frame_are_read_for_the_delayed_rates_alone(fitted, transactions, complete):
    unlabelled = compute_features(fitted, transactions.drop(columns="is_fraud"))
    assert list(unlabelled) == list(complete)
    rates = [name for name in DELAYED_RATES if name in complete]
    assert unlabelled[rates].isna().all(axis=None)
    others = complete.drop(columns=rates)
    assert_frame_equal(unlabelled.drop(columns=rates), others, check_exact=True)


def test_partly_labelled_rows_have_all_features(fitted, transactions, complete):
    known_by = transactions["timestamp"].iloc[-1] - pd.Timedelta(days=DELAY_DAYS)
    labels = transactions["is_fraud"].astype("float64")
    partly = transactions.assign(is_fraud=labels.mask(transactions["timestamp"] > known_by))
    assert_frame_equal(compute_features(fitted, partly), complete, check_exact=True)


def test_a_saved_strategy_and_a_copy_give_the_same_features(fitted, transactions, complete):
    saved = json.dumps(strategy_to_dict(fitted), allow_nan=False)
    loaded = strategy_from_dict(json.loads(saved))
    for other in (fitted, loaded, copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert_frame_equal(compute_features(other, transactions), complete, check_exact=True)
        # What it is used for changes nothing of what is saved.
        assert json.dumps(strategy_to_dict(other), allow_nan=False) == saved


def test_fitted_again_it_forgets_what_it_learned_before(strategy, transactions, complete):
    fit_strategy(strategy, transactions.iloc[:150])
    compute_features(strategy, transactions)
    fit_strategy(strategy, transactions)
    assert_frame_equal(compute_features(strategy, transactions), complete, check_exact=True)


def test_absent_columns_take_only_their_own_features(strategy, transactions, complete):
    for absent in ("transaction_id", "customer_id", "is_fraud", *OPTIONAL):
        features = refitted_features(strategy, transactions.drop(columns=absent))
        assert set(features) <= set(complete)
        assert len(features.columns) >= 10 - 1
        if absent == "is_fraud":
            rates = [name for name in DELAYED_RATES if name in features]
            assert features[rates].isna().all(axis=None)
            features = features.drop(columns=rates)
        assert_frame_equal(features, complete[features.columns], check_exact=True)


def test_few_rows_and_the_required_columns_are_enough(strategy, transactions, complete):
    for n_rows in (0, 1):
        features = refitted_features(strategy, transactions.iloc[:n_rows])
        assert list(features) == list(complete)
        assert len(features) == n_rows
    features = refitted_features(strategy, transactions[["timestamp", "amount"]])
    assert {"amount", "log_amount"} <= set(features)
