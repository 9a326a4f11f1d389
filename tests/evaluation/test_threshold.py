import json
import logging
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold import (
    METHODS,
    NEEDS_FRAUD,
    ThresholdPolicy,
    alerts,
    percentile_threshold,
    utc_days,
)


def scores(n: int = 1000) -> np.ndarray:
    return np.random.default_rng(0).random(n).astype(np.float32)


@pytest.mark.parametrize(("percentile", "rate"), [(50, 0.5), (90, 0.1), (95, 0.05), (99.5, 0.005)])
def test_the_percentile_is_the_share_without_alert(percentile, rate):
    flagged = alerts(scores(), percentile_threshold(scores(), percentile))
    assert flagged.mean() == pytest.approx(rate, abs=0.001)


def test_alerts_are_the_highest_scores():
    flagged = alerts(scores(), percentile_threshold(scores(), 90))
    assert scores()[flagged].min() > scores()[~flagged].max()


def test_a_score_at_the_threshold_is_no_alert():
    assert alerts(np.array([1.0, 2.0, 3.0]), 2.0).tolist() == [False, False, True]


def test_equal_scores_are_alerted_on_together_or_not_at_all():
    tied = np.array([0.0] * 80 + [1.0] * 15 + [2.0] * 5)
    assert alerts(tied, percentile_threshold(tied, 90)).sum() == 5
    assert alerts(tied, percentile_threshold(tied, 70)).sum() == 20
    assert alerts(np.ones(10), percentile_threshold(np.ones(10), 95)).sum() == 0


def test_a_threshold_is_a_plain_number_and_alerts_have_one_entry_per_score():
    assert type(percentile_threshold(scores(), 95)) is float
    flagged = alerts(scores(), 0.5)
    assert flagged.shape == (1000,)
    assert flagged.dtype == bool


def scored(seed: int = 0, n: int = 120, levels: int | None = 25, days: int = 5) -> pd.DataFrame:
    """Scored transactions; `levels` distinct scores, so that many are equal, None for no ties."""
    rng = np.random.default_rng(seed)
    is_fraud = (rng.random(n) < 0.2).astype(np.int8)
    is_fraud[0] = 1
    score = rng.normal(0, 1, n) + is_fraud
    if levels is not None:
        score = np.round(score * levels / 5) / 7  # sevenths are exact in no binary number
    us = rng.integers(0, days * 86_400_000_000, n)
    return pd.DataFrame(
        {
            "timestamp": pd.to_datetime(us, unit="us", utc=True).as_unit("us"),
            "amount": rng.exponential(30, n).round(2),
            "is_fraud": is_fraud,
            "score": score.astype(np.float32),
        }
    )


FRAMES = [
    pytest.param(scored(seed, n, levels), id=f"seed{seed}-{n}rows-{levels}levels")
    for seed, (n, levels) in enumerate([(120, 25), (120, 6), (300, None), (40, 3), (7, None)])
]


def flagged_by(policy: ThresholdPolicy, frame: pd.DataFrame) -> np.ndarray:
    return alerts(frame["score"].to_numpy(), policy.choose(frame))


def every_cutoff(frame: pd.DataFrame) -> list[np.ndarray]:
    """The alerts of every threshold there is, from all alerts to none."""
    score = frame["score"].to_numpy()
    return [np.ones(len(score), dtype=bool), *(score > level for level in np.unique(score))]


def precision(flagged: np.ndarray, frame: pd.DataFrame) -> float:
    return frame["is_fraud"][flagged].mean() if flagged.any() else 0.0


def recall(flagged: np.ndarray, frame: pd.DataFrame) -> float:
    return frame["is_fraud"][flagged].sum() / frame["is_fraud"].sum()


def f1(flagged: np.ndarray, frame: pd.DataFrame) -> float:
    return 2 * frame["is_fraud"][flagged].sum() / (flagged.sum() + frame["is_fraud"].sum())


def cost(flagged: np.ndarray, frame: pd.DataFrame, review_cost: float) -> float:
    missed = frame["amount"][(frame["is_fraud"] == 1) & ~flagged].sum()
    return missed + review_cost * flagged.sum()


def test_the_percentile_method_is_the_percentile():
    frame = scored(levels=None)
    policy = ThresholdPolicy("percentile", percentile=90)
    assert policy.choose(frame) == percentile_threshold(frame["score"].to_numpy(), 90)
    assert ThresholdPolicy().choose(frame) == percentile_threshold(frame["score"].to_numpy(), 95)


@pytest.mark.parametrize("frame", FRAMES)
def test_no_cutoff_has_a_higher_f1(frame):
    found = f1(flagged_by(ThresholdPolicy("best_f1"), frame), frame)
    assert found == max(f1(flagged, frame) for flagged in every_cutoff(frame))


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("least", [0.0, 0.05, 0.3, 0.5, 0.8, 1.0])
def test_recall_is_reached_with_the_fewest_alerts(frame, least):
    flagged = flagged_by(ThresholdPolicy("recall", least_recall=least), frame)
    reached = [c.sum() for c in every_cutoff(frame) if recall(c, frame) >= least]
    assert recall(flagged, frame) >= least
    assert flagged.sum() == min(reached)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("least", [0.0, 0.1, 0.25, 0.4])
def test_precision_is_kept_with_the_most_alerts(frame, least, caplog):
    flagged = flagged_by(ThresholdPolicy("precision", least_precision=least), frame)
    kept = [c.sum() for c in every_cutoff(frame) if c.any() and precision(c, frame) >= least]
    assert precision(flagged, frame) >= least
    assert flagged.sum() == max(kept)
    assert caplog.records == []


@pytest.mark.parametrize("frame", FRAMES)
def test_where_no_precision_is_enough_the_highest_is_taken_and_named(frame, caplog):
    frame = frame.assign(score=-frame["score"])  # a detector that is wrong
    best = max(precision(flagged, frame) for flagged in every_cutoff(frame))
    with caplog.at_level(logging.WARNING):
        flagged = flagged_by(ThresholdPolicy("precision", least_precision=1.1), frame)
    assert precision(flagged, frame) == best
    assert f"{best:.4f}" in caplog.text


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("review_cost", [0.0, 0.5, 5.0, 50.0, 1e6])
def test_no_cutoff_costs_less(frame, review_cost):
    flagged = flagged_by(ThresholdPolicy("cost", review_cost=review_cost), frame)
    least = min(cost(c, frame, review_cost) for c in every_cutoff(frame))
    assert cost(flagged, frame, review_cost) == pytest.approx(least, abs=1e-6)


def test_cost_may_alert_on_nothing_or_on_everything():
    frame = scored()
    assert not flagged_by(ThresholdPolicy("cost", review_cost=1e6), frame).any()
    lowest = frame["score"].to_numpy().argmin()
    frame.loc[lowest, ["is_fraud", "amount"]] = 1, 1e6
    assert flagged_by(ThresholdPolicy("cost", review_cost=0.01), frame).all()


def test_of_equal_costs_the_fewest_alerts_are_taken():
    # However many are alerted on, ten times 0.1 is paid; sums of 0.1 differ by rounding alone.
    frame = scored(n=10).assign(is_fraud=1, amount=0.1, score=np.arange(10, dtype=np.float32))
    assert not flagged_by(ThresholdPolicy("cost", review_cost=0.1), frame).any()


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("budget", [0.0, 0.2, 0.29, 1.0, 3.7, 10.0, 1e9])
def test_the_budget_is_filled_and_never_exceeded(frame, budget):
    days = frame["timestamp"].dt.date.nunique()
    flagged = flagged_by(ThresholdPolicy("budget", alerts_per_day=budget), frame)
    fitting = [c.sum() for c in every_cutoff(frame) if c.sum() / days <= budget]
    assert flagged.sum() == max(fitting)


def test_ties_do_not_exceed_the_budget():
    frame = scored().assign(score=np.float32(1))
    assert not flagged_by(ThresholdPolicy("budget", alerts_per_day=1), frame).any()


def test_a_budget_that_is_no_exact_binary_number_is_used_up():
    frame = scored(n=5000, levels=None, days=100)
    assert utc_days(frame["timestamp"]).astype(int).max() == 99
    # 0.29 * 100 is 28.999999999999996.
    assert flagged_by(ThresholdPolicy("budget", alerts_per_day=0.29), frame).sum() == 29


def test_days_are_counted_in_utc():
    hours = pd.to_datetime(["2024-01-01 23:30", "2024-01-02 00:30"], utc=True).as_unit("us")
    assert utc_days(pd.Series(hours)).astype(str).tolist() == ["2024-01-01", "2024-01-02"]
    berlin = pd.Series(hours.tz_convert("Europe/Berlin"))
    assert utc_days(berlin).astype(str).tolist() == ["2024-01-01", "2024-01-02"]
    before_1970 = pd.Series(pd.to_datetime(["1969-12-31 23:00"], utc=True).as_unit("us"))
    assert utc_days(before_1970).astype(str).tolist() == ["1969-12-31"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("frame", FRAMES)
def test_a_threshold_survives_json_and_float32(method, frame):
    policy = ThresholdPolicy(method, review_cost=0.01)
    threshold = policy.choose(frame)
    assert type(threshold) is float
    assert float(np.float32(threshold)) == threshold
    again = json.loads(json.dumps(threshold, allow_nan=False))
    score = frame["score"].to_numpy()
    assert (alerts(score, again) == (score.astype(np.float64) > threshold)).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_rows_does_not_matter(method):
    frame = scored()
    shuffled = frame.sample(frac=1, random_state=1)
    assert ThresholdPolicy(method).choose(shuffled) == ThresholdPolicy(method).choose(frame)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e30, -1e30, 1e-40])
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("method", METHODS)
def test_equal_scores_give_all_alerts_or_none(method, n, value, caplog):
    frame = scored(n=n).assign(is_fraud=[1, 0, 0, 0][:n], score=np.float32(value))
    policy = ThresholdPolicy(method, least_precision=0.1, review_cost=1e-3)
    flagged = flagged_by(policy, frame)
    assert flagged.sum() == (0 if method == "percentile" else n)


def test_everything_can_be_alerted_on_where_tiny_numbers_count_as_zero():
    frame = scored(n=3).assign(is_fraud=1, score=np.float32([0, 1, 2]))
    threshold = np.float32(ThresholdPolicy("recall", least_recall=1).choose(frame))
    assert threshold <= -np.finfo(np.float32).tiny


@pytest.mark.parametrize("method", NEEDS_FRAUD)
def test_without_a_fraud_there_is_nothing_to_learn_from(method):
    frame = scored().assign(is_fraud=0)
    with pytest.raises(UserError, match=f"{method}.*no fraud.*percentile or budget"):
        ThresholdPolicy(method).choose(frame)


@pytest.mark.parametrize("method", ["percentile", "budget"])
def test_two_methods_need_no_fraud(method):
    policy = ThresholdPolicy(method, percentile=90, alerts_per_day=2)
    frame = scored(levels=None)
    assert policy.choose(frame.assign(is_fraud=0)) == policy.choose(frame)


def test_methods_that_need_frauds_are_methods():
    assert set(NEEDS_FRAUD) < set(METHODS)


def test_rows_that_are_all_fraud_are_all_alerted_on():
    frame = scored().assign(is_fraud=1)
    assert flagged_by(ThresholdPolicy("best_f1"), frame).all()
    assert flagged_by(ThresholdPolicy("precision", least_precision=1), frame).all()


def test_an_unknown_method_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="best_f2.*best_f1") as raised:
        ThresholdPolicy("best_f2")
    assert all(method in str(raised.value) for method in METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_rows_that_cannot_be_used_are_refused(method):
    with pytest.raises(UserError, match="no scored transaction"):
        ThresholdPolicy(method).choose(scored().iloc[:0])
    frame = scored()
    frame.loc[3, "score"] = np.inf
    with pytest.raises(UserError, match="1 of 120 are not finite"):
        ThresholdPolicy(method).choose(frame)


def test_a_policy_is_plain_data():
    policy = ThresholdPolicy("cost", review_cost=3.5)
    assert ThresholdPolicy(**json.loads(json.dumps(asdict(policy)))) == policy
