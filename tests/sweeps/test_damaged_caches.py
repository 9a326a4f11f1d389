"""Damage to what a sweep reuses: told by name, set aside, and made again as it was."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraud_ae.configuration.job import Job
from fraud_ae.experiments.run_store import Run
from fraud_ae.runtime import kept_files
from fraud_ae.runtime.checksums import CHECKSUMS, damage
from fraud_ae.sweeps.job import train_or_reuse
from tests.damage import MUTATIONS, mutated

pytestmark = pytest.mark.slow

SETTINGS = ("features=baseline", "trainer.max_epochs=2", "data.n_transactions=1500")


@pytest.fixture(scope="module")
def job_in(compose) -> Callable[..., Job]:
    """The small job in a folder of outputs."""
    return lambda folder, *more: compose(f"outputs_dir={folder}", *SETTINGS, *more)


@pytest.fixture(scope="module")
def made(job_in, tmp_path_factory) -> Path:
    """A folder of outputs with a finished run; tests copy it."""
    folder = tmp_path_factory.mktemp("made")
    train_or_reuse(job_in(folder))
    return folder


@pytest.fixture
def outputs(made, tmp_path) -> Path:
    kept_files.warn_once.cache_clear()
    shutil.copytree(made, tmp_path / "outputs")
    return tmp_path / "outputs"


def files_of(folder: Path) -> list[Path]:
    """Whatever is read back from a folder of the caches."""
    found = [p for p in folder.rglob("[!.]*") if p.is_file()]
    return sorted(p for p in found if p.suffix != ".damaged" and p.name != "groups.csv")


def outcome(run: Run, metrics: dict) -> dict:
    """All that a run gives, but for the time that it took."""
    weights = (run.model_folder / "weights.safetensors").read_bytes()
    figures = {k: v for k, v in metrics.items() if k != "train_seconds"}
    return {
        "figures": figures,
        "weights": weights,
        "scores": run.scores().to_dict("list"),
        "top": run.top_transactions(),
        "losses": run.history()[["train_loss", "val_loss", "learning_rate"]].to_dict("list"),
    }


@pytest.mark.promise("B7")
def test_a_run_with_any_damaged_file_is_trained_again_with_the_same_result(outputs, job_in, caplog):
    job = job_in(outputs)
    run, _, metrics = train_or_reuse(job)
    expected = outcome(run, metrics)
    rng = random.Random(0)
    files = [p for p in files_of(run.folder) if p.parent.name != "evaluations"]
    assert len(files) >= 12
    for number, path in enumerate(files):
        damaged = mutated(path, MUTATIONS[number % len(MUTATIONS)], rng)
        caplog.clear()
        again, _, metrics = train_or_reuse(job)
        (line,) = caplog.messages
        name = path.relative_to(run.folder).as_posix()
        assert line.startswith(f"run {run.id} is damaged ({name}: ")
        assert outcome(again, metrics) == expected
        assert run.finished
        aside = run.folder / f"{name.replace('/', '-')}.damaged"
        assert aside.read_bytes() == damaged


def test_damaged_figures_are_computed_again(outputs, job_in, caplog):
    job = job_in(outputs)
    run, _, expected = train_or_reuse(job)
    kept = [p for p in files_of(run.folder / "evaluations") if p.name != CHECKSUMS]
    assert len(kept) == 2
    rng = random.Random(0)
    for path in kept:
        for mutation in MUTATIONS:
            damaged = mutated(path, mutation, rng)
            caplog.clear()
            kept_files.warn_once.cache_clear()
            assert train_or_reuse(job)[2] == expected
            (line,) = caplog.messages
            assert line.startswith(f"{path}: damaged (")
            assert path.with_name(f"{path.name}.damaged").read_bytes() == damaged


@pytest.mark.promise("B7")
def test_damaged_encoded_transactions_are_encoded_again(outputs, job_in, caplog):
    job = job_in(outputs)
    folder, data = job.training_data()
    inputs, labels = np.array(data.encoded.inputs), data.encoded.labels
    rng = random.Random(0)
    files = files_of(folder)
    assert len(files) == 8
    for number, path in enumerate(files):
        damaged = mutated(path, MUTATIONS[number % len(MUTATIONS)], rng)
        caplog.clear()
        same, again = job.training_data()
        (line,) = caplog.messages
        assert line.startswith(f"{path}: damaged (")
        assert same == folder
        np.testing.assert_array_equal(again.encoded.inputs, inputs)
        np.testing.assert_array_equal(again.encoded.labels, labels)
        pd.testing.assert_frame_equal(again.validation, data.validation)
        assert path.with_name(f"{path.name}.damaged").read_bytes() == damaged
        caplog.clear()
        job.training_data()
        assert not caplog.messages


def test_a_longer_training_does_not_go_on_from_a_damaged_one(outputs, job_in, caplog):
    longer = job_in(outputs, "trainer.max_epochs=3")
    assert longer.resumable.epochs == 2
    path = longer.resumable.file(2)
    for mutation in MUTATIONS:
        whole = path.read_bytes()
        mutated(path, mutation, random.Random(0))
        caplog.clear()
        kept_files.warn_once.cache_clear()
        assert longer.resumable.epochs == 0
        (line,) = caplog.messages
        assert line.startswith(f"{path}: damaged (")
        path.write_bytes(whole)
    assert longer.resumable.epochs == 2


def test_two_hundred_changes_to_each_file_of_the_caches_are_all_found(outputs, job_in):
    job = job_in(outputs)
    rng = random.Random(3)
    for folder in (job.run.folder, job.training_data()[0], job.resumable.folder):
        files = [p for p in files_of(folder) if p.parent.name != "evaluations"]
        assert damage(folder) == {}
        for path in files:
            whole = path.read_bytes()
            for _ in range(200):
                mutated(path, rng.choice(MUTATIONS), rng)
                assert list(damage(folder)) == [path.relative_to(folder).as_posix()]
            path.write_bytes(whole)
        assert damage(folder) == {}
