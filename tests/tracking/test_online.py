"""With `wandb.mode=online`: real processes with W&B's own client, and servers on loopback."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.commands import ROOT, run
from tests.conftest import SMALL
from tests.tracking.offline_runs import WANDB, Tracked, settings_of
from tests.tracking.stand_in import KEY, StandIn, dead_server, run_of_others, silent_server

ONLINE = [*(o for o in SMALL if not o.startswith("wandb")), "wandb.mode=online"]
NOT_REACHED = "W&B cannot be reached"


@pytest.fixture
def stand_in():
    with StandIn().running() as server:
        yield server


@pytest.fixture
def environment(tmp_path):
    """Of someone with a key; where the server is, is still to be said."""
    return settings_of(tmp_path / "home") | {"WANDB_API_KEY": KEY, "COLUMNS": "80"}


def train(folder: Path, environment: dict, url: str, *overrides: str) -> tuple[str, float]:
    """What `python train.py` shows on a terminal, on which it could ask, and its seconds."""
    command = [sys.executable, str(ROOT / "train.py"), *ONLINE, *overrides]
    folder.mkdir(exist_ok=True)
    started = time.monotonic()
    shown = on_a_terminal(command, folder, environment | {"WANDB_BASE_URL": url})
    return shown, time.monotonic() - started


def on_a_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        stop = threading.Timer(600, child.kill)
        stop.start()
        try:
            while part := os.read(ours, 65_536):
                shown += part
        except OSError:
            pass  # the terminal is closed: the command has ended
        finally:
            stop.cancel()
            os.close(ours)
    assert child.returncode == 0, shown.decode()
    return shown.decode()


def metrics(folder: Path) -> dict:
    """The figures of the runs that a command left, but for their times."""
    paths = folder.glob("outputs/small/runs/*/metrics.json")
    found = {path.parent.name: json.loads(path.read_text()) for path in paths}
    times = {"train_seconds": 0, "fitted_at": ""}
    return {run: {**figures, **times} for run, figures in found.items()}


PIPELINE = ("experiment=small", "data.n_transactions=2000", "scorer=reconstruction")


def pipeline(folder: Path, environment: dict, *overrides: str) -> tuple[str, float]:
    """What `python pipeline.py` prints for a small experiment, and its seconds."""
    folder.mkdir()
    started = time.monotonic()
    shown = run("pipeline.py", *PIPELINE, *overrides, cwd=folder, **environment)
    return shown, time.monotonic() - started


@pytest.mark.slow
def test_without_a_server_a_pipeline_goes_on_offline_within_its_bound(environment, tmp_path):
    grid = ("model.activation=relu", "trainer.learning_rate=0.001", "trainer.batch_size=128")
    quoted = ",".join(f'"{value}"' for value in (*grid, "threshold.percentile=95"))
    stages = ("stages=[features,broad,production]", "features=baseline")
    small = (*stages, f"overrides.broad=[{quoted}]", "trainer.max_epochs=2")
    forced = (*small, "gate.force=true", "wandb.wait_seconds=6")
    _, usual_seconds = pipeline(tmp_path / "usual", environment, *forced)
    for name, server in (("dead", dead_server), ("silent", silent_server)):
        with server() as url:
            shown, seconds = pipeline(
                tmp_path / name,
                environment | {"WANDB_BASE_URL": url},
                *forced,
                "wandb.mode=online",
            )
        assert shown.count(NOT_REACHED) == 1, shown
        assert "Traceback" not in shown
        assert metrics(tmp_path / name) == metrics(tmp_path / "usual")
        assert len(offline_runs(tmp_path / name)) == len(metrics(tmp_path / "usual"))
        # Generous: what else the machine does is not known here.
        assert seconds < usual_seconds * 1.5 + 6 + 5


@pytest.mark.slow
def test_the_summary_and_the_gate_say_what_is_of_others(stand_in, environment, tmp_path):
    environment |= {"WANDB_BASE_URL": stand_in.url}
    one = ("features=temporal", "stages=[features]", "trainer.max_epochs=1", "wandb.mode=online")
    pipeline(tmp_path / "here", environment, *one)
    training, board = stand_in.runs.values()
    assert "leaderboard" in board["tags"]
    config = {name: part["value"] for name, part in json.loads(training["config"]).items()}
    rows = {"data": config["data"], "features": {"name": "baseline"}}
    elsewhere = {**rows, "data": {**config["data"], "validation_set": "of others"}}
    stand_in.shared = [
        run_of_others(training["displayName"], config, {"final_auc": 0.1}, user={"username": "me"}),
        run_of_others("aaaaaaaa", rows, {"final_auc": 0.5432}),
        run_of_others("bbbbbbbb", elsewhere, {"final_auc": 0.9999}),
        run_of_others("cccccccc", rows, {"final_auc": 0.7777}, group="another experiment"),
    ]
    arguments = (*PIPELINE, *one, "wandb.read=true")
    printed = run("pipeline.py", *arguments, cwd=tmp_path / "here", **environment)
    # The gate asks for the same rows, whatever the experiment is called.
    assert "baseline strategy   0.7777  baseline, run by ana, " in printed
    assert "without an interval" in printed
    decision = json.loads((tmp_path / "here/outputs/small/decision.json").read_text())
    assert decision["baseline_strategy_from"]["run_id"] == "cccccccc"
    # The summary asks for the same experiment.
    assert "from W&B, me/" in printed
    assert "3 finished runs, 2 of them not here" in printed
    assert "aaaaaaa" in printed
    assert "cccccccc" not in printed[printed.index("from W&B, me/") :]
    assert all(len(line) <= 80 for line in printed.splitlines() if line.startswith(("│", "┃")))


def offline_runs(folder: Path) -> list[Path]:
    return sorted(folder.glob("outputs/small/runs/*/wandb/offline-run-*/*.wandb"))


@pytest.mark.slow
def test_runs_are_told_to_the_server(stand_in, environment, tmp_path, finished_run):
    shown, _ = train(tmp_path, environment, stand_in.url, "stage.tags=[mine]")
    assert NOT_REACHED not in shown
    assert not offline_runs(tmp_path)
    ((name, run),) = stand_in.runs.items()
    (link,) = tmp_path.glob("outputs/small/runs/*/wandb.json")
    assert json.loads(link.read_text())["url"] == f"{stand_in.url}/me/{run['project']}/runs/{name}"
    assert (run["groupName"], run["jobType"], run["tags"]) == ("small", "single", ["mine"])
    assert run["displayName"] == finished_run.id
    config = json.loads(run["config"])
    assert config["model"]["value"]["latent_dim"] == 4
    losses = [line["train_loss"] for line in stand_in.history[name] if "train_loss" in line]
    assert losses == pytest.approx(finished_run.history()["train_loss"].tolist(), rel=1e-5)
    kinds = [artifact["artifactTypeName"] for artifact in stand_in.artifacts]
    assert kinds.count("dataset") == 1
    assert "UseArtifact" in stand_in.asked


@pytest.mark.slow
def test_a_server_that_was_given_up_is_not_asked_again(stand_in, environment, tmp_path):
    """Not even by W&B's service for its own ends, for which a silent one would be waited for."""
    stand_in.failing = {"Viewer"}
    train(tmp_path, environment, stand_in.url)
    assert stand_in.paths == ["/graphql"]


SCRIPT = """
import os, signal, sys
from pathlib import Path
from fraud_ae.tracking.server import Server
from fraud_ae.tracking.target import TrackingTarget
from fraud_ae.tracking.tracker import track

folder = Path(sys.argv[1])
target = TrackingTarget("online", "p", None, "g", "j", (), Server.of(folder / "notes", 60.0))
row = {"epoch": 1, "train_loss": 0.5, "val_loss": 0.5, "learning_rate": 0.1, "seconds": 1.0}
with track(target, folder / "run") as tracker:
    tracker.log_epoch(row, 10)
"""


def track_an_epoch(folder: Path, environment: dict, url: str, further: str = "") -> str:
    """What a script that tracks a run, and goes on with some lines, shows on a terminal."""
    command = [sys.executable, "-c", SCRIPT + further, str(folder)]
    return on_a_terminal(command, ROOT, environment | {"WANDB_BASE_URL": url})


@pytest.mark.slow
@pytest.mark.parametrize("key", ["", "0123"], ids=["no key", "no such key"])
def test_without_a_key_nothing_is_asked_and_runs_are_offline(stand_in, environment, tmp_path, key):
    stand_in.failing = {"Viewer"}
    shown = track_an_epoch(tmp_path, environment | {"WANDB_API_KEY": key}, stand_in.url)
    assert shown.count(NOT_REACHED) == 1, shown
    assert list(tmp_path.glob("run/wandb/offline-run-*/*.wandb"))


@pytest.mark.slow
def test_a_slow_server_is_waited_for_no_longer_than_allowed(stand_in, environment, tmp_path):
    stand_in.slowness = 1.5
    sweep = ("-m", "seed=1,2,3,4", "hydra.launcher.stack_size=1", "wandb.wait_seconds=3")
    shown, seconds = train(tmp_path, environment, stand_in.url, *sweep)
    assert shown.count(NOT_REACHED) == 1, shown
    assert len(metrics(tmp_path)) == 4
    assert 1 <= len(offline_runs(tmp_path)) <= 4
    assert seconds < 60


@pytest.mark.slow
def test_a_server_that_fails_in_the_middle_loses_nothing(
    stand_in, environment, tmp_path, finished_run
):
    # The transactions are logged after the run has begun.
    stand_in.failing = {"ArtifactType"}
    shown, _ = train(tmp_path, environment, stand_in.url, "wandb.wait_seconds=2")
    assert shown.count(NOT_REACHED) == 1, shown
    (file,) = offline_runs(tmp_path)
    tracked = Tracked(file)
    losses = finished_run.history()["train_loss"].tolist()
    assert tracked.curve["train_loss"] == pytest.approx(losses, rel=1e-5)
    assert tracked.summary["final_auc"] == pytest.approx(finished_run.metrics()["final_auc"])
    assert "dataset" in {artifact["type"] for artifact in tracked.artifacts}


@pytest.mark.slow
def test_the_death_of_the_clients_own_service_loses_nothing(stand_in, environment, tmp_path):
    """W&B's client hands everything to a process of its own, which may crash."""
    further = """
    # Whichever thread has started it.
    children = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    (service,) = {int(child) for of_thread in children for child in of_thread}
    os.kill(service, signal.SIGKILL)
    tracker.log_epoch({**row, "epoch": 2, "train_loss": 0.25}, 10)
with track(target, folder / "next") as tracker:
    tracker.log_epoch(row, 10)
"""
    shown = track_an_epoch(tmp_path, environment, stand_in.url, further)
    assert shown.count(NOT_REACHED) == 1, shown
    (file,) = tmp_path.glob("run/wandb/offline-run-*/*.wandb")
    assert Tracked(file).curve["train_loss"] == [0.5, 0.25]
    assert list(tmp_path.glob("next/wandb/offline-run-*/*.wandb"))


@pytest.mark.slow
def test_what_was_kept_offline_can_be_sent_later(stand_in, environment, tmp_path):
    with dead_server() as url:
        shown, _ = train(tmp_path, environment, url, "wandb.wait_seconds=1")
    later = re.search(r"Later: (wandb sync \S+)", shown).group(1)
    assert f"{later} " in (ROOT / "docs" / "wandb.md").read_text()
    command = later.replace("wandb", str(WANDB), 1)
    online = environment | {"WANDB_BASE_URL": stand_in.url}
    synced = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=online, capture_output=True, text=True
    )
    assert synced.returncode == 0, synced.stdout + synced.stderr
    ((name, run),) = stand_in.runs.items()
    assert run["groupName"] == "small"
    assert [line for line in stand_in.history[name] if "train_loss" in line]
