import numpy as np

from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.signals import Signals
from tests.scorers.rows import GROUPS, SIZES, changed, signals

NORMAL = np.zeros(400, dtype=np.int8)


def fitted(cap: float | None = None) -> ReconstructionScorer:
    return ReconstructionScorer(cap).fit(signals(), NORMAL)


def test_each_feature_is_divided_by_its_typical_error():
    expected = (signals(seed=1).errors / signals().errors.mean(axis=0)).mean(axis=1)
    np.testing.assert_allclose(fitted().score(signals(seed=1)), expected, rtol=1e-5)


def test_a_category_counts_as_one_feature_however_many_values_it_has():
    rows = signals()
    once = Signals(rows.inputs[:, :5], rows.residuals[:, :5], rows.code, np.arange(5))
    thrice = changed(rows, residuals=rows.residuals[:, [0, 1, 2, 3, 4, 4, 4]])
    scores = ReconstructionScorer().fit(once, NORMAL).score(once)
    again = ReconstructionScorer().fit(thrice, NORMAL).score(thrice)
    np.testing.assert_allclose(again, scores, rtol=1e-5)


def test_typical_errors_are_those_of_normal_validation_rows():
    validation, labels = signals(seed=2), (np.arange(400) < 40).astype(np.int8)
    validation.residuals[labels == 1] *= 100
    scorer = ReconstructionScorer().fit(signals(), NORMAL, validation, labels)
    expected = validation.errors[labels == 0].mean(axis=0)
    np.testing.assert_allclose(scorer.scale_, expected, rtol=1e-5)


def test_without_normal_validation_rows_they_are_those_of_normal_fitted_rows():
    rows, labels = signals(), (np.arange(400) < 40).astype(np.int8)
    rows.residuals[labels == 1] *= 100
    expected = rows.errors[labels == 0].mean(axis=0)
    alone = ReconstructionScorer().fit(rows, labels)
    np.testing.assert_allclose(alone.scale_, expected, rtol=1e-5)
    frauds = signals(20, seed=3)
    beside = ReconstructionScorer().fit(rows, labels, frauds, np.ones(20, dtype=np.int8))
    np.testing.assert_allclose(beside.scale_, expected, rtol=1e-5)


def test_a_feature_with_small_errors_is_heard():
    odd = signals()
    odd.residuals[:10, 0] = 8 * SIZES[0]  # still below the errors of other features
    scorer = fitted()
    assert scorer.score(odd)[:10].mean() / scorer.score(signals())[:10].mean() > 2


def test_one_feature_counts_no_more_than_the_cap():
    rows = signals()
    rows.residuals[:, 0] = 1e3
    assert fitted(cap=5.0).score(rows).max() <= 5.0
    assert fitted().score(rows).min() > 1e6


def test_a_feature_that_is_always_reconstructed_does_not_make_scores_infinite():
    constant = signals()
    constant.residuals[:, 2] = 0
    scorer = ReconstructionScorer().fit(constant, NORMAL)
    assert np.isfinite(scorer.score(signals())).all()
    assert len(scorer.scale_) == len(set(GROUPS))
