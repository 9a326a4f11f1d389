import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit
from sklearn.metrics import average_precision_score, roc_auc_score

from fraud_ae.scorers.calibrated import (
    LEAST_FRAUDS,
    LEAST_VALIDATION_FRAUDS,
    CalibratedScorer,
)
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.signals import Signals
from tests.scorers.rows import labelled, signals

FITTED, VALIDATION, OTHERS = labelled(seed=1), labelled(seed=2), labelled(seed=3)


@pytest.fixture(scope="module")
def fitted() -> CalibratedScorer:
    return CalibratedScorer().fit(*FITTED, *VALIDATION)


@pytest.fixture(scope="module")
def scores(fitted) -> np.ndarray:
    return fitted.score(OTHERS[0])


@pytest.fixture(scope="module")
def members() -> CalibratedScorer:
    """Three members, never calibrated."""
    return CalibratedScorer(members=3).fit(*FITTED)


def with_frauds(rows: tuple, count: int) -> tuple:
    """Labels that know so many of the frauds."""
    signals_, labels = rows
    return signals_, np.where(np.cumsum(labels) > count, 0, labels)


def test_frauds_that_are_unusual_in_one_feature_are_learned_from_labels(scores):
    reconstruction = ReconstructionScorer().fit(*FITTED, *VALIDATION).score(OTHERS[0])
    learned = roc_auc_score(OTHERS[1], scores)
    assert learned > 0.95
    assert learned > roc_auc_score(OTHERS[1], reconstruction) + 0.1


def test_each_kind_of_evidence_is_used():
    labels = (np.arange(2000) % 20 == 0).astype(np.int8)
    for name in ("inputs", "residuals", "code"):
        rows, others = signals(2000, seed=1), signals(2000, seed=2)
        for some in (rows, others):
            getattr(some, name)[labels == 1, 0] += 3.0
        assert roc_auc_score(labels, CalibratedScorer().fit(rows, labels).score(others)) > 0.95


def test_scores_are_probabilities_one_float32_for_each_row(fitted, scores):
    assert scores.shape == (4000,)
    assert scores.dtype == np.float32
    assert 0 <= scores.min() < scores.max() <= 1
    assert fitted.score(OTHERS[0][:1]).shape == (1,)
    assert fitted.score(OTHERS[0][:0]).shape == (0,)
    in_validation = fitted.score(VALIDATION[0]).mean()
    assert in_validation == pytest.approx(VALIDATION[1].mean(), abs=0.002)
    log_odds = fitted.additive_score(OTHERS[0])
    np.testing.assert_allclose(log_odds, logit(scores.astype(np.float64)), atol=1e-3)


@pytest.mark.parametrize("rows", [VALIDATION, OTHERS], ids=["validation", "others"])
def test_of_rows_of_like_probability_that_share_is_fraud(fitted, rows):
    scores, labels = fitted.score(rows[0]), rows[1]
    edges = [0, 0.02, 0.1, 0.5, 1.01]
    for low, high in itertools.pairwise(edges):
        inside = (scores >= low) & (scores < high)
        expected, n = scores[inside].mean(), inside.sum()
        noise = np.sqrt(expected * (1 - expected) / n)
        assert n > 10
        assert labels[inside].mean() == pytest.approx(expected, abs=4 * noise + 0.03)


def uncalibrated(fitted: CalibratedScorer, rows: Signals) -> np.ndarray:
    plain = copy.copy(fitted)
    plain.curve_ = (1.0, 0.0)
    return plain.score(rows)


def test_calibration_leaves_the_order_as_it_is(fitted, scores):
    plain = uncalibrated(fitted, OTHERS[0])
    assert not np.allclose(plain, scores, atol=0.01)
    order = np.argsort(plain, kind="stable")
    assert (np.diff(scores[order]) >= 0).all()
    assert len(np.unique(scores)) > 0.99 * len(np.unique(plain))


def test_scores_that_separate_validation_rows_keep_their_order_too():
    rows = [labelled(seed=seed) for seed in (1, 2, 3)]
    for part, labels in rows:
        part.inputs[labels == 1, 0] += 20
    scorer = CalibratedScorer().fit(*rows[0], *rows[1])
    plain, scores = uncalibrated(scorer, rows[2][0]), scorer.score(rows[2][0])
    assert roc_auc_score(rows[2][1], plain) == 1
    assert len(np.unique(scores)) > 0.99 * len(np.unique(plain))
    assert scores.max() < 1


def test_trees_that_err_in_validation_are_not_turned_round(caplog):
    scorer = CalibratedScorer().fit(*FITTED, VALIDATION[0], 1 - VALIDATION[1])
    assert roc_auc_score(OTHERS[1], scorer.score(OTHERS[0])) > 0.95
    assert "not calibrated" in scorer.fallback
    assert scorer.fallback in caplog.text


@pytest.mark.parametrize("frauds", [0, LEAST_FRAUDS - 1])
def test_with_too_few_frauds_it_scores_as_reconstruction_does_and_says_so(caplog, frauds):
    rows = with_frauds(FITTED, frauds)
    scorer = CalibratedScorer().fit(*rows, *VALIDATION)
    expected = ReconstructionScorer().fit(*rows, *VALIDATION).score(OTHERS[0])
    np.testing.assert_array_equal(scorer.score(OTHERS[0]), expected)
    np.testing.assert_allclose(scorer.additive_score(OTHERS[0]), expected, rtol=1e-6)
    assert not scorer.uses_labels
    assert scorer.fallback.startswith(f"{frauds} known frauds")
    assert str(LEAST_FRAUDS) in scorer.fallback
    assert scorer.fallback in caplog.text


def test_with_just_enough_frauds_it_learns_and_is_calibrated(caplog):
    rows = with_frauds(FITTED, LEAST_FRAUDS)
    scorer = CalibratedScorer().fit(*rows, *with_frauds(VALIDATION, LEAST_VALIDATION_FRAUDS))
    assert scorer.uses_labels
    assert scorer.fallback is None
    assert not caplog.records


def test_trees_count_only_where_there_are_frauds_enough_to_try_them():
    few = CalibratedScorer().fit(*with_frauds(FITTED, 11))
    assert few.trees_share_ == 0
    assert few.trees_ == []
    many = CalibratedScorer().fit(*FITTED)
    assert many.trees_share_ > 0
    assert len(many.trees_) == 1


def test_trees_of_what_no_line_can_separate_count_more():
    rows, others = signals(6000, seed=1), signals(6000, seed=2)
    odd = [(part.inputs[:, 0] > 0) != (part.inputs[:, 1] > 0) for part in (rows, others)]
    labels = [(unlike & (np.arange(6000) % 10 == 0)).astype(np.int8) for unlike in odd]
    scorer = CalibratedScorer().fit(rows, labels[0])
    assert scorer.trees_share_ == 0.75
    ridge = roc_auc_score(labels[1], scorer.ridge_.log_odds(others))
    assert roc_auc_score(labels[1], scorer.score(others)) > ridge + 0.05


def test_more_known_frauds_rank_no_worse():
    aucs = [
        roc_auc_score(
            OTHERS[1], CalibratedScorer().fit(*with_frauds(FITTED, count)).score(OTHERS[0])
        )
        for count in (3, 10, 40, 10**6)
    ]
    assert (np.diff(aucs) > -0.02).all()
    assert aucs[-1] > aucs[0]


def test_frauds_nobody_knows_of_cost_less_where_likely_ones_are_left_out():
    clear, others = labelled(seed=1, share=0.02), labelled(seed=3, share=0.02)
    for rows, labels in (clear, others):
        rows.inputs[labels == 1, 1] += 4.0
        rows.residuals[labels == 1, 1] += 0.8
    reached = [
        [
            average_precision_score(
                others[1],
                CalibratedScorer(contamination=share)
                .fit(*with_frauds(clear, known))
                .score(others[0]),
            )
            for known in (5, 10)
        ]
        for share in (0.0, 0.02)
    ]
    assert np.mean(reached[1]) > np.mean(reached[0]) + 0.005


@pytest.mark.parametrize(("known", "left_out"), [(4, 0.002), (8, 0.001), (200, 0.0)])
def test_without_a_setting_it_leaves_out_what_known_frauds_lack_to_the_usual_share(known, left_out):
    rows = with_frauds(FITTED, known)
    np.testing.assert_array_equal(
        CalibratedScorer().fit(*rows).score(OTHERS[0]),
        CalibratedScorer(contamination=left_out).fit(*rows).score(OTHERS[0]),
    )


def test_too_few_frauds_in_validation_are_said_and_scores_stay_as_they_are(caplog, fitted):
    few = with_frauds(VALIDATION, LEAST_VALIDATION_FRAUDS - 1)
    scorer = CalibratedScorer().fit(*FITTED, *few)
    assert scorer.uses_labels
    assert scorer.fallback.startswith(f"{LEAST_VALIDATION_FRAUDS - 1} frauds in validation")
    assert scorer.fallback in caplog.text
    plain = uncalibrated(fitted, OTHERS[0])
    np.testing.assert_array_equal(scorer.score(OTHERS[0]), plain)


def test_thinned_normal_rows_give_the_same_odds_and_much_the_same_order():
    rows, labels = labelled(20_000, seed=5)
    whole, thinned = (CalibratedScorer(0, most).fit(rows, labels) for most in (20_000, 500))
    assert thinned.thinned_by_ > 5
    scores = [scorer.score(OTHERS[0]) for scorer in (whole, thinned)]
    # Without a curve of validation rows, which would hide that odds are of other shares. Of thinned
    # rows, two thirds of which are frauds, they would be many times too high if not corrected.
    for score in scores:
        assert score.mean() == pytest.approx(OTHERS[1].mean(), rel=0.35)
    aucs = [roc_auc_score(OTHERS[1], score) for score in scores]
    assert aucs[0] == pytest.approx(aucs[1], abs=0.01)


def test_no_fraud_is_thinned_away():
    rows, labels = labelled(20_000, seed=5, share=0.01)
    scores = CalibratedScorer(0, 100).fit(rows, labels).score(OTHERS[0])
    assert roc_auc_score(OTHERS[1], scores) > 0.9


def test_members_average_the_odds_of_several_seeds(members):
    alone = []
    for trees in members.trees_:
        one = copy.copy(members)
        one.trees_ = [trees]
        alone.append(logit(one.score(OTHERS[0]).astype(np.float64)))
    assert len(alone) == 3
    assert not np.allclose(alone[0], alone[1], atol=0.01)
    scores = logit(members.score(OTHERS[0]).astype(np.float64))
    np.testing.assert_allclose(scores, np.mean(alone, axis=0), atol=0.01)


def test_a_refit_that_was_never_calibrated_says_so():
    scorer = CalibratedScorer().fit(*FITTED, *with_frauds(VALIDATION, 0)).fit(*OTHERS)
    assert "not calibrated" in scorer.fallback
    late = CalibratedScorer().fit(*with_frauds(FITTED, 0), *VALIDATION).fit(*OTHERS)
    assert late.uses_labels
    assert "not calibrated" in late.fallback
    assert late.fit(*OTHERS, *VALIDATION).fallback is None


def test_a_seed_repeats_the_scores_and_another_gives_others(scores):
    again = CalibratedScorer().fit(*FITTED, *VALIDATION).score(OTHERS[0])
    np.testing.assert_array_equal(again, scores)
    other = CalibratedScorer(seed=1).fit(*FITTED, *VALIDATION).score(OTHERS[0])
    assert not np.array_equal(other, scores)


def saved_and_loaded(scorer: CalibratedScorer, folder: Path) -> CalibratedScorer:
    scorer.save(folder)
    loaded = CalibratedScorer.load(folder)
    assert (loaded.fallback, loaded.uses_labels) == (scorer.fallback, scorer.uses_labels)
    np.testing.assert_array_equal(loaded.score(OTHERS[0]), scorer.score(OTHERS[0]))
    return loaded


def test_a_saved_scorer_and_its_refit_give_identical_scores(fitted, tmp_path):
    loaded, refit = saved_and_loaded(fitted, tmp_path).fit(*OTHERS), copy.copy(fitted).fit(*OTHERS)
    np.testing.assert_array_equal(loaded.score(VALIDATION[0]), refit.score(VALIDATION[0]))
    # Without validation rows the curve of the first fit is kept.
    assert loaded.curve_ == refit.curve_ == fitted.curve_ != (1.0, 0.0)
    assert loaded.fallback is refit.fallback is None


def test_members_and_scorers_that_fell_back_are_saved_as_such(members, tmp_path):
    assert len(saved_and_loaded(members, tmp_path).trees_) == 3
    few = CalibratedScorer().fit(*with_frauds(FITTED, 0), *VALIDATION)
    (tmp_path / "few").mkdir()
    assert not saved_and_loaded(few, tmp_path / "few").uses_labels
