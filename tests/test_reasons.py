import numpy as np
import pandas as pd
import pytest

from fraud_ae.features.encoder import Encoder
from fraud_ae.reasons import reasons, top_transactions
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.signals import Signals


@pytest.fixture(scope="module")
def fitted():
    """An encoder of an amount, a rate with gaps and a device; a scorer of made-up errors."""
    rng = np.random.default_rng(0)
    n = 1000
    frame = pd.DataFrame(
        {
            "amount": rng.uniform(0, 200, n),
            "rate": pd.Series(rng.uniform(0.001, 0.002, n)).mask(rng.random(n) < 0.1),
            "count": np.full(n, 3.0),
            "new": (np.arange(n) % 10 == 0).astype(float),
            "device": pd.Series(rng.choice(["phone", "laptop"], n, p=[0.9, 0.1]), dtype="str"),
        }
    )
    encoder = Encoder(clip=10.0).fit(frame)
    typical = signals(encoder, frame, np.full((n, encoder.n_inputs), 0.1))
    return encoder, ReconstructionScorer().fit(typical, np.zeros(n))


def signals(encoder: Encoder, frame: pd.DataFrame, residuals: np.ndarray) -> Signals:
    code = np.zeros((len(frame), 2), dtype=np.float32)
    groups = np.array(encoder.input_groups())
    return Signals(encoder.transform(frame), residuals.astype(np.float32), code, groups)


def explained(fitted, errors: dict[str, float], top: int = 3, **values) -> list:
    """The reasons of one transaction whose features have such residuals, 0.1 all others."""
    encoder, scorer = fitted
    row = {"amount": 100.0, "rate": 0.0015, "count": 3.0, "new": 0.0, "device": "phone"} | values
    residuals = np.full((1, encoder.n_inputs), 0.1)
    for name, error in errors.items():
        residuals[0, encoder.input_names().index(name)] = error
    frame = pd.DataFrame([row]).astype({"device": "str"})
    (found,) = reasons(signals(encoder, frame, residuals), encoder, scorer, top)
    return found


def test_the_features_that_add_most_come_first(fitted):
    found = explained(fitted, {"amount": 5.0, "rate": 3.0, "device=phone": 1.0})
    assert [reason.feature for reason in found] == ["amount", "rate", "device"]
    assert found[0].share > found[1].share > found[2].share > 0
    assert sum(reason.share for reason in found) == pytest.approx(1, abs=1e-3)


def test_only_what_raises_the_score_is_a_reason(fitted):
    assert explained(fitted, {}) == []
    assert [r.feature for r in explained(fitted, {"count": 2.0})] == ["count"]
    assert len(explained(fitted, {"amount": 5.0, "rate": 3.0}, top=1)) == 1


@pytest.mark.parametrize(
    ("feature", "value", "shown", "usual"),
    [
        ("amount", 150.0, "150", "usually"),
        ("amount", 123.456, "123.46", "usually"),
        ("amount", 1e9, "at least ", "usually"),
        ("amount", -1e9, "at most ", "usually"),
        ("rate", np.nan, "missing", "usually 0.00"),
        ("rate", 0.00123, "0.00123", "usually 0.00"),
        ("count", 3.0, "3", "usually 3"),
        ("new", 1.0, "1", "in 10.0% of transactions"),
        ("device", "laptop", "laptop", "of transactions"),
        ("device", None, "missing", "usually there"),
        ("device", "watch", "rare or new", "usually phone, laptop"),
    ],
)
def test_values_are_told_beside_what_is_usual(fitted, feature, value, shown, usual):
    column = f"device={value or '<missing>'}" if feature == "device" else feature
    column = column if column in fitted[0].input_names() else "device=<unseen>"
    (reason,) = explained(fitted, {column: 9.0}, top=1, **{feature: value})
    assert reason.feature == feature
    assert reason.value.startswith(shown)
    assert usual in reason.usual
    assert str(reason) == f"{feature} {reason.value} ({reason.usual})"


def test_the_highest_scores_come_first_and_customers_may_be_absent(fitted):
    scored = pd.DataFrame(
        {
            "transaction_id": ["a", "b", "c"],
            "timestamp": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"], utc=True),
            "amount": [1.0, 2.0, 3.0],
            "is_fraud": [0, 1, 0],
            "score": np.array([0.1, 0.9, 0.9], dtype=np.float32),
        }
    )
    asked = []
    found = top_transactions(scored, lambda rows: asked.append(rows) or [[]] * len(rows), top=2)
    assert [row["transaction_id"] for row in found] == ["b", "c"]
    assert asked[0].tolist() == [1, 2]
    assert found[0]["customer_id"] is None
    assert found[0]["timestamp"] == "2024-01-02T00:00:00+00:00"
    assert found[0]["is_fraud"] == 1
