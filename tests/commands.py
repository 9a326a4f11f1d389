"""The project's commands as real processes, in a folder of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

import pandas as pd

from tests.processes import below
from tests.warm_commands import WarmProcess

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
# Variables that are read when Python starts, or when a library is imported.
_AT_START = ("OMP_", "POLARS_", "PATH", "LD_")
_running: list[subprocess.Popen | WarmProcess] = []


def start(
    script: str, *arguments: str, cwd: Path, log: IO[str] | None = None, **environment: str
) -> subprocess.Popen:
    """Start `python SCRIPT ARGUMENTS`; what it prints, errors included, comes in one stream.

    script: a file of the project, or `-m`. log: a file that it prints into, in place of `stdout`.
    """
    process = subprocess.Popen(
        [sys.executable, *script_arguments(script, arguments)],
        cwd=cwd,
        env=environment_of(**environment),
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if not log:
        _running.append(process)
    return process


def start_warm(
    script: str,
    *arguments: str,
    cwd: Path,
    log: IO[str] | None = None,
    project: Path = ROOT,
    **environment: str,
) -> subprocess.Popen | WarmProcess:
    """As `start`, at once and on one core, see `tests.warm_commands`.

    project: the folder of the package that runs, where it is another.
    """
    if sys.platform != "linux" or any(name.startswith(_AT_START) for name in environment):
        return start(script, *arguments, cwd=cwd, log=log, **environment)
    given = script_arguments(script, arguments)
    process = WarmProcess(given, cwd, environment_of(**environment), project, log)
    if not log:
        _running.append(process)
    return process


def kill_what_runs() -> None:
    """End the commands that a test has left running, with all that they have started."""
    while _running:
        process = _running.pop()
        if process.poll() is None:
            for pid in [process.pid, *below(process.pid)]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.communicate()


def run(
    script: str,
    *arguments: str,
    cwd: Path,
    fails: bool = False,
    code: int | None = None,
    project: Path = ROOT,
    **environment: str,
) -> str:
    """Run a command to its end and return what it printed; it must succeed, or fail, as said.

    On one core, see `start_warm`. code: its exit code, where that is known; else `fails` says
    whether it is another than 0.
    """
    process = start_warm(script, *arguments, cwd=cwd, project=project, **environment)
    printed, _ = process.communicate(timeout=1700)
    return _checked(process.returncode, printed, fails, code)


def run_cold(
    script: str,
    *arguments: str,
    cwd: Path,
    fails: bool = False,
    code: int | None = None,
    **environment: str,
) -> str:
    """As `run`, on all cores, by a Python that imports everything itself."""
    process = start(script, *arguments, cwd=cwd, **environment)
    printed, _ = process.communicate(timeout=1700)
    return _checked(process.returncode, printed, fails, code)


def script_arguments(script: str, arguments: Iterable[str]) -> list[str]:
    """What Python is given to run a file of the project, or `-m`."""
    return [script if script == "-m" else str(ROOT / script), *arguments]


def environment_of(**own: str) -> dict[str, str]:
    """The variables of a command."""
    # A W&B run of the test process would lend its service, and its key, to the command.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return {**inherited, "COLUMNS": "80", "PYTHONPATH": str(ROOT), **own}


def _checked(ended: int, printed: str, fails: bool, code: int | None) -> str:
    if code is None:
        assert (ended != 0) == fails, printed
    else:
        assert ended == code, printed
    return printed


def fraud_ae(*arguments: str, cwd: Path, code: int = 0, **environment: str) -> str:
    """Run `fraud-ae ARGUMENTS`, and return what it printed."""
    return run("-m", "fraud_ae", *arguments, cwd=cwd, code=code, **environment)


def benchmark(name: str, *arguments: str) -> str:
    """Run `python -m benchmarks.NAME ARGUMENTS`, and return what it printed, errors left out."""
    # Threads of OpenMP that wait by spinning take minutes where other work keeps the cores busy.
    environment = {"COLUMNS": "80", "PATH": "/usr/bin:/bin", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_in(checkout: Path, script: str, *arguments: str, code: int = 0) -> str:
    """Run the command of another checkout, in its folder."""
    script = script if script == "-m" else str(checkout / script)
    path = str(checkout)
    return run(script, *arguments, cwd=checkout, code=code, project=checkout, PYTHONPATH=path)


def board(folder: Path, stage: str) -> pd.DataFrame:
    """The leaderboard that a stage left in the folder of an experiment."""
    return pd.read_csv(folder / "leaderboards" / f"{stage}.csv", dtype={"run_id": "str"})


def finished_runs(folder: Path) -> list[Path]:
    """The folders of the finished runs of an experiment."""
    return sorted(path.parent for path in folder.glob("runs/*/metrics.json"))
