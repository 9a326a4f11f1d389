"""Signals of made-up rows, without a network."""

import numpy as np

from fraud_ae.scorers.signals import Signals

# Four numbers and a category of three values.
GROUPS = np.array([0, 1, 2, 3, 4, 4, 4])
SIZES = np.array([0.1, 0.3, 1.0, 3.0, 0.2, 0.2, 0.2])


def signals(n: int = 400, seed: int = 0) -> Signals:
    """Normal rows; the features are reconstructed more or less well."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, len(GROUPS)))
    residuals = rng.normal(size=(n, len(GROUPS))) * SIZES
    code = np.stack([inputs[:, 0] + inputs[:, 1], inputs[:, 2]], axis=1)
    return Signals(inputs.astype(np.float32), residuals, code, GROUPS)


def labelled(n: int = 4000, seed: int = 0, share: float = 0.05) -> tuple[Signals, np.ndarray]:
    """Rows and labels; frauds are unusual in one feature, one that is reconstructed well."""
    rows = signals(n, seed)
    labels = (np.random.default_rng(seed + 100).random(n) < share).astype(np.int8)
    rows.inputs[labels == 1, 1] += 2.0
    rows.residuals[labels == 1, 1] += 0.4
    return rows, labels


def changed(rows: Signals, **parts: np.ndarray) -> Signals:
    """The same signals with other inputs, residuals or code."""
    names = ("inputs", "residuals", "code", "groups")
    return Signals(**{name: parts.get(name, getattr(rows, name)) for name in names})
