"""A sweep as one batch of work, by the commands that a user types."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.commands import ROOT, board, finished_runs, run, run_cold, start
from tests.processes import below

pytestmark = pytest.mark.slow

SMALL = (
    "experiment=small",
    "features=combined",
    "data.n_transactions=2500",
    "model.hidden_sizes=[16]",
    "trainer.max_epochs=3",
    "scorer=reconstruction",
    "wandb.mode=disabled",
)
# Every key that stage=broad sweeps, and what else can vary in one loop.
GRID = (
    "model.latent_dim=3,5",
    "model.activation=relu,leaky_relu",
    "trainer.learning_rate=0.002,0.001",
    "trainer.batch_size=64,128",
    "threshold.percentile=90,95",
    "seed=1",
)


def sweep(folder: Path, *arguments: str, ends=run) -> Path:
    """A sweep to its end. ends: `run_cold` for one whose worker processes train."""
    ends("train.py", "-m", "stage=features", *SMALL, *arguments, cwd=folder)
    return folder / "outputs" / "small"


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, Path]:
    """The same sweep, with networks in one loop and with one job after another."""
    stacked, alone = (tmp_path_factory.mktemp(name) for name in ("stacked", "alone"))
    return sweep(stacked, *GRID, ends=run_cold), sweep(alone, *GRID, "hydra/launcher=basic")


def test_a_stacked_run_is_the_run_alone(both):
    stacked, alone = ({path.name: path for path in finished_runs(folder)} for folder in both)
    assert set(stacked) == set(alone)
    assert len(stacked) == 2**4
    for name, path in stacked.items():
        ours, theirs = (pd.read_csv(p / "history.csv") for p in (path, alone[name]))
        losses = ["train_loss", "val_loss", "learning_rate"]
        np.testing.assert_allclose(ours[losses], theirs[losses], rtol=1e-4)
        scores, expected = (
            pd.read_parquet(p / "validation_scores.parquet")["score"] for p in (path, alone[name])
        )
        np.testing.assert_allclose(scores, expected, rtol=1e-2)


def test_the_leaderboard_is_that_of_one_job_after_another(both):
    keys = ["run_id", "threshold.percentile"]
    stacked, alone = (board(folder, "features").set_index(keys).sort_index() for folder in both)
    assert len(stacked) == 2**5
    assert (stacked.index == alone.index).all()
    np.testing.assert_allclose(stacked["final_auc"], alone["final_auc"], atol=0.002)
    np.testing.assert_allclose(stacked["recall"], alone["recall"], atol=0.05)
    assert (stacked.groupby("run_id")["reused"].sum() == 1).all()


@pytest.mark.slow
def test_what_is_finished_is_not_trained_again(both):
    folder = both[0]
    before = {path: (path / "metrics.json").stat().st_mtime_ns for path in finished_runs(folder)}
    sweep(folder.parents[1], *GRID[:-1], "seed=1,2")
    after = {path: (path / "metrics.json").stat().st_mtime_ns for path in finished_runs(folder)}
    assert len(after) == 2 * 2**4
    assert {path: after[path] for path in before} == before


def test_encoded_features_are_kept_once(both):
    (kept,) = (both[0] / "encoded").iterdir()
    assert (kept / "inputs.npy").is_file()


@pytest.mark.slow
def test_what_cannot_share_a_loop_is_trained_side_by_side(tmp_path):
    kinds = ("model=autoencoder,denoising,masked,variational", "trainer.max_epochs=1")
    folder = sweep(tmp_path, *kinds, ends=run_cold)
    found = board(folder, "features")
    assert set(found["model"]) == {"autoencoder", "denoising", "masked", "variational"}
    assert (found["status"] == "finished").all()
    assert not found["reused"].any()


@pytest.mark.promise("B11")
def test_a_network_that_diverges_leaves_its_neighbours_alone(tmp_path):
    rates = "trainer.learning_rate=0.002,1e25,0.001"
    folder = sweep(tmp_path, rates, "model.norm=none", "model.activation=relu", "encoder.clip=null")
    found = board(folder, "features").set_index("trainer.learning_rate")
    assert found["status"].to_dict() == {0.002: "finished", 0.001: "finished", 1e25: "failed"}
    assert "training diverged" in found.loc[1e25, "reason"]
    assert found["final_auc"][[0.002, 0.001]].notna().all()


@pytest.mark.slow
def test_a_sampler_that_learns_gets_its_trials_in_batches(tmp_path):
    run(
        *("train.py", "-m", "stage=broad", *SMALL, "trainer.max_epochs=1"),
        *("hydra/sweeper/sampler=tpe", "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=2"),
        cwd=tmp_path,
    )
    assert len(list((tmp_path / "outputs/small/hydra/broad").glob("*/*/result.json"))) == 5


def test_a_mistake_is_told_before_anything_is_trained(tmp_path):
    printed = run("train.py", "-m", *SMALL, "trainer.batch_size=32,0", cwd=tmp_path, fails=True)
    assert "error: trainer.batch_size=0: must be greater than 0" in printed
    assert "Traceback" not in printed
    assert not finished_runs(tmp_path / "outputs" / "small")


@pytest.mark.parametrize("setting", ["workers=0", "workers=-1", "stack_size=0"])
def test_impossible_settings_are_refused(tmp_path, setting):
    wrong = f"hydra.launcher.{setting}"
    printed = run("train.py", "-m", *SMALL, "seed=1,2", wrong, cwd=tmp_path, fails=True)
    assert f"error: {wrong}: must be greater than 0" in printed
    assert "Traceback" not in printed


LONG = ("model.latent_dim=3,5", "trainer.batch_size=32,64", "trainer.max_epochs=20000")
PATIENT = ("trainer.early_stopping_patience=50000",)


def in_training(process, folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not list((folder / "outputs/small/hydra").glob("*/*/progress/*.json")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


# A network whose training kills its process, as the system does where memory ends.
DEADLY = """
import os, signal
from pathlib import Path
from fraud_ae.models.network import Autoencoder


class Deadly(Autoencoder):
    def loss(self, inputs):
        mark = Path(os.environ["DEADLY"])
        if self.encoder[-1].out_features == 5 and not mark.is_file():
            if os.environ["SURVIVES"]:
                mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(inputs)
"""


def sweep_that_kills(folder: Path, survives: str) -> tuple[str, pd.DataFrame]:
    (folder / "deadly.py").write_text(DEADLY)
    printed = run_cold(
        *("train.py", "-m", *SMALL, "model._target_=deadly.Deadly", "model.latent_dim=3,5,7,9"),
        "allowed_modules=[deadly]",
        cwd=folder,
        PYTHONPATH=os.pathsep.join([str(folder), str(ROOT)]),
        DEADLY=str(folder / "been here"),
        SURVIVES=survives,
    )
    assert "Traceback" not in printed
    return printed, board(folder / "outputs" / "small", "single").set_index("model.latent_dim")


def test_what_a_killed_worker_was_at_is_tried_once_more(tmp_path):
    printed, found = sweep_that_kills(tmp_path, survives="yes")
    assert "it is tried once more, alone" in printed
    assert found["status"].to_dict() == dict.fromkeys((3, 5, 7, 9), "finished")
    assert found["final_auc"].notna().all()


def test_a_run_whose_worker_is_killed_each_time_has_failed_and_the_sweep_goes_on(tmp_path):
    _, found = sweep_that_kills(tmp_path, survives="")
    assert found["status"].drop(5).to_dict() == dict.fromkeys((3, 7, 9), "finished")
    assert found.loc[5, "status"] == "failed"
    assert "a worker process ended early" in found.loc[5, "reason"]
    assert "twice" in found.loc[5, "reason"]
    # Nothing of it is left that could be taken for a finished run.
    assert len(finished_runs(tmp_path / "outputs" / "small")) == 3


def test_a_killed_stack_is_trained_run_by_run(tmp_path):
    quick = ("trainer.max_epochs=400", "model.latent_dim=3,5,7", "hydra.launcher.workers=2")
    process = start("train.py", "-m", *SMALL, *PATIENT, *quick, cwd=tmp_path)
    in_training(process, tmp_path)
    # The last ones that were started train.
    os.kill(below(process.pid)[-1], signal.SIGKILL)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    assert "tried once more, alone" in printed
    assert (board(tmp_path / "outputs" / "small", "single")["status"] == "finished").all()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_command(tmp_path, sent):
    process = start("train.py", "-m", *SMALL, *LONG, *PATIENT, cwd=tmp_path)
    in_training(process, tmp_path)
    workers = below(process.pid)
    assert workers
    os.kill(process.pid, sent)
    # The trainings themselves would go on for minutes.
    printed, _ = process.communicate(timeout=15)
    assert "Traceback" not in printed
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").is_dir() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
