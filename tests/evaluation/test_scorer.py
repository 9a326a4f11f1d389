import json

import numpy as np
import pytest

from fraud_ae.evaluation.scorer import ReconstructionScorer


def errors(n: int = 200, n_inputs: int = 5, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    size = np.array([0.01, 0.1, 1.0, 10.0, 100.0])[:n_inputs]
    return (rng.exponential(1.0, (n, n_inputs)) * size).astype(np.float32)


def test_each_input_is_divided_by_its_typical_error():
    scorer = ReconstructionScorer(cap=None).fit(errors())
    expected = (errors(seed=1) / errors().mean(axis=0)).mean(axis=1)
    np.testing.assert_allclose(scorer.score(errors(seed=1)), expected, rtol=1e-5)


def test_an_input_with_small_errors_is_heard():
    normal, odd = errors(), errors()
    odd[:10, 0] *= 30  # still far below the errors of the other inputs
    scorer = ReconstructionScorer().fit(normal)
    assert scorer.score(odd)[:10].mean() / scorer.score(normal)[:10].mean() > 2


def test_one_input_counts_no_more_than_the_cap():
    rows = errors()
    rows[:, 0] = 1e6
    capped = ReconstructionScorer(cap=5.0).fit(errors()).score(rows)
    assert capped.max() <= 5.0
    assert ReconstructionScorer(cap=None).fit(errors()).score(rows).min() > 1e6


def test_scores_are_one_float32_for_each_row_and_higher_for_anomalies():
    scorer = ReconstructionScorer().fit(errors())
    rows = errors(seed=1)
    rows[7] *= 20
    scores = scorer.score(rows)
    assert scores.shape == (200,)
    assert scores.dtype == np.float32
    assert scores.argmax() == 7
    assert scorer.score(rows[:1]).shape == (1,)


def test_an_input_that_is_always_reconstructed_does_not_make_scores_infinite():
    constant = errors()
    constant[:, 2] = 0
    scorer = ReconstructionScorer().fit(constant)
    assert np.isfinite(scorer.score(errors())).all()


@pytest.mark.parametrize("cap", [None, 5.0])
def test_a_saved_scorer_gives_identical_scores(cap):
    scorer = ReconstructionScorer(cap).fit(errors())
    text = json.dumps(scorer.to_dict(), allow_nan=False)
    again = ReconstructionScorer.from_dict(json.loads(text))
    assert again.cap == cap
    np.testing.assert_array_equal(again.score(errors(seed=1)), scorer.score(errors(seed=1)))
