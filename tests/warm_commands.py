"""Commands as forks of a process that has imported everything: real processes, begun at once.

Python takes longer to import what a command needs than most tests take for all else. On one core,
which the process keeps to, a sweep trains in the command itself.
`python -m tests.warm_commands DESCRIPTOR` is that process; it ends with who started it.
"""

import atexit
import functools
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

# What takes seconds, in each command that imports it itself.
_IMPORTED = (
    "optuna.storages",
    "pandera.pandas",
    "xgboost",
    "fraud_ae.cli.app",
    "fraud_ae.cli.pipeline",
    "fraud_ae.cli.train",
    "fraud_ae.experiments.run",
    "fraud_ae.production.final_model",
    "fraud_ae.report.page",
)
_LARGEST_REQUEST = 1 << 20
_process: subprocess.Popen | None = None


def run_warm(arguments: list[str], cwd: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run `python ARGUMENTS` to its end; its exit code, and what it printed, errors included.

    arguments: of Python; the first is a script or `-m`.
    """
    request = {"arguments": arguments, "cwd": str(cwd), "environment": environment}
    printed, prints = os.pipe()
    ended, ends = os.pipe()
    socket.send_fds(_server(), [json.dumps(request).encode()], [prints, ends])
    os.close(prints)
    os.close(ends)
    with open(printed, encoding="utf-8", errors="replace") as text, open(ended) as code:
        said = text.read()
        return int(code.read()), said


@functools.cache
def _server() -> socket.socket:
    # Until this process ends, and it with it.
    global _process
    own, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with others:
        _process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm_commands", str(others.fileno())],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.DEVNULL,
            pass_fds=[others.fileno()],
        )
    return own


def _serve(server: socket.socket) -> None:
    cores = sorted(os.sched_getaffinity(0))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, {cores[worker % len(cores)]})
    for name in _IMPORTED:
        import_module(name)
    gc.freeze()
    # Nobody waits for those that wait for the commands.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(server, _LARGEST_REQUEST, 2)
        if not request:
            return
        if not os.fork():
            server.close()
            _answer(json.loads(request), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _answer(request: dict, prints: int, ends: int) -> None:
    """Fork once more for the command itself, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = os.fork()
    if not command:
        os.close(ends)
        _become(prints, **request)
    os.close(prints)
    _, status = os.waitpid(command, 0)
    os.write(ends, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(prints: int, arguments: list[str], cwd: str, environment: dict[str, str]) -> None:
    """Go on as `python ARGUMENTS`, and end with it."""
    for stream in (1, 2):
        os.dup2(prints, stream)
    os.close(prints)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    code = 1
    try:
        if arguments[0] == "-m":
            sys.argv, sys.path[0] = arguments[1:], cwd
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).parent)
            runpy.run_path(arguments[0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    # All that the interpreter does at its end, but for taking apart what it has imported.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
