"""Champion and challenger on the same rows, and what is made of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fraud_ae.configuration.parts import Promotion
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.production.challenger import Contest, contest, judge


def rows(frauds: int = 60, number: int = 2000, better: float = 0.0) -> pd.DataFrame:
    """Rows whose challenger sees so much more of the frauds than the champion."""
    rng = np.random.default_rng(1)
    labels = np.zeros(number, dtype=np.int8)
    labels[rng.choice(number, frauds, replace=False)] = 1
    champion = rng.normal(size=number) + 1.5 * labels
    return pd.DataFrame(
        {
            "transaction_id": [f"T{n}" for n in range(number)],
            "customer_id": [f"C{n}" for n in rng.integers(0, 300, number)],
            "timestamp": pd.date_range("2024-06-01", periods=number, freq="min", tz="UTC"),
            "is_fraud": labels,
            "champion": champion,
            "challenger": champion + better * labels,
        }
    )


def judged(frame: pd.DataFrame, **policy) -> dict:
    return judge(Contest(frame, 50, 0, 0, "train+validation"), Promotion(replicates=200, **policy))


@pytest.mark.parametrize(
    ("better", "verdict", "promoted"),
    [
        (1.0, "better", {"not_worse": True, "better": True, "always": True, "never": False}),
        (0.0, "not worse", {"not_worse": True, "better": False, "always": True, "never": False}),
        (
            -1.5,
            "worse or unclear",
            {"not_worse": False, "better": False, "always": True, "never": False},
        ),
    ],
)
def test_each_policy_promotes_what_it_says(better, verdict, promoted):
    for policy, expected in promoted.items():
        found = judged(rows(better=better), policy=policy)
        assert found["verdict"] == verdict
        assert found["promoted"] is expected


def test_figures_are_those_of_the_rows(monkeypatch):
    frame = rows(better=1.0)
    found = judged(frame)
    for metric in ("average_precision", "auc"):
        each = found["figures"][metric]
        assert each["difference"] == pytest.approx(each["challenger"] - each["champion"])
        assert each["low"] <= each["difference"] <= each["high"]
    highest = frame.nlargest(50, "challenger")["is_fraud"].sum()
    assert found["alerts"]["rate"] == 50 / 2000
    assert found["alerts"]["challenger"] == {"precision": highest / 50, "recall": highest / 60}
    assert found["rows"]["number"] == 2000
    assert found["rows"]["frauds"] == 60


def test_the_tolerance_and_the_metric_decide():
    frame = rows(better=-0.1)
    low = judged(frame)["figures"]["average_precision"]["low"]
    assert low < 0
    assert judged(frame, tolerance=-low + 1e-6)["promoted"]
    assert not judged(frame, tolerance=-low - 1e-6)["promoted"]
    auc = judged(frame, metric="auc")["figures"]["auc"]["low"]
    assert judged(frame, metric="auc", tolerance=-auc + 1e-6)["promoted"]
    assert auc != low


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (rows(frauds=9, better=3.0), "9 frauds in 2,000 rows; 10 are needed"),
        (rows().iloc[:0], "0 frauds in 0 rows"),
        (rows(frauds=40, number=40), "all 40 rows are frauds"),
        (rows().assign(customer_id="C1"), "all rows are of one customer"),
    ],
)
def test_what_cannot_be_told_is_promoted_by_no_policy_but_always(frame, reason):
    for policy in ("not_worse", "better", "never"):
        found = judged(frame, policy=policy)
        assert found["verdict"] == "cannot tell"
        assert reason in found["reason"]
        assert not found["promoted"]
    assert judged(frame, policy="always")["promoted"]


@pytest.fixture(scope="module")
def champion(finished_run) -> FraudDetector:
    return replace(FraudDetector.load(finished_run.model_folder), threshold=0.5)


@pytest.fixture(scope="module")
def enter(champion, compose, dataset):
    """The contest on the small data, of a champion whose own data ended at some time."""
    split = compose().split
    test = dataset.transactions[split.test(dataset.transactions)].reset_index(drop=True)
    # As the production stage keeps them.
    test = test.assign(score=0.25, deployed_score=0.5)

    def entered(ended: str, fitted_on: str = "train", test=test, champion=champion) -> Contest:
        parts = {"validation": {"end": ended}}
        info = {
            "data": {"split": parts, "to": ended},
            "figures": {"deployed": {"fitted_on": fitted_on}},
        }
        challenger = {"figures": {"deployed": {"fitted_on": "train+validation"}}}
        return contest(champion, info, champion, challenger, test, dataset, split)

    entered.test, entered.split = test, split
    return entered


def test_both_are_scored_on_the_newest_rows_whose_label_is_known(enter, champion, dataset):
    found = enter("2020-01-01T00:00:00+00:00")
    last = dataset.transactions["timestamp"].iloc[-1]
    known = enter.test[enter.test["timestamp"] <= last - pd.Timedelta(days=7)]
    assert found.rows["transaction_id"].tolist() == known["transaction_id"].tolist()
    assert found.unknown == len(enter.test) - len(known) > 0
    assert found.seen == 0
    # With all earlier rows as history.
    scores = champion.score_transactions(dataset.transactions)
    own = pd.Series(scores, index=dataset.transactions["transaction_id"])
    assert found.rows["champion"].tolist() == own[known["transaction_id"]].tolist()
    assert found.alerts == (own[known["transaction_id"]] > 0.5).sum()
    assert (found.rows["challenger"] == 0.5).all()
    assert found.fitted_on == "train+validation"


def test_what_the_champion_has_seen_is_left_out(enter):
    middle = enter.test["timestamp"].iloc[len(enter.test) // 4]
    found = enter(middle.isoformat())
    # The end of its validation rows is not one of them, that of its data is.
    assert found.rows["timestamp"].min() == middle
    assert found.seen == (enter.test["timestamp"] < middle).sum() > 0
    assert enter(middle.isoformat(), "all").rows["timestamp"].min() > middle
    nothing = enter("2030-01-01T00:00:00+00:00")
    assert len(nothing.rows) == 0
    assert judge(nothing, Promotion())["verdict"] == "cannot tell"


def test_a_fit_that_has_seen_the_test_rows_is_not_the_one_that_is_judged(enter):
    found = enter("2020-01-01T00:00:00+00:00", test=enter.test.drop(columns="deployed_score"))
    assert (found.rows["challenger"] == 0.25).all()
    assert found.fitted_on == "train"


def test_a_champion_that_cannot_score_the_rows_is_said_to(enter, champion):
    lacking = replace(champion, strategy=_Nothing())
    found = enter("2020-01-01T00:00:00+00:00", champion=lacking)
    decision = judge(found, Promotion())
    assert decision["verdict"] == "cannot tell"
    assert "the champion cannot score these transactions: features missing" in decision["reason"]
    assert judge(found, Promotion(policy="always"))["promoted"]


class _Nothing:
    """A strategy whose columns are gone."""

    def generate_features(self, df: pd.DataFrame) -> pd.DataFrame:
        return df[["amount"]].rename(columns={"amount": "other"})
