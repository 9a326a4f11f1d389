from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.signals import Signals
from tests.scorers.rows import signals

NORMAL = np.zeros(400, dtype=np.int8)


def values(rows: Signals) -> np.ndarray:
    return np.hstack([rows.residuals, rows.code]).astype(np.float64)


def test_scores_are_squared_mahalanobis_distances():
    known = values(signals())
    inverse = np.linalg.inv(np.cov(known, rowvar=False, bias=True))
    scores = MahalanobisScorer().fit(signals(), NORMAL).score(signals(seed=1))
    expected = [
        mahalanobis(row, known.mean(axis=0), inverse) ** 2 for row in values(signals(seed=1))
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_errors_that_are_unusual_together_alone_are_seen():
    rows = signals()
    rows.residuals[:, 1] = rows.residuals[:, 0] * 3 + 0.1 * rows.residuals[:, 1]
    scorer = MahalanobisScorer().fit(rows, NORMAL)
    usual, odd = signals(seed=1), signals(seed=1)
    usual.residuals[:, :2] = [0.1, 0.3]
    odd.residuals[:, :2] = [0.1, -0.3]  # each by itself as large as before
    assert (scorer.score(odd) > scorer.score(usual) + 100).all()


def test_a_row_that_is_reconstructed_well_from_an_unusual_code_is_seen():
    scorer = MahalanobisScorer().fit(signals(), NORMAL)
    odd = signals(50, seed=1)
    before = scorer.score(odd)
    odd.code[:, 0] += 20
    assert (scorer.score(odd) > before + 50).all()


@pytest.mark.parametrize("n_constant", [1, 3, 7])
def test_constant_errors_do_not_blow_up(n_constant):
    rows, others = signals(), signals(seed=1)
    for some in (rows, others):
        some.residuals[:, :n_constant] = 0.25
    scorer = MahalanobisScorer().fit(rows, NORMAL)
    scores = scorer.score(others)
    rest, other_rest = (replace(r, residuals=r.residuals[:, n_constant:]) for r in (rows, others))
    expected = MahalanobisScorer().fit(rest, NORMAL).score(other_rest)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    # What was constant varies by next to nothing, and that is no reason for an alert.
    others.residuals[:, :n_constant] += 1e-6
    np.testing.assert_allclose(scorer.score(others), scores, rtol=1e-3)


@pytest.mark.parametrize("n", [1, 5])
def test_fewer_rows_than_directions_give_finite_scores(n):
    scorer = MahalanobisScorer().fit(signals(n), NORMAL[:n])
    scores = scorer.score(signals(seed=1))
    assert scores.shape == (400,)
    assert np.isfinite(scores).all()


def test_rows_that_are_all_alike_tell_nothing(tmp_path):
    rows = signals(3)[np.zeros(9, dtype=int)]
    scorer = MahalanobisScorer().fit(rows, NORMAL[:9])
    assert (scorer.score(signals()) == 0).all()
    scorer.save(tmp_path)
    assert (MahalanobisScorer.load(tmp_path).score(signals()) == 0).all()
