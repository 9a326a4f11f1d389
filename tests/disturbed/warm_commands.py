"""Commands as forks of one process that has imported everything: real processes, begun at once.

`python -m tests.disturbed.warm_commands` is that process. A line of JSON starts a command in a
process group of its own, or waits for one to end. A command that is told a moment kills its group
there.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest

from tests.commands import ROOT

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="forks, and takes one core")
LOG = "printed.txt"
# One file of a command takes the place of another by one of these; `pathlib` calls them too.
_REPLACE = ("replace", "rename")
# What takes seconds, in each command that imports it itself.
_IMPORTED = (
    "optuna.storages",
    "pandera.pandas",
    "fraud_ae.cli.app",
    "fraud_ae.cli.pipeline",
    "fraud_ae.experiments.run",
    "fraud_ae.production.final_model",
    "fraud_ae.report.page",
)


@dataclass(frozen=True)
class Moment:
    """When a command kills its process group.

    when: before or after. what: a file or folder is renamed to a path that matches (`*`), or,
    before it alone, a database executes a statement that does. number: at the first,
    second, ... of those.
    """

    when: str
    what: str
    number: int = 1


class WarmCommands:
    """Starts commands; to be closed. environment: further variables of theirs."""

    def __init__(self, **environment: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.disturbed.warm_commands"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout.readline() == "ready\n"

    def start(self, script: str, *arguments: str, cwd: Path, moment: Moment | None = None) -> int:
        """Start `python SCRIPT ARGUMENTS` in a folder; returns the number of its process group.

        script: `train.py`, `pipeline.py`, `fraud-ae`, or `module:function` of the tests. What it
        prints goes to the file LOG of the folder.
        """
        told = {"argv": [script, *arguments], "cwd": str(cwd)}
        return self._ask({**told, "moment": moment and asdict(moment)})

    def wait(self, group: int) -> int:
        """The exit code of a command; that of one that was killed is the negative signal."""
        return self._ask({"wait": group})

    def run(self, *command: str, cwd: Path) -> str:
        """Run a command to its end, which must be a success; returns what it printed."""
        code, printed = self.wait(self.start(*command, cwd=cwd)), (cwd / LOG).read_text()
        assert code == 0, printed
        return printed

    def killed(self, moment: Moment, *command: str, cwd: Path) -> None:
        """Run a command until it kills itself at a moment, which has to come."""
        code = self.wait(self.start(*command, cwd=cwd, moment=moment))
        assert code == -signal.SIGKILL, (moment, (cwd / LOG).read_text())

    def close(self) -> None:
        self._server.communicate()

    def _ask(self, request: dict) -> int:
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())


def _serve() -> None:
    # With one core all work is done in the process itself, and nothing else has to be imported.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name in _IMPORTED:
        import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if not answer:
                _become(**request)
            os.setpgid(answer, answer)
        print(answer, flush=True)


def _become(argv: list[str], cwd: str, moment: dict | None) -> None:
    """Go on as the process of a command, and end with it."""
    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(cwd)
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = argv
        if moment is not None:
            _kill_at(Moment(**moment))
        _main(argv)()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(argv: list[str]) -> Callable[[], object]:
    script = argv[0]
    modules = {"train.py": "fraud_ae.cli.train", "pipeline.py": "fraud_ae.cli.pipeline"}
    if script in modules:
        return import_module(modules[script]).main
    if script == "fraud-ae":
        return import_module("fraud_ae.cli.app").main
    module, _, function = script.partition(":")
    return lambda: getattr(import_module(module), function)(*argv[1:])


def _kill_at(moment: Moment) -> None:
    """Have this process kill its group at a moment."""
    left = moment.number

    def come(what: str) -> bool:
        nonlocal left
        left -= fnmatch(what, moment.what)
        return left == 0 and fnmatch(what, moment.what)

    def watched(rename: Callable) -> Callable:
        def renamed(source: object, target: object, **options: object) -> None:
            is_it = come(os.fspath(target))
            if is_it and moment.when == "before":
                os.killpg(0, signal.SIGKILL)
            rename(source, target, **options)
            if is_it:
                os.killpg(0, signal.SIGKILL)

        return renamed

    for name in _REPLACE:
        setattr(os, name, watched(getattr(os, name)))
    _watch_databases(come)


def _watch_databases(come: Callable[[str], bool]) -> None:
    """SQLite says what it is about to execute."""
    import sqlite3

    connect = sqlite3.connect

    def traced(statement: str) -> None:
        if come(statement):
            os.killpg(0, signal.SIGKILL)

    def connected(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(traced)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = connected


if __name__ == "__main__":
    _serve()
