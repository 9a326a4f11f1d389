"""Commands that are stopped, by Ctrl-C or by whatever runs them, and given again."""

import os
import signal
from pathlib import Path

import pytest

from tests.commands import finished_runs, run, start
from tests.processes import PROCESSES, below, wait_for_end, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROCESSES.is_dir(), reason="looks for processes in /proc"),
]
SMALL = (
    "experiment=small",
    "features=combined",
    "data.n_transactions=2500",
    "model.hidden_sizes=[16]",
    "scorer=reconstruction",
    "trainer.early_stopping_patience=50000",
)
# Offline, so that W&B has a process of its own.
ENDLESS = (*SMALL, "trainer.max_epochs=50000")
BOTH = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped by SIGTERM")]


def is_training(folder: Path) -> bool:
    """Whether a run has begun in W&B, or networks that share a loop tell how far they are."""
    begun = ("runs/*/wandb/offline-run-*", "hydra/single/*/progress/*.json")
    return any(path for pattern in begun for path in folder.glob(pattern))


@pytest.mark.promise("C13")
@pytest.mark.parametrize(("number", "code", "word"), BOTH)
@pytest.mark.parametrize(
    "sweep", [(), ("-m", "seed=1,2,3,4"), ("-m", "seed=1,2", "hydra.launcher.workers=1")]
)
def test_training_ends_with_one_line_and_all_its_processes(tmp_path, sweep, number, code, word):
    process = start("train.py", *sweep, *ENDLESS, cwd=tmp_path)
    wait_until(lambda: is_training(tmp_path / "outputs" / "small"), process)
    started = below(process.pid)
    # W&B's process of the one worker, which is the command itself, comes a moment later.
    assert started or "hydra.launcher.workers=1" in sweep
    os.kill(process.pid, number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == code, printed
    said = f"{word}: the same command goes on where this one stopped"
    assert [line for line in printed.splitlines() if word in line] == [said]
    assert printed.splitlines()[-1] == said
    assert "Traceback" not in printed
    assert "leaked" not in printed
    wait_for_end(started)


@pytest.mark.parametrize(("number", "code", "word"), BOTH)
@pytest.mark.parametrize("script", ["train.py", "pipeline.py"])
def test_in_the_first_seconds_too(tmp_path, script, number, code, word):
    """While workers begin, all of which Ctrl-C at a terminal reaches."""
    sweep = ("-m", "seed=1,2,3,4") if script == "train.py" else ()
    process = start(script, *sweep, *SMALL, cwd=tmp_path)
    wait_until(lambda: below(process.pid), process)
    for pid in [process.pid, *below(process.pid)]:
        os.kill(pid, number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == code, printed
    assert printed.splitlines()[-1].startswith(f"{word}: ")
    assert "Traceback" not in printed


def test_a_sweep_that_was_stopped_goes_on(tmp_path):
    sweep = ("-m", "seed=1,2,3,4,5,6", "trainer.max_epochs=80", *SMALL, "wandb.mode=disabled")
    process = start("train.py", *sweep, "hydra.launcher.stack_size=1", cwd=tmp_path)
    folder = tmp_path / "outputs" / "small"
    wait_until(lambda: finished_runs(folder), process)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    before = {path: (path / "metrics.json").stat().st_mtime_ns for path in finished_runs(folder)}
    assert before
    assert len(before) < 6
    run("train.py", *sweep, cwd=tmp_path)
    after = {path: (path / "metrics.json").stat().st_mtime_ns for path in finished_runs(folder)}
    assert len(after) == 6
    assert {path: after[path] for path in before} == before
