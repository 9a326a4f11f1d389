"""What a check says about transactions that have drifted, and about those that have not."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fraud_ae.data.simulation.synthetic import generate_transactions
from fraud_ae.detector.trailing_history import TrailingHistory
from fraud_ae.errors import UserError
from fraud_ae.production.drift.check import check_period
from fraud_ae.production.drift.period import Period
from tests.production.drift.watched import SIMULATED, shift


def drifted(checked: dict) -> list[str]:
    return [finding["name"] for finding in checked["findings"] if finding["drift"]]


def by_name(checked: dict) -> dict[str, dict]:
    return {f["name"]: f for f in checked["findings"] if f["kind"] != "unseen values"}


def test_later_rows_with_their_history_are_stable_and_all_of_it_is_compared(watched):
    checked = watched.check(watched.newest, watched.earlier)
    assert drifted(checked) == []
    findings = by_name(checked)
    compared = {name for name, finding in findings.items() if finding["not_judged"] is None}
    assert {"amount", "customer_count_7d", "terminal_delayed_count_30d", "score"} <= compared
    assert findings["alert rate"]["details"]["rates"][1] < 0.2


@pytest.mark.parametrize("column", ["amount", "customer_age"])
def test_a_shift_of_one_column_is_found_and_named_first(watched, column):
    names = drifted(watched.check(shift(watched.newest, column)))
    assert column in names[:2]
    assert not {"device", "payment_method", "product_category"} & set(names)


def test_what_cannot_be_compared_is_named_with_the_reason(watched):
    newest, earlier = watched.newest, watched.earlier
    gap = earlier["timestamp"] > earlier["timestamp"].iloc[-1] - pd.Timedelta(days=7)
    start = newest["timestamp"].iloc[0].normalize() + pd.Timedelta(days=1)
    days = newest[newest["timestamp"].between(start, start + pd.Timedelta(days=4))]
    unlabelled = [frame.drop(columns="is_fraud") for frame in (newest, earlier)]
    for file, history, reasons in (
        (newest, None, {"customer_count_7d": "37 days of history", "score": "37 days of history"}),
        (newest, earlier[~gap], {"customer_count_7d": "without gaps"}),
        (days, earlier, {"weekday_sin": "needs whole weeks"}),
        (*unlabelled, {"terminal_delayed_fraud_rate_30d": "needs is_fraud", "ROC AUC": "needs"}),
    ):
        findings = by_name(watched.check(file, history))
        for name, reason in reasons.items():
            assert reason in findings[name]["not_judged"]
        assert findings["amount"]["not_judged"] is None
    # Of the unlabelled rows.
    assert findings["terminal_delayed_count_30d"]["not_judged"] is None


@pytest.mark.promise(4)
def test_what_a_model_remembers_is_history(watched):
    detector, newest = watched.detector, watched.newest
    remembered = TrailingHistory.of(watched.earlier, detector.strategy, detector.source_format)
    assert 0 < len(remembered) < len(watched.earlier)
    source, columns = detector.source_format, watched.reference["columns"]
    period = Period.of(newest, source, columns, remembered=remembered)
    assert period.current.sum() == len(newest)
    findings = by_name(check_period(detector, watched.reference, period))
    given = by_name(watched.check(newest, watched.earlier))
    for name in ("customer_count_7d", "terminal_delayed_count_30d", "score", "alert rate"):
        assert findings[name]["not_judged"] is None
        assert findings[name]["drift"] == given[name]["drift"]


def test_missing_columns_missing_values_and_new_values_are_drifts(watched):
    newest, row = watched.newest, np.arange(len(watched.newest))
    changed = newest.drop(columns=["device", "quantity"]).assign(
        customer_age=newest["customer_age"].mask(row % 3 == 0),
        payment_method=newest["payment_method"].mask(row % 10 == 0, "cowrie"),
    )
    findings = {(f["kind"], f["name"]): f for f in watched.check(changed)["findings"]}
    for drift in (
        ("missing column", "device"),
        ("missing column", "quantity"),
        ("feature", "customer_age"),
        ("unseen values", "payment_method"),
    ):
        assert findings[drift]["drift"], drift
    new = findings["unseen values", "payment_method"]["details"]["values"]
    assert list(new) == ["cowrie"]
    assert findings["feature", "amount"]["not_judged"] is None


def test_scores_that_rank_worse_are_found_where_labels_are(watched):
    usual = (watched.newest["amount"].rank(pct=True) - 0.5).abs() < 0.05
    relabelled = watched.newest.assign(is_fraud=usual.astype("int8"))
    checked = watched.check(relabelled, watched.earlier)
    details = by_name(checked)["ROC AUC"]["details"]
    assert details["now"]["value"] < details["before"]["value"] - 0.1
    assert "ROC AUC" in drifted(checked)


def test_too_few_rows_are_an_error(watched):
    with pytest.raises(UserError, match="99 transactions to be judged"):
        watched.check(watched.newest[:99])


@pytest.mark.slow
def test_fresh_data_of_the_same_process_hardly_ever_alarm(watched):
    alarms, checks = 0, 25
    for seed in range(checks):
        fresh = generate_transactions(**SIMULATED, seed=seed + 500)
        new = fresh["timestamp"] > fresh["timestamp"].iloc[-1] - pd.Timedelta(days=20)
        alarms += watched.check(fresh[new], fresh[~new])["drift"]
    assert alarms <= stats.binom.ppf(0.99, checks, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("column", ["amount", "log_amount", "quantity"])
def test_half_a_standard_deviation_is_nearly_always_found(watched, column):
    rng, hits, checks = np.random.default_rng(0), 0, 15
    for _ in range(checks):
        rows = np.sort(rng.choice(len(watched.newest), 600, replace=False))
        hits += column in drifted(watched.check(shift(watched.newest.iloc[rows], column)))
    assert hits >= stats.binom.ppf(0.01, checks, 0.95)
