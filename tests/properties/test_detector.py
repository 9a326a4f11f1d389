"""A detector gives any features the same finite scores, alone and in any table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.features.encoder import Encoder
from tests.properties.test_encoder import features
from tests.small_detectors import NETWORKS, SCORERS, made_detector

ABSOLUTE = 1e-5


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=ABSOLUTE, atol=ABSOLUTE)


@pytest.fixture(scope="session", params=[(n, s) for n in NETWORKS for s in SCORERS], ids="-".join)
def of_features(request) -> FraudDetector:
    """A detector of the features that are generated here, of each network and scorer."""
    network, scorer = request.param
    rng = np.random.default_rng(0)
    rows = 400
    labels = (rng.random(rows) < 0.1).astype(np.int8)
    known = pd.DataFrame(
        {
            "wide": rng.lognormal(0, 3, rows) + labels,
            "narrow": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "flag": rng.integers(0, 2, rows).astype(float),
            "kind": pd.Series(rng.choice(["7", "true", "x,y"], rows), dtype="str"),
            "constant": 7.0,
            "none": np.nan,
        }
    )
    return made_detector(known, labels, NETWORKS[network], SCORERS[scorer], Encoder())


@given(frame=features())
@settings(max_examples=5)
def test_every_scorer_gives_a_row_of_any_features_one_finite_score(of_features, frame):
    scores = of_features.score_features(frame)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    if of_features.scorer.learns_labels:
        assert ((scores >= 0) & (scores <= 1)).all()
    alone = [of_features.score_features(frame.iloc[[row]])[0] for row in range(min(5, len(frame)))]
    assert_same(np.array(alone), scores[:5])
    order = np.random.default_rng(0).permutation(len(frame))
    assert_same(of_features.score_features(frame.iloc[order]), scores[order])
