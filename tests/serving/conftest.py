"""A model, and services of it that are shared or of one test's own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.manifest import write_manifest
from fraud_ae.detector.trailing_history import TRAILING_HISTORY
from tests.serving.running import RunningService


@pytest.fixture(scope="session")
def remembering(published) -> Path:
    """The folder of a model that remembers the last transactions of its training data."""
    return published.folder / "models" / "final_model"


@pytest.fixture(scope="session")
def model(remembering, tmp_path_factory) -> Path:
    """The folder of the same model without them: a store holds what a test puts into it."""
    folder = tmp_path_factory.mktemp("forgetting") / "model"
    shutil.copytree(remembering, folder)
    (folder / TRAILING_HISTORY).unlink()
    write_manifest(folder)
    return folder


@pytest.fixture(scope="session")
def first_validation_row(compose, dataset) -> int:
    split = compose().split
    return int(np.flatnonzero(split.validation(dataset.transactions))[0])


@pytest.fixture(scope="session")
def history(dataset, first_validation_row, tmp_path_factory) -> Path:
    """A file of everything before the validation period."""
    file = tmp_path_factory.mktemp("history") / "history.parquet"
    dataset.transactions.iloc[:first_validation_row].to_parquet(file, index=False)
    return file


@pytest.fixture(scope="session")
def validation(dataset, first_validation_row) -> pd.DataFrame:
    """Everything after it, in order of time."""
    return dataset.transactions.iloc[first_validation_row:].reset_index(drop=True)


@pytest.fixture(scope="session")
def batch_scores(model, dataset, first_validation_row) -> np.ndarray:
    """Scores of `validation`, of the whole table at once."""
    scores = FraudDetector.load(model).predict_anomaly_scores(dataset.transactions)
    return scores[first_validation_row:]


@pytest.fixture(scope="session")
def shared(model, history, tmp_path_factory) -> Iterator[RunningService]:
    """A service that many tests ask; each with transactions of ids of its own."""
    service = RunningService(
        model, tmp_path_factory.mktemp("shared"), "--history", str(history), "--max-batch", "50"
    )
    yield service
    assert service.stop() == 0
    assert "Traceback" not in service.printed


@pytest.fixture
def serve(model, tmp_path) -> Iterator[Callable[..., RunningService]]:
    """Starts services, by default of the model and always with the same store."""
    started = []

    def starts(*options: str, model: Path = model, **environment: str) -> RunningService:
        started.append(RunningService(model, tmp_path / "service", *options, **environment))
        return started[-1]

    yield starts
    for service in started:
        service.stop()
        assert "Traceback" not in service.printed
