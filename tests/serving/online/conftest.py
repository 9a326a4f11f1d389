"""A model for production, its transactions, and stores for it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraud_ae.serving.online.detector import OnlineDetector
from fraud_ae.serving.online.store import HistoryStore


@pytest.fixture(scope="session")
def online(model) -> OnlineDetector:
    return OnlineDetector.load(model)


@pytest.fixture(scope="session")
def transactions(dataset) -> pd.DataFrame:
    return dataset.transactions


@pytest.fixture(scope="session")
def batch_scores(online, transactions) -> np.ndarray:
    return online.detector.predict_anomaly_scores(transactions)


@pytest.fixture
def open_store(online, tmp_path) -> Callable[..., HistoryStore]:
    """Opens a store, by default always the same one; all are closed at the end."""
    opened = []

    def opens(path: Path = tmp_path / "history.db") -> HistoryStore:
        opened.append(HistoryStore.open(path, online.schema, online.history))
        return opened[-1]

    yield opens
    for store in opened:
        store.close()
