"""A model, its transactions and stores, and services of it that are shared or of one test alone."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.manifest import write_manifest
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.detector.trailing_history import TRAILING_HISTORY
from fraud_ae.serving.model import ServedModel
from fraud_ae.serving.store import HistoryStore
from tests.serving.running import KEY, RunningService

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


@pytest.fixture(scope="session")
def model_with_history(published) -> Path:
    """The folder of a model with the last transactions of its training data."""
    return published.folder / "models" / "final_model"


@pytest.fixture(scope="session")
def model(model_with_history, tmp_path_factory) -> Path:
    """The folder of the same model without them: a store holds what a test puts into it."""
    folder = tmp_path_factory.mktemp("served") / "model"
    shutil.copytree(model_with_history, folder)
    (folder / TRAILING_HISTORY).unlink()
    write_manifest(folder)
    return folder


@pytest.fixture(scope="session")
def served(model) -> ServedModel:
    return ServedModel.load(model)


@pytest.fixture(scope="session")
def transactions(dataset) -> pd.DataFrame:
    return dataset.transactions


@pytest.fixture(scope="session")
def first_validation_row(compose, transactions) -> int:
    return int(np.flatnonzero(compose().split.validation(transactions))[0])


@pytest.fixture(scope="session")
def history(transactions, first_validation_row, tmp_path_factory) -> Path:
    """A file of everything before the validation period."""
    file = tmp_path_factory.mktemp("history") / "history.parquet"
    transactions.iloc[:first_validation_row].to_parquet(file, index=False)
    return file


@pytest.fixture(scope="session")
def validation(transactions, first_validation_row) -> pd.DataFrame:
    """Everything after it, in order of time."""
    return transactions.iloc[first_validation_row:].reset_index(drop=True)


@pytest.fixture(scope="session")
def batch_scores(served, transactions) -> np.ndarray:
    """Scores of all transactions, of the whole table at once."""
    return served.detector.predict_anomaly_scores(transactions)


@pytest.fixture
def open_store(served, tmp_path) -> Iterator[Callable[..., HistoryStore]]:
    """Opens a store, by default always the same one; all are closed at the end."""
    opened = []

    def opens(path: Path = tmp_path / "history.db") -> HistoryStore:
        opened.append(HistoryStore(path, served.kinds, served.history))
        return opened[-1]

    yield opens
    for store in opened:
        store.close()


def copy_twice(model: Path, folder: Path) -> Path:
    """A folder of two models, with other thresholds, of which `production` is the first."""
    shutil.copytree(model, folder / "first")
    shutil.copytree(model, folder / "second")
    FraudDetector.load(model).set_threshold(1e9).save(folder / "second")
    info = folder / "second" / MODEL_INFO
    info.write_text(info.read_text().replace("run_id: ", "run_id: second", 1))
    write_manifest(folder / "second")
    (folder / "production").symlink_to("first")
    return folder


@pytest.fixture
def models(model, tmp_path) -> Path:
    return copy_twice(model, tmp_path / "models")


@pytest.fixture(scope="session")
def shared_models(model, tmp_path_factory) -> Path:
    return copy_twice(model, tmp_path_factory.mktemp("shared") / "models")


@pytest.fixture(scope="session")
def shared(shared_models, history) -> Iterator[RunningService]:
    """A service with a key that many tests ask; each with transactions of ids of its own."""
    service = RunningService(
        shared_models / "production",
        shared_models.parent,
        *("--history", str(history), "--max-batch", "50"),
        FRAUD_AE_API_KEY=KEY,
    )
    service.key = KEY
    yield service
    assert service.stop() == 0
    assert "Traceback" not in service.printed
    assert KEY not in service.printed


@pytest.fixture
def serve(model, tmp_path) -> Iterator[Callable[..., RunningService]]:
    """Starts services, by default of the model and always with the same store."""
    started = []

    def starts(
        *options: str, model: Path = model, environment: Mapping[str, str] = NO_VARIABLES
    ) -> RunningService:
        started.append(RunningService(model, tmp_path / "service", *options, **environment))
        return started[-1]

    yield starts
    for service in started:
        service.stop()
        assert "Traceback" not in service.printed
