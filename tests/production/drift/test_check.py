"""What a check says about transactions that have drifted, and about those that have not."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fraud_ae.errors import UserError
from tests.production.drift.watched import shift


def drifted(checked: dict) -> list[str]:
    return [finding["name"] for finding in checked["findings"] if finding["drift"]]


def by_name(checked: dict) -> dict[str, dict]:
    return {f["name"]: f for f in checked["findings"] if f["kind"] != "unseen values"}


def test_later_rows_with_their_history_are_stable_and_all_of_it_is_judged(watched, newest, earlier):
    checked = watched.check(newest, earlier)
    assert drifted(checked) == []
    judged = {name for name, found in by_name(checked).items() if found["not_judged"] is None}
    assert {"amount", "customer_count_7d", "terminal_delayed_count_30d", "score"} <= judged
    assert by_name(checked)["alert rate"]["details"]["rates"][1] < 0.2


@pytest.mark.parametrize("column", ["amount", "quantity", "account_age_days", "customer_age"])
def test_a_shift_of_one_column_is_found_and_named_first(watched, newest, column):
    found = drifted(watched.check(shift(newest, column)))
    assert column in found[:2]
    assert not {"device", "payment_method", "product_category"} & set(found)


def test_without_history_what_looks_back_is_not_judged_and_says_so(watched, newest):
    found = by_name(watched.check(newest))
    assert "37 days of history" in found["customer_count_7d"]["not_judged"]
    assert "37 days of history" in found["score"]["not_judged"]
    assert found["amount"]["not_judged"] is None


def test_a_gap_in_the_history_is_no_drift(watched, newest, earlier):
    gap = earlier["timestamp"] > earlier["timestamp"].iloc[-1] - pd.Timedelta(days=7)
    found = by_name(watched.check(newest, earlier[~gap]))
    assert "without gaps" in found["customer_count_7d"]["not_judged"]


def test_without_labels_what_is_made_of_them_is_not_judged(watched, newest, earlier):
    unlabelled = [frame.drop(columns="is_fraud") for frame in (newest, earlier)]
    found = by_name(watched.check(*unlabelled))
    assert "needs is_fraud" in found["terminal_delayed_fraud_rate_30d"]["not_judged"]
    assert found["terminal_delayed_count_30d"]["not_judged"] is None
    assert found["ROC AUC"]["not_judged"]


def test_one_day_has_no_weekdays_to_compare(watched, newest, earlier):
    start = newest["timestamp"].iloc[0].normalize() + pd.Timedelta(days=1)
    days = newest[newest["timestamp"].between(start, start + pd.Timedelta(days=4))]
    assert by_name(watched.check(days, earlier))["weekday_sin"]["not_judged"] == "needs whole weeks"


def test_a_missing_column_is_named_and_the_rest_is_judged(watched, newest):
    found = watched.check(newest.drop(columns=["device", "quantity"]))
    missing = [f for f in found["findings"] if f["kind"] == "missing column"]
    assert {f["name"] for f in missing if f["drift"]} == {"device", "quantity"}
    assert by_name(found)["amount"]["not_judged"] is None


def test_a_value_that_was_never_seen_is_named(watched, newest):
    new = newest["device"].mask(np.arange(len(newest)) % 10 == 0, "Nokia 3310")
    found = watched.check(newest.assign(device=new))["findings"]
    unseen = next(f for f in found if f["kind"] == "unseen values" and f["name"] == "device")
    assert unseen["drift"]
    assert list(unseen["details"]["values"]) == ["Nokia 3310"]


def test_values_that_have_gone_missing_are_a_drift(watched, newest):
    gone = newest["customer_age"].mask(np.arange(len(newest)) % 3 == 0)
    assert "customer_age" in drifted(watched.check(newest.assign(customer_age=gone)))


def test_scores_that_rank_worse_are_found_where_labels_are(watched, newest, earlier):
    usual = (newest["amount"].rank(pct=True) - 0.5).abs() < 0.05
    checked = watched.check(newest.assign(is_fraud=usual.astype("int8")), earlier)
    found = by_name(checked)["ROC AUC"]
    assert found["details"]["now"]["value"] < found["details"]["before"]["value"] - 0.1
    assert "ROC AUC" in drifted(checked)


def test_too_few_rows_are_an_error(watched, newest):
    with pytest.raises(UserError, match="99 transactions to be judged"):
        watched.check(newest[:99])


@pytest.mark.slow
def test_fresh_data_of_the_same_process_hardly_ever_alarm(watched):
    alarms, checks = 0, 60
    for seed in range(checks):
        fresh = watched.fresh(seed + 500)
        new = fresh["timestamp"] > fresh["timestamp"].iloc[-1] - pd.Timedelta(days=20)
        alarms += watched.check(fresh[new], fresh[~new])["drift"]
    assert alarms <= stats.binom.ppf(0.99, checks, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("column", ["amount", "log_amount", "quantity"])
def test_half_a_standard_deviation_is_nearly_always_found(watched, newest, column):
    rng, hits, checks = np.random.default_rng(0), 0, 40
    for _ in range(checks):
        rows = newest.iloc[np.sort(rng.choice(len(newest), 600, replace=False))]
        hits += column in drifted(watched.check(shift(rows, column)))
    assert hits >= stats.binom.ppf(0.01, checks, 0.95)
