"""A transaction has one score, whatever it is scored with."""

import numpy as np
import pytest

from tests.small_detectors import NETWORKS, SCORERS, made_detector, made_up


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scorer", "network"),
    [
        ("calibrated", "plain"),
        ("calibrated", "masked"),
        ("mahalanobis", "variational"),
        ("mahalanobis", "members"),
        ("reconstruction", "masked"),
        ("reconstruction", "members"),
    ],
)
def test_a_row_alone_has_the_score_that_it_has_among_others(network, scorer):
    features, labels = made_up()
    detector = made_detector(features, labels, NETWORKS[network], SCORERS[scorer])
    together = detector.score_features(features)
    assert together.dtype == np.float32
    # Of the trees, a few rows in a hundred have a value that close to a split.
    n_alone = 200 if scorer == "calibrated" else 40
    some = np.random.default_rng(1).choice(len(features), n_alone, replace=False)
    alone = [detector.score_features(features.iloc[[row]])[0] for row in some]
    np.testing.assert_allclose(alone, together[some], rtol=1e-6, atol=1e-6)
    parts = [features.iloc[start : start + 150] for start in range(0, len(features), 150)]
    found = np.concatenate([detector.score_features(part) for part in parts])
    np.testing.assert_allclose(found, together, rtol=1e-6, atol=1e-6)
