"""A detector gives any transactions the same finite scores, alone and in any table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.features.encoder import Encoder
from tests.properties.tables import transactions
from tests.properties.test_encoder import features
from tests.small_detectors import NETWORKS, SCORERS, made_detector

ABSOLUTE = 1e-5


@pytest.fixture(scope="session")
def detector(finished_run) -> FraudDetector:
    return FraudDetector.load(finished_run.model_folder)


@pytest.fixture(scope="session")
def loaded(detector, tmp_path_factory) -> FraudDetector:
    folder = tmp_path_factory.mktemp("saved")
    detector.save(folder)
    return FraudDetector.load(folder)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=ABSOLUTE, atol=ABSOLUTE)


def check(detector: FraudDetector, loaded: FraudDetector, frame: pd.DataFrame, cut: int) -> None:
    frame = frame.assign(amount=frame["amount"].abs().fillna(0.0))
    for name in detector.source_format.columns:
        if name not in frame:
            frame[name] = np.nan
    frame = frame.astype({"customer_id": "str"})
    before = frame.copy(deep=True)
    scores = detector.predict_anomaly_scores(frame)
    assert scores.shape == (len(frame),)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert_same(loaded.predict_anomaly_scores(frame), scores)
    order = np.random.default_rng(0).permutation(len(frame))
    assert_same(detector.predict_anomaly_scores(frame.iloc[order]), scores[order])
    # Each with all rows before, as it comes one by one.
    times = frame["timestamp"]
    past = frame[times <= times.iloc[cut]]
    assert_same(detector.predict_anomaly_scores(past), scores[: len(past)])
    names = {*detector.feature_names}
    reasons = detector.explain(frame.iloc[order[:5]])
    assert len(reasons) == min(5, len(frame))
    for of_row in reasons:
        assert len(of_row) <= 3
        for reason in of_row:
            assert reason.features
            assert names >= {*reason.features}
            assert 0 < reason.share <= 1
            assert "nan" not in str(reason).split()
    pd.testing.assert_frame_equal(frame, before)


@given(frame=transactions(1), cut=st.integers(0, 59))
@settings(max_examples=10)
def test_scores_are_those_of_a_row_and_its_past(detector, loaded, frame, cut):
    check(detector, loaded, frame, min(cut, len(frame) - 1))


@pytest.mark.slow
@given(frame=transactions(1), cut=st.integers(0, 59))
@settings(max_examples=40)
def test_scores_are_those_of_a_row_and_its_past_at_length(detector, loaded, frame, cut):
    check(detector, loaded, frame, min(cut, len(frame) - 1))


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


@pytest.mark.promise("D20")
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
