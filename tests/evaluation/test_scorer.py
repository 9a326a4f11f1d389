import json

import numpy as np
import pytest

from fraud_ae.evaluation.scorer import ReconstructionScorer


def errors(n: int = 200, n_inputs: int = 5, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    size = np.array([0.01, 0.1, 1.0, 10.0, 100.0])[:n_inputs]
    return (rng.exponential(1.0, (n, n_inputs)) * size).astype(np.float32)


def test_without_normalising_the_score_is_the_mean_error():
    scorer = ReconstructionScorer(normalise=False).fit(errors())
    np.testing.assert_allclose(scorer.score(errors(seed=1)), errors(seed=1).mean(axis=1), rtol=1e-6)


def test_normalising_divides_each_input_by_its_typical_error():
    scorer = ReconstructionScorer(normalise=True).fit(errors())
    expected = (errors(seed=1) / errors().mean(axis=0)).mean(axis=1)
    np.testing.assert_allclose(scorer.score(errors(seed=1)), expected, rtol=1e-5)


def test_normalising_lets_an_input_with_small_errors_be_heard():
    normal, odd = errors(), errors()
    odd[:10, 0] *= 30  # still far below the errors of the other inputs
    for normalise, is_heard in ((True, True), (False, False)):
        scorer = ReconstructionScorer(normalise).fit(normal)
        ratio = scorer.score(odd)[:10].mean() / scorer.score(normal)[:10].mean()
        assert (ratio > 2) == is_heard


@pytest.mark.parametrize("normalise", [True, False])
def test_scores_are_one_float32_for_each_row_and_higher_for_anomalies(normalise):
    scorer = ReconstructionScorer(normalise).fit(errors())
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


@pytest.mark.parametrize("normalise", [True, False])
def test_a_saved_scorer_gives_identical_scores(normalise):
    scorer = ReconstructionScorer(normalise).fit(errors())
    text = json.dumps(scorer.to_dict(), allow_nan=False)
    again = ReconstructionScorer.from_dict(json.loads(text))
    assert again.normalise == normalise
    np.testing.assert_array_equal(again.score(errors(seed=1)), scorer.score(errors(seed=1)))
