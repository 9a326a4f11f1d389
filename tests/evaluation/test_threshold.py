import numpy as np
import pytest

from fraud_ae.evaluation.threshold import alerts, percentile_threshold


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
