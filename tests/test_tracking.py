import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fraud_ae.tracking import TrackedRun, track
from tests.conftest import SMALL

ROOT = Path(__file__).resolve().parents[1]
WANDB = Path(sys.executable).with_name("wandb")


def settings_of(home: Path) -> dict[str, str]:
    """An environment in which W&B knows nobody, and writes below `home` alone."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    own = {f"WANDB_{name}_DIR": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    return kept | own | {"HOME": str(home), "NETRC": str(home / "netrc")}


@pytest.fixture(scope="module", autouse=True)
def _nobody(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        for name, value in settings_of(home).items():
            patch.setenv(name, value)
        yield


def wandb_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.wandb"))


def inspected(file: Path, *options: str) -> str:
    command = [WANDB, "leet", "inspect", *options, "--json", file]
    return subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True
    ).stdout


class Tracked:
    """What a W&B run kept, read back from its file."""

    def __init__(self, file: Path) -> None:
        self.folder = file.parent
        found = json.loads(inspected(file, "--summary"))
        self.config, self.summary, self.tags = found["config"], found["summary"], found["tags"]
        self.project, self.state = found["project"], found["state"]
        records = [json.loads(line) for line in inspected(file).splitlines()]
        self.run = next(r["run"] for r in records if r["type"] == "run")
        items = [r["history"]["item"] for r in records if r["type"] == "history"]
        self.artifacts = [r["artifact"] for r in records if r["type"] == "artifact"]
        self.curve = {
            name: [item[name] for item in items if name in item]
            for name in ("train_loss", "val_loss", "learning_rate", "epoch")
        }


@pytest.fixture(scope="module")
def offline(compose, train, tmp_path_factory):
    """A run of the store, and what W&B kept of its training."""
    config = compose("wandb.mode=offline", "wandb.project=ours", "stage=features")
    run = train(config, tmp_path_factory.mktemp("runs"))
    (file,) = wandb_files(run.folder)
    return run, config, Tracked(file)


def test_a_training_is_one_finished_run_in_its_own_folder(compose, train, tmp_path):
    runs = [
        train(compose("wandb.mode=offline", "trainer.max_epochs=1", f"seed={seed}"), tmp_path)
        for seed in (1, 2)
    ]
    assert [len(wandb_files(run.folder)) for run in runs] == [1, 1]
    tracked = [Tracked(*wandb_files(run.folder)) for run in runs]
    assert [found.config["seed"] for found in tracked] == [1, 2]
    assert [len(found.curve["train_loss"]) for found in tracked] == [1, 1]
    assert {found.state for found in tracked} == {"finished"}
    assert tracked[0].run["run_id"] != tracked[1].run["run_id"]


def test_a_run_is_grouped_by_experiment_and_named_by_its_stage(offline):
    _, _, tracked = offline
    assert tracked.run["run_group"] == "small"
    assert tracked.run["job_type"] == "features"
    assert tracked.tags == ["feature_sweep"]
    assert tracked.project == "ours"


def test_the_configuration_is_kept(offline):
    _, config, tracked = offline
    # W&B leaves out what is empty.
    metrics = {k: v for k, v in config["metrics"].items() if v}
    assert tracked.config == {**config, "metrics": metrics}


def test_the_summary_has_the_figures_of_the_run_under_flat_names(offline):
    run, _, tracked = offline
    names = ("final_auc", "precision", "recall", "threshold", "best_epoch", "feature_count")
    expected = {name: run.metrics()[name] for name in (*names, "fraud_ratio", "alert_rate")}
    assert {name: tracked.summary[name] for name in expected} == pytest.approx(expected)


def test_a_metric_of_ones_own_is_kept_like_the_others(compose, train, tmp_path, monkeypatch):
    (tmp_path / "caught_fraud.py").write_text(
        "def share(y_true, scores):\n    return float(y_true[scores.argsort()[-50:]].mean())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = "metrics.extra.caught=caught_fraud.share"
    run = train(compose("wandb.mode=offline", "trainer.max_epochs=1", own), tmp_path / "runs")
    (file,) = wandb_files(run.folder)
    assert Tracked(file).summary["caught"] == pytest.approx(run.metrics()["caught"])


def test_the_training_curve_has_a_point_for_each_epoch(offline):
    run, _, tracked = offline
    history = run.history()
    for name in ("train_loss", "val_loss", "learning_rate"):
        assert tracked.curve[name] == pytest.approx(history[name].tolist(), rel=1e-5)


def test_the_confusion_matrix_has_the_counts_of_the_run(offline):
    run, _, tracked = offline
    (file,) = tracked.folder.rglob("confusion_matrix*.table.json")
    rows = json.loads(file.read_text())["data"]
    found, counts = run.metrics(), {tuple(row[:2]): row[2] for row in rows}
    assert counts == {
        ("normal", "normal"): found["true_negatives"],
        ("normal", "fraud"): found["false_positives"],
        ("fraud", "normal"): found["false_negatives"],
        ("fraud", "fraud"): found["true_positives"],
    }


def test_tracking_does_not_change_the_run(offline, finished_run):
    run, _, _ = offline
    assert run.id == finished_run.id
    expected = {k: v for k, v in finished_run.metrics().items() if k != "train_seconds"}
    assert {k: v for k, v in run.metrics().items() if k != "train_seconds"} == expected


def test_disabled_writes_nothing(finished_run):
    assert not list(finished_run.folder.rglob("*wandb*"))


def target(**settings) -> TrackedRun:
    known = {"mode": "offline", "project": "ours", "entity": None, "group": "g", "job_type": "j"}
    return TrackedRun(**known | {"tags": ()} | settings)


def test_disabled_needs_no_folder_and_takes_figures(tmp_path):
    with track(target(mode="disabled"), tmp_path / "run", {}) as tracker:
        tracker.log_evaluation(np.array([0, 1]), np.array([True, True]), {"final_auc": 0.5})
        tracker.log_model(tmp_path / "model", tmp_path / "info.yaml", "detector")
        assert tracker.lightning_logger() is None
    assert not list(tmp_path.iterdir())


def test_a_training_that_fails_is_closed_as_failed(tmp_path):
    with pytest.raises(RuntimeError, match="diverged"), track(target(), tmp_path, {}):
        raise RuntimeError("diverged")
    (file,) = wandb_files(tmp_path)
    found = json.loads(inspected(file, "--summary"))
    assert found["exit_code"] == 1


def test_figures_that_are_undefined_are_left_out(tmp_path):
    with track(target(), tmp_path, {}) as tracker:
        flagged = np.array([False, True])
        tracker.log_evaluation(np.zeros(2), flagged, {"final_auc": None, "recall": 0.0})
    (file,) = wandb_files(tmp_path)
    summary = json.loads(inspected(file, "--summary"))["summary"]
    assert summary["recall"] == 0
    assert "final_auc" not in summary


def test_a_model_is_kept_as_an_artifact_of_all_its_files(finished_run, tmp_path):
    info = tmp_path / "model_info.yaml"
    info.write_text("name: small\n")
    with track(target(), tmp_path, {}) as tracker:
        tracker.log_model(finished_run.model_folder, info, "small-detector")
    (file,) = wandb_files(tmp_path)
    (artifact,) = Tracked(file).artifacts
    assert (artifact["name"], artifact["type"]) == ("small-detector", "model")
    names = {entry["path"] for entry in artifact["manifest"]["contents"]}
    assert names == {info.name, *(path.name for path in finished_run.model_folder.iterdir())}


def on_a_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a command shows; it runs on a terminal, so that it could ask for something."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        stop = threading.Timer(60, child.kill)
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


KEY = "0123456789" * 4


def test_online_without_a_server_trains_on_and_keeps_all_runs_offline(finished_run, tmp_path):
    overrides = [o for o in SMALL if not o.startswith("wandb")]
    online = ["wandb.mode=online", "wandb.init_timeout_seconds=1"]
    command = [sys.executable, str(ROOT / "train.py"), "-m", "seed=42,1", *overrides, *online]
    nowhere = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY}
    shown = on_a_terminal(command, tmp_path, settings_of(tmp_path / "home") | nowhere)
    assert shown.count("W&B cannot be reached") == 1, shown
    assert "Traceback" not in shown
    runs = tmp_path / "outputs" / "small" / "runs"
    assert len(list(runs.glob("*/wandb/offline-run-*"))) == 2
    found = json.loads((runs / finished_run.id / "metrics.json").read_text())
    expected = finished_run.metrics()
    assert {**found, "train_seconds": 0} == pytest.approx({**expected, "train_seconds": 0})


TWO_RUNS = """
import sys
import time
from pathlib import Path
import wandb
from fraud_ae.tracking import TrackedRun, track

target = TrackedRun("online", "p", None, "g", "j", (), init_timeout_seconds=2.0)
for name in ("one", "two"):
    started = time.monotonic()
    with track(target, Path(sys.argv[1]) / name, {}):
        print(f"waited {time.monotonic() - started:.2f}")
"""


@pytest.mark.parametrize("key", [KEY, None], ids=["dead port", "no key"])
def test_online_asks_nothing_and_waits_no_longer_than_it_may(tmp_path, key):
    environment = settings_of(tmp_path) | {"WANDB_BASE_URL": "http://127.0.0.1:9"}
    if key:
        environment["WANDB_API_KEY"] = key
    command = [sys.executable, "-c", TWO_RUNS, str(tmp_path / "runs")]
    shown = on_a_terminal(command, ROOT, environment)
    waited = [float(line.split()[1]) for line in shown.splitlines() if line.startswith("waited")]
    assert len(list((tmp_path / "runs").glob("*/wandb/offline-run-*"))) == 2
    assert shown.count("W&B cannot be reached") == 1, shown
    assert waited[0] < 2 + 3
    assert waited[1] < 2
