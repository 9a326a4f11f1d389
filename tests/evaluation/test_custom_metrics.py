import numpy as np
import pytest

from fraud_ae.errors import UserError
from fraud_ae.evaluation.custom_metrics import extra_metrics

LABELS = np.array([0, 0, 1, 0, 1, 0], dtype=np.int8)
SCORES = np.array([0.1, 0.4, 0.35, 0.2, 0.9, 0.8], dtype=np.float32)
OWN_METRICS = """
import numpy as np

LEVEL = 3

def highest_fraud(y_true, scores):
    return scores[y_true == 1].max()

def spoils_its_arguments(y_true, scores):
    y_true[:] = 1
    scores[:] = 0
    return 1

def breaks(y_true, scores):
    raise RuntimeError("out of cheese")

def gives_none(y_true, scores):
    return None

def gives_many(y_true, scores):
    return scores

def gives_nan(y_true, scores):
    return np.nan

def gives_infinity(y_true, scores):
    return np.inf
"""


@pytest.fixture
def own_metrics(tmp_path, monkeypatch):
    (tmp_path / "own_metrics.py").write_text(OWN_METRICS)
    (tmp_path / "unreadable_metrics.py").write_text("def cost(y_true, scores:\n    return 1\n")
    (tmp_path / "failing_metrics.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own_metrics")
def test_a_metric_of_ones_own_is_found_by_its_path():
    found = extra_metrics(LABELS, SCORES, {"highest": "own_metrics.highest_fraud"})
    assert found == {"highest": pytest.approx(0.9)}
    assert type(found["highest"]) is float


@pytest.mark.usefixtures("own_metrics")
def test_a_metric_cannot_change_what_the_next_one_sees():
    paths = {"bad": "own_metrics.spoils_its_arguments", "highest": "own_metrics.highest_fraud"}
    assert extra_metrics(LABELS, SCORES, paths)["highest"] == pytest.approx(0.9)


@pytest.mark.usefixtures("own_metrics")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no_such_module.cost", "no_such_module"),
        ("own_metrics.no_such_function", "no_such_function"),
        ("own_metrics", "function"),
        ("not a path", "not a path"),
        ("own_metrics.LEVEL", "must be a function"),
        ("own_metrics.breaks", "out of cheese"),
        ("own_metrics.gives_none", "gives_none"),
        ("own_metrics.gives_many", "gives_many"),
        ("own_metrics.gives_nan", "nan"),
        ("own_metrics.gives_infinity", "inf"),
        ("unreadable_metrics.cost", "unreadable_metrics"),
        ("failing_metrics.cost", "no licence"),
    ],
)
def test_a_metric_that_cannot_be_used_is_named(path, reason):
    with pytest.raises(UserError, match=r"^metrics\.extra\.cost=") as raised:
        extra_metrics(LABELS, SCORES, {"cost": path})
    assert path in str(raised.value)
    assert reason in str(raised.value)


def test_no_extra_metrics_add_nothing():
    assert extra_metrics(LABELS, SCORES, {}) == {}
