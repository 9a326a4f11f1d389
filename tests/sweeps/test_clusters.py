"""Sweeps on a Ray cluster and by jobs of submitit, by the commands that a user types."""

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from fraud_ae.sweeps.progress import PROGRESS
from tests.commands import board, finished_runs, run_cold, start
from tests.ray_cluster import RayCluster

pytestmark = [pytest.mark.scale, pytest.mark.slow]
ON_SLURM = ("hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.launcher.jobs=2")
SWEEP = (
    *("train.py", "-m", "stage=features", "experiment=small", "features=combined"),
    *("data.n_transactions=4000", "scorer=reconstruction", "wandb.mode=disabled"),
    # For some seconds, in the middle of which a node is lost.
    *("trainer.max_epochs=40", "trainer.early_stopping_patience=40"),
    *("model.latent_dim=3,5", "trainer.learning_rate=0.002,0.001", "threshold.percentile=90,95"),
)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> pd.DataFrame:
    """The leaderboard of the sweep in two processes of this machine."""
    folder = tmp_path_factory.mktemp("local")
    run_cold(*SWEEP, "hydra.launcher.workers=2", cwd=folder)
    return figures(folder)


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("ray")
    with RayCluster(tmp_path, nodes=2) as cluster:
        yield cluster


def figures(folder: Path) -> pd.DataFrame:
    """All of a leaderboard but how long it took, and which of the jobs of a run was the first."""
    found = board(folder / "outputs" / "small", "features").drop(
        columns=["train_seconds", "reused"]
    )
    return found.sort_values(["run_id", "threshold.percentile"]).reset_index(drop=True)


def on_ray(cluster: RayCluster) -> tuple[str, ...]:
    return ("hydra/launcher=ray", f"hydra.launcher.address={cluster.address}")


def in_training(process: subprocess.Popen, folder: Path, sweep: int) -> None:
    """Wait until a sweep, counted from 1, trains, and has trained no network to the end."""
    for _ in range(900):
        sweeps = sorted(folder.glob("hydra/features/*"))
        trains = len(sweeps) == sweep and any(sweeps[-1].glob(f"{PROGRESS}/*"))
        if trains or process.poll() is not None:
            break
        time.sleep(0.05)
    assert process.poll() is None
    assert not finished_runs(folder)


def tasks_of_ray() -> list[int]:
    """Processes of this machine that train for a Ray cluster."""
    commands = Path("/proc").glob("[0-9]*/cmdline")
    return [int(p.parent.name) for p in commands if b"ray::run_packed" in _content(p)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


def test_a_sweep_goes_on_where_a_node_is_lost_and_where_it_was_killed(cluster, local, tmp_path):
    folder = tmp_path / "outputs" / "small"
    killed = start(*SWEEP, *on_ray(cluster), cwd=tmp_path, **cluster.environment)
    in_training(killed, folder, 1)
    killed.kill()
    killed.communicate()
    for _ in range(150):
        if not tasks_of_ray():
            break
        time.sleep(0.2)
    assert not tasks_of_ray()
    process = start(*SWEEP, *on_ray(cluster), cwd=tmp_path, **cluster.environment)
    in_training(process, folder, 2)
    cluster.kill(cluster.nodes[1])
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert "8 combinations, 4 trained now" in printed
    # Nor does the view show a training any more that went with the node.
    assert not list(max(folder.glob("hydra/features/*")).glob(f"{PROGRESS}/*"))
    pd.testing.assert_frame_equal(figures(tmp_path), local, check_exact=True)
    again = run_cold(*SWEEP, *on_ray(cluster), cwd=tmp_path, **cluster.environment)
    assert "8 combinations, 0 trained now" in again


def test_the_leaderboard_of_jobs_is_that_of_processes(local, tmp_path):
    pytest.importorskip("submitit")
    run_cold(*SWEEP, *ON_SLURM, cwd=tmp_path)
    pd.testing.assert_frame_equal(figures(tmp_path), local, check_exact=True)
    kept = tmp_path / "outputs" / "small" / "slurm"
    assert list(kept.glob("*_log.out"))
    assert not list(kept.glob("*.lease"))


def test_a_pipeline_whose_sweep_was_finished_before_is_audited_by_jobs(tmp_path):
    pytest.importorskip("submitit")
    one = (*SWEEP[3:8], "trainer.max_epochs=2")
    run_cold(*SWEEP[:3], *one, cwd=tmp_path)
    pipeline = ("pipeline.py", "stages=[features]", *one, *ON_SLURM)
    printed = run_cold(*pipeline, cwd=tmp_path)
    assert "nothing trained: all finished before" in printed
    assert list((tmp_path / "outputs" / "small" / "slurm").glob("*_result.pkl"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("hydra/launcher=ray", "hydra.launcher.address=127.0.0.1:1"), "no Ray cluster answers"),
        (("hydra/launcher=ray", "hydra.launcher.memory=2"), "must be a size with its unit"),
        (("hydra/launcher=slurm", "hydra.launcher.minutes=0"), "must be greater than 0"),
        (("hydra/launcher=slurm",), "hydra.launcher.cluster=slurm: "),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, settings, message):
    printed = run_cold(*SWEEP, *settings, cwd=tmp_path, fails=True)
    assert message in printed
    assert len(printed.strip().splitlines()) == 1


@pytest.mark.parametrize(("kind", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_without_its_package_the_extra_is_named(kind, package):
    code = (
        f"import sys; sys.modules['{package}'] = None\n"
        "from omegaconf import OmegaConf\n"
        "from fraud_ae.configuration import schemas\n"
        "from fraud_ae.sweeps.launcher import workers_of\n"
        f"node = OmegaConf.structured(schemas.{kind.title()}LauncherConfig)\n"
        "try: workers_of(node)\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"pip install 'fraud_ae[{kind}]'" in done.stdout, done.stderr
