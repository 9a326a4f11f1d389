"""How features are computed is a setting that changes no feature, and no run."""

import numpy as np
import pytest

from fraud_ae.errors import UserError
from fraud_ae.features.partitioned import features as partitioned
from fraud_ae.features.partitioned.computation import FeatureComputation


def test_a_run_is_the_same_however_its_features_are_computed(compose, tmp_path, monkeypatch):
    plain = compose("features=combined", f"outputs_dir={tmp_path / 'plain'}")
    bounded = compose(
        "features=combined", "features.memory=100GB", f"outputs_dir={tmp_path / 'bounded'}"
    )
    assert bounded.computation == FeatureComputation("local", 100 * 10**9)
    assert bounded.run.id == plain.run.id

    divisions = []
    original = partitioned.divide
    monkeypatch.setattr(partitioned, "divide", lambda *a: divisions.append(a[1]) or original(*a))
    data, expected = bounded.training_data()[1], plain.training_data()[1]
    assert set(divisions) == {"customer_id", "terminal_id"}
    assert np.array_equal(data.encoded.inputs, expected.encoded.inputs)
    assert data.encoded.encoder.to_dict() == expected.encoded.encoder.to_dict()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("features.memory=4", "features.memory=4: must be a size with its unit"),
        ("features.parts.baseline.memory=4GB", "features.parts.baseline: features.engine and"),
        ("features.parts.temporal.engine=ray", "features.parts.temporal: features.engine and"),
    ],
)
def test_what_is_said_wrong_is_refused(compose, override, expected):
    with pytest.raises(UserError, match=expected):
        compose("features=combined", override)
