import json

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score

from fraud_ae.scorers.linear import RidgeOdds
from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from tests.scorers.rows import labelled

FITTED, OTHERS = labelled(seed=1), labelled(seed=3)


def known(count: int) -> np.ndarray:
    """Labels that know so many of the frauds; the others lie among the normal rows."""
    return np.where(np.cumsum(FITTED[1]) > count, 0, FITTED[1])


def fit(labels: np.ndarray) -> RidgeOdds:
    return RidgeOdds.fit(FITTED[0], labels, np.ones(len(labels)))


def reached(odds: np.ndarray) -> float:
    return average_precision_score(OTHERS[1], odds)


def test_more_known_frauds_rank_better_and_five_better_than_none():
    unlabelled = [
        scorer.fit(FITTED[0], known(0)).score(OTHERS[0])
        for scorer in (ReconstructionScorer(), MahalanobisScorer())
    ]
    few, all_ = (reached(fit(known(count)).log_odds(OTHERS[0])) for count in (5, 10**6))
    assert max(map(reached, unlabelled)) < few < all_


def test_odds_are_those_of_the_rows_that_are_stood_for():
    labels = FITTED[1]
    rows = (labels == 1) | (np.arange(len(labels)) % 4 == 0)
    stands_for = np.where(labels == 1, 1.0, 4.0)[rows]
    thinned = RidgeOdds.fit(FITTED[0][rows], labels[rows], stands_for).log_odds(OTHERS[0])
    whole = fit(labels).log_odds(OTHERS[0])
    assert expit(thinned).mean() == pytest.approx(expit(whole).mean(), rel=0.1)


def test_plain_data_hold_all_of_it():
    ridge = fit(known(20))
    again = RidgeOdds.from_dict(json.loads(json.dumps(ridge.to_dict())))
    np.testing.assert_array_equal(again.log_odds(OTHERS[0]), ridge.log_odds(OTHERS[0]))
