"""Several processes that train one network together, by the real command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

TRAIN = Path(__file__).resolve().parents[3] / "train.py"
SMALL = (
    "data.n_transactions=2500",
    "trainer.max_epochs=3",
    "trainer.accelerator=cpu",
    "scorer=reconstruction",
    "wandb.mode=disabled",
)
TOGETHER = ("trainer.devices=2", "trainer.strategy=ddp")
LONG = (*SMALL, *TOGETHER, "trainer.max_epochs=100000", "trainer.early_stopping_patience=100000")


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(TRAIN.parent)}
    return subprocess.Popen(
        [sys.executable, str(TRAIN), *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(folder: Path, *arguments: str) -> tuple[Path, pd.DataFrame]:
    """The only run's folder, and its history."""
    process = start(folder, *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    (run,) = (folder / "outputs" / "synthetic" / "runs").glob("[0-9a-f]*")
    return run, pd.read_csv(run / "history.csv")


def others(pid: int) -> list[int]:
    """The other processes of a training that a command has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        n for n in map(int, children) if b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()
    ]


def training(folder: Path) -> tuple[subprocess.Popen, int]:
    """A command that is at its epochs, and its other process."""
    process = start(folder, *LONG)
    for line in process.stdout:
        if " 2/100000" in line:
            break
    (other,) = others(process.pid)
    return process, other


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("trainer.contamination=0.05", "trainer.batch_size=97")])
def test_losses_are_those_of_one_process_and_one_process_writes(tmp_path, more):
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    run, history = finished(alone, *SMALL, *more)
    same, shared = finished(together, *SMALL, *more, *TOGETHER)
    for name in ("train_loss", "val_loss"):
        assert shared[name].tolist() == pytest.approx(history[name].tolist(), abs=1e-5)
    assert same.name == run.name
    written = [
        sorted(p.relative_to(r) for r in (folder,) for p in r.rglob("*") if p.is_file())
        for folder in (run, same)
    ]
    assert written[0] == written[1]
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in (run, same)]
    assert figures[1]["final_auc"] == pytest.approx(figures[0]["final_auc"], abs=1e-3)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_training_with_one_line(tmp_path):
    process, other = training(tmp_path)
    os.kill(other, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = errors.strip().splitlines()
    assert line.startswith("error: a process of the training ended early")
    process, _ = training(tmp_path)
    process.kill()
    process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_none_is_left_of_a_command_that_is_stopped(tmp_path, number):
    process, other = training(tmp_path)
    process.send_signal(number)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while is_running(other) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(other)
