import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from fraud_ae.evaluation.metrics import alert_metrics, ranking_metrics

LABELS = np.array([0, 0, 1, 0, 1, 0], dtype=np.int8)
SCORES = np.array([0.1, 0.4, 0.35, 0.2, 0.9, 0.8], dtype=np.float32)


def test_ranking_by_hand():
    found = ranking_metrics(LABELS, SCORES)
    # Of 2 x 4 pairs of a fraud and a normal row, 0.35 loses against 0.4 and 0.8.
    assert found["auc"] == pytest.approx(6 / 8)
    # Frauds are at ranks 1 and 4: precision 1/1 and 2/4.
    assert found["average_precision"] == pytest.approx((1 + 2 / 4) / 2)


def test_alerts_by_hand():
    assert alert_metrics(LABELS, SCORES, 0.3) == {
        "precision": pytest.approx(2 / 4),
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "threshold": 0.3,
        "alert_rate": pytest.approx(4 / 6),
        "true_positives": 2,
        "false_positives": 2,
        "false_negatives": 0,
        "true_negatives": 2,
    }


def test_equal_scores_count_as_sklearn_counts_them():
    rng = np.random.default_rng(0)
    labels = (rng.random(500) < 0.2).astype(np.int8)
    scores = (rng.integers(0, 4, 500) + labels).astype(np.float32)
    found = ranking_metrics(labels, scores) | alert_metrics(labels, scores, 2.0)
    flagged = (scores > 2).astype(int)
    assert found["auc"] == sklearn_metrics.roc_auc_score(labels, scores)
    expected = sklearn_metrics.average_precision_score(labels, scores)
    assert found["average_precision"] == expected
    assert found["precision"] == sklearn_metrics.precision_score(labels, flagged)
    assert found["recall"] == sklearn_metrics.recall_score(labels, flagged)
    assert found["f1"] == sklearn_metrics.f1_score(labels, flagged)
    assert found["alert_rate"] == flagged.mean()


def test_scores_that_are_all_equal_rank_nothing():
    assert ranking_metrics(LABELS, np.ones(6))["auc"] == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_alone_the_ranking_is_undefined(label):
    labels = np.full(6, label, dtype=np.int8)
    assert ranking_metrics(labels, SCORES) == {"auc": None, "average_precision": None}


@pytest.mark.parametrize("threshold", [0.3, 2.0])
def test_alerts_on_rows_without_fraud_have_no_precision_and_no_recall(threshold):
    found = alert_metrics(np.zeros(6, dtype=np.int8), SCORES, threshold)
    assert found["precision"] is found["recall"] is found["f1"] is None
    assert found["false_positives"] + found["true_negatives"] == 6


def test_no_alert_at_all_has_no_precision():
    found = alert_metrics(LABELS, SCORES, 1.0)
    assert found["precision"] is None
    assert found["recall"] == found["f1"] == found["alert_rate"] == 0
    assert found["false_negatives"] == 2


def test_figures_are_plain_numbers():
    found = ranking_metrics(LABELS, SCORES) | alert_metrics(LABELS, SCORES, 0.3)
    assert {type(value) for value in found.values()} == {float, int}
