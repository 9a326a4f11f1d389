import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.experiments.training_data import TrainingData, stored_training_data
from fraud_ae.features.encoded_data import Encoded, encode
from tests.commands import ROOT


@pytest.fixture
def encoded(compose, dataset) -> Encoded:
    config = compose()
    visible = dataset.transactions.iloc[:2000]
    rows = np.arange(2000) < 1500
    return encode(config.strategy, config.encoder, visible, rows, "normal")


@pytest.fixture
def data(compose, dataset, encoded) -> TrainingData:
    return TrainingData.of(dataset, compose().split, encoded)


def test_what_is_kept_comes_back(data, tmp_path):
    data.save(tmp_path)
    found = TrainingData.load(tmp_path)
    assert isinstance(found.encoded.inputs, np.memmap)
    for name in ("inputs", "labels", "fit_rows", "train_rows"):
        np.testing.assert_array_equal(getattr(found.encoded, name), getattr(data.encoded, name))
    assert found.encoded.encoder.to_dict() == data.encoded.encoder.to_dict()
    np.testing.assert_array_equal(found.validation_rows, data.validation_rows)
    pd.testing.assert_frame_equal(found.validation, data.validation)
    assert found.source_format == data.source_format


def test_inputs_written_in_parts_are_those_in_memory(compose, dataset, encoded, tmp_path):
    config = compose()
    visible = dataset.transactions.iloc[:2000]
    rows = np.arange(2000) < 1500
    how = (config.strategy, config.encoder, visible, rows, "normal")
    written = encode(*how, folder=tmp_path)
    assert isinstance(written.inputs, np.memmap)
    np.testing.assert_array_equal(written.inputs, encoded.inputs)


def test_it_is_made_once(data, tmp_path):
    made = []

    def make(folder):
        made.append(folder)
        return data

    first, _ = stored_training_data(tmp_path, {"a": 1}, make)
    second, found = stored_training_data(tmp_path, {"a": 1}, make)
    other, _ = stored_training_data(tmp_path, {"a": 2}, make)
    assert first == second != other
    assert len(made) == 2
    np.testing.assert_array_equal(found.encoded.inputs, data.encoded.inputs)


def test_only_the_last_few_are_kept(data, tmp_path):
    folders = [
        stored_training_data(tmp_path, {"a": number}, lambda folder: data)[0]
        for number in range(10)
    ]
    assert sorted(tmp_path.iterdir()) == sorted(folders[2:])


def test_after_the_clock_jumped_back_the_last_few_are_kept_all_the_same(data, tmp_path):
    def use(number: int) -> Path:
        return stored_training_data(tmp_path, {"a": number}, lambda folder: data)[0]

    folders = [use(number) for number in range(8)]
    for number, folder in enumerate(folders):
        moment = 4e9 + number  # 2096
        os.utime(folder, (moment, moment))
    new = use(8)
    assert sorted(tmp_path.iterdir()) == sorted([*folders[1:], new])
    again = use(1)
    newer = use(9)
    assert sorted(tmp_path.iterdir()) == sorted([*folders[3:], new, again, newer])


def test_what_another_process_makes_meanwhile_is_not_taken_for_old(data, tmp_path):
    for number in range(8):
        stored_training_data(tmp_path, {"a": number}, lambda folder: data)

    def make(folder: Path) -> TrainingData:
        os.utime(folder, (1, 1))
        stored_training_data(tmp_path, {"a": 9}, lambda folder: data)
        assert folder.is_dir()
        return data

    assert stored_training_data(tmp_path, {"a": 8}, make)[0].is_dir()


def test_what_fails_leaves_nothing(tmp_path):
    def make(folder):
        (folder / "inputs.npy").write_text("half")
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        stored_training_data(tmp_path, {}, make)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_made_anew(data, tmp_path):
    folder, _ = stored_training_data(tmp_path, {}, lambda folder: data)
    for path in folder.iterdir():
        path.unlink()
    (folder / "inputs.npy").write_text("half")
    _, found = stored_training_data(tmp_path, {}, lambda folder: data)
    np.testing.assert_array_equal(found.encoded.inputs, data.encoded.inputs)


MAKES = """
import sys, time
from pathlib import Path
from fraud_ae.experiments.training_data import TrainingData, stored_training_data
from tests.commands import ROOT

def make(folder):
    (Path(sys.argv[1]) / sys.argv[3]).touch()
    time.sleep(1)
    return TrainingData.load(Path(sys.argv[2]))

stored_training_data(Path(sys.argv[1]) / "encoded", {"a": 1}, make)
"""


@pytest.mark.slow
def test_of_two_processes_one_makes_it(data, tmp_path):
    (tmp_path / "source").mkdir()
    data.save(tmp_path / "source")
    command = [sys.executable, "-c", MAKES, str(tmp_path), str(tmp_path / "source")]
    both = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("first", "second")]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert sum((tmp_path / name).exists() for name in ("first", "second")) == 1


def test_half_of_one_is_made_again(data, tmp_path):
    folder, _ = stored_training_data(tmp_path, {}, lambda folder: data)
    (folder / "validation_rows.npy").unlink()
    _, found = stored_training_data(tmp_path, {}, lambda folder: data)
    np.testing.assert_array_equal(found.encoded.inputs, data.encoded.inputs)


def test_scores_of_some_rows_are_those_of_the_rows(finished_run):
    detector = FraudDetector.load(finished_run.model_folder)
    size = (600, detector.network_settings["n_inputs"])
    inputs = np.random.default_rng(0).normal(size=size).astype(np.float32)
    mask = np.arange(len(inputs)) % 3 == 0
    np.testing.assert_allclose(
        detector.score_inputs(inputs, mask), detector.score_inputs(inputs)[mask], rtol=1e-5
    )
