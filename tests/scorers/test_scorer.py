"""What the scorers that learn no labels keep to."""

import json

import numpy as np
import pytest

from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.scorer import Scorer
from tests.scorers.rows import signals

NORMAL = np.zeros(400, dtype=np.int8)


@pytest.fixture(params=[ReconstructionScorer(), ReconstructionScorer(5.0), MahalanobisScorer()])
def scorer(request) -> Scorer:
    return request.param.fit(signals(), NORMAL)


def test_scores_are_one_float32_for_each_row_and_higher_for_anomalies(scorer):
    rows = signals(seed=1)
    rows.residuals[7] *= 20
    scores = scorer.score(rows)
    assert scores.shape == (400,)
    assert scores.dtype == np.float32
    assert scores.argmax() == 7
    assert scorer.score(rows[:1]).shape == (1,)
    assert scorer.score(rows[:0]).shape == (0,)


def test_frauds_among_the_fitted_rows_do_not_matter(scorer):
    rows, labels = signals(), (np.arange(400) < 40).astype(np.int8)
    rows.residuals[labels == 1] *= 100
    together = scorer.fit(rows, labels).score(signals(seed=1))
    alone = scorer.fit(rows[labels == 0], labels[labels == 0]).score(signals(seed=1))
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    assert not scorer.uses_labels
    assert scorer.fallback is None


def test_a_saved_scorer_gives_identical_scores(scorer, tmp_path):
    scorer.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["scorer.json"]
    json.loads((tmp_path / "scorer.json").read_text())
    loaded = type(scorer).load(tmp_path)
    np.testing.assert_array_equal(loaded.score(signals(seed=1)), scorer.score(signals(seed=1)))
    assert vars(loaded).keys() == vars(scorer).keys()
