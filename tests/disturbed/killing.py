"""A command that is killed with all that it started: `python killing.py WHEN SCRIPT ARGUMENTS`.

WHEN is JSON: seconds after the start, or the fields of a Moment.
"""

import json
import os
import runpy
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.commands import ROOT, environment_of, script_arguments
from tests.warm_commands import WarmProcess

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="commands are forks, see above")
# One file of a command takes the place of another by one of these; `pathlib` calls them too.
_REPLACE = ("replace", "rename")


@dataclass(frozen=True)
class Moment:
    """When a command kills itself.

    when: before or after. what: a file or folder is renamed to a path that matches (`*`), or,
    before it alone, a database executes a statement that does. number: at the first,
    second, ... of those.
    """

    when: str
    what: str
    number: int = 1


def killed_at(when: float | Moment, *command: str) -> list[str]:
    """The command line of a command that is killed, see `run_killed`."""
    told = json.dumps(asdict(when) if isinstance(when, Moment) else when)
    return [sys.executable, str(Path(__file__)), told, *command]


def run_killed(when: float | Moment, script: str, *arguments: str, cwd: Path) -> tuple[int, str]:
    """Start a command that is killed after some seconds, or at a moment; exit code and print.

    script: a file of the project, or `-m`. The code is that of SIGKILL unless it ended before.
    """
    given = killed_at(when, *script_arguments(script, arguments))[1:]
    process = WarmProcess(given, cwd, environment_of(), ROOT)
    printed, _ = process.communicate()
    return process.returncode, printed


def main(when: str, script: str, *arguments: str) -> None:
    os.setsid()
    told = json.loads(when)
    if isinstance(told, dict):
        _kill_at(Moment(**told))
    else:
        _kill_after(told)
    if script == "-m":
        sys.argv, sys.path[0] = list(arguments), os.getcwd()
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [script, *arguments], str(ROOT)
        runpy.run_path(script, run_name="__main__")


def _kill() -> None:
    os.killpg(0, signal.SIGKILL)


def _kill_after(seconds: float) -> None:
    command, deadline = os.getpid(), time.monotonic() + seconds
    if os.fork():
        return
    while os.getppid() == command:
        if time.monotonic() > deadline:
            _kill()
        time.sleep(0.002)
    os._exit(0)


def _kill_at(moment: Moment) -> None:
    left = moment.number

    def is_it(what: str) -> bool:
        nonlocal left
        if not fnmatch(what, moment.what):
            return False
        left -= 1
        return left == 0

    def watched(rename: Callable) -> Callable:
        def renamed(source: object, target: object, **options: object) -> None:
            kills = is_it(os.fspath(target))
            if kills and moment.when == "before":
                _kill()
            rename(source, target, **options)
            if kills:
                _kill()

        return renamed

    for name in _REPLACE:
        setattr(os, name, watched(getattr(os, name)))
    connect = sqlite3.connect

    def connected(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        # SQLite says what it is about to execute.
        connection.set_trace_callback(lambda statement: is_it(statement) and _kill())
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = connected


if __name__ == "__main__":
    main(*sys.argv[1:])
