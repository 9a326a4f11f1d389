import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from fraud_ae.evaluation.curves import precision_recall_points, roc_points


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    y_true = (rng.random(20_000) < 0.03).astype(int)
    return y_true, (rng.normal(size=20_000) + 1.5 * y_true).astype(np.float32)


def test_few_points_keep_the_area_under_the_roc_curve(labelled):
    y_true, scores = labelled
    curve = roc_points(y_true, scores)
    assert len(curve) <= 202
    area = auc(curve["false_positive_rate"], curve["recall"])
    assert area == pytest.approx(roc_auc_score(y_true, scores), abs=0.002)
    assert curve[["false_positive_rate", "recall"]].iloc[[0, -1]].to_numpy().tolist() == [
        [0, 0],
        [1, 1],
    ]


@pytest.mark.parametrize("points", [50, 200])
def test_each_point_is_what_its_threshold_gives(labelled, points):
    y_true, scores = labelled
    for _, row in roc_points(y_true, scores, points).iloc[1:].iterrows():
        flagged = scores >= row["threshold"]
        assert row["recall"] == pytest.approx(flagged[y_true == 1].mean())
        assert row["false_positive_rate"] == pytest.approx(flagged[y_true == 0].mean())
    curve = precision_recall_points(y_true, scores, points)
    assert len(curve) <= points + 2
    assert curve["recall"].is_monotonic_increasing
    for _, row in curve.dropna().iterrows():
        flagged = scores >= row["threshold"]
        assert row["precision"] == pytest.approx(y_true[flagged].mean())
        assert row["recall"] == pytest.approx(flagged[y_true == 1].mean())


def test_few_points_keep_the_average_precision(labelled):
    y_true, scores = labelled
    curve = precision_recall_points(y_true, scores)
    steps = np.diff(curve["recall"]) * curve["precision"].to_numpy()[1:]
    assert steps.sum() == pytest.approx(average_precision_score(y_true, scores), abs=0.01)


def test_short_curves_are_kept_whole_and_one_class_has_none():
    y_true, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    assert len(roc_points(y_true, scores)) == 5 - 1
    assert len(precision_recall_points(y_true, scores)) == 5
    assert roc_points(np.zeros(4), scores).empty
    assert precision_recall_points(np.ones(4), scores).empty
