import numpy as np
import pandas as pd
import pytest

from fraud_ae.evaluation.threshold import ThresholdPolicy, alerts, utc_days
from fraud_ae.evaluation.threshold_curve import candidate_thresholds, explorer, histogram
from tests.report.made import scored


@pytest.fixture(scope="module")
def parts():
    return {"validation": scored("validation", 2.0), "test": scored("test", 1.5)}


def test_counts_are_those_of_the_scores_at_every_threshold(parts):
    chosen = ThresholdPolicy().choose(parts["validation"])
    found = explorer(parts, chosen)
    assert found["thresholds"][found["start"]] == chosen
    for name, rows in parts.items():
        part = found["parts"][name]
        assert part["days"] == len(np.unique(utc_days(rows["timestamp"])))
        for place, threshold in enumerate(found["thresholds"]):
            flagged = rows[alerts(rows["score"].to_numpy(), threshold)]
            frauds = flagged[flagged["is_fraud"] == 1]
            assert part["alerts"][place] == len(flagged)
            assert part["caught"][place] == len(frauds)
            assert part["caught_amount"][place] == pytest.approx(frauds["amount"].sum())
        assert part["rows"] == len(rows)
        assert part["frauds"] == rows["is_fraud"].sum()
        assert part["fraud_amount"] == pytest.approx(rows.query("is_fraud == 1")["amount"].sum())


def test_thresholds_are_few_dense_at_the_top_and_begin_without_an_alert():
    scores = np.random.default_rng(0).random(50_000).astype(np.float32)
    found = candidate_thresholds(scores, 0.95)
    assert 400 < len(found) <= 601
    assert found == sorted(set(found), reverse=True)
    assert 0.95 in found
    flagged = [int((scores > np.float32(threshold)).sum()) for threshold in found]
    assert flagged[:20] == list(range(20))
    assert flagged[-1] == len(scores) - 1


@pytest.mark.parametrize(
    "scores", [[0.5], [0.5, 0.5, 0.5], [0.1, 0.2]], ids=["one row", "all equal", "two"]
)
def test_few_rows_have_a_threshold_too(scores):
    scores = np.array(scores, dtype=np.float32)
    chosen = float(np.percentile(scores, 95))
    found = candidate_thresholds(scores, chosen)
    assert chosen in found
    assert len({np.float32(threshold) for threshold in found}) == len(found)


def test_the_share_of_each_class_by_score_adds_up_to_one(parts):
    found = histogram(parts["validation"])
    assert found["log"]
    assert set(found["shares"]) == {"normal", "fraud"}
    for shares in found["shares"].values():
        assert len(shares) == len(found["edges"]) - 1
        assert sum(shares) == pytest.approx(1)


def test_a_class_that_is_not_there_has_no_histogram_and_equal_scores_have_one():
    rows = scored("validation", 1.0, frauds=False)
    assert set(histogram(rows)["shares"]) == {"normal"}
    same = histogram(pd.DataFrame({"score": np.float32([1, 1]), "is_fraud": [0, 1]}))
    assert sum(same["shares"]["fraud"]) == 1
    assert not same["log"]
