"""Commands as forks of a process that has imported everything: real processes, begun at once.

Python takes longer to import what a command needs than most tests take for all else. On one core,
which the process keeps to, a sweep trains in the command itself.
`python warm_commands.py DESCRIPTOR` is that process; it ends with who started it.
"""

import atexit
import functools
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO

# What takes seconds, in each command that imports it itself.
_IMPORTED = (
    "optuna.storages",
    "pandera.pandas",
    "xgboost",
    "fraud_ae.cli.app",
    "fraud_ae.cli.pipeline",
    "fraud_ae.cli.train",
    "fraud_ae.experiments.run",
    "fraud_ae.serving.http.server",
    "uvicorn.protocols.http.httptools_impl",
    "fraud_ae.production.final_model",
    "fraud_ae.report.page",
)
_LARGEST_REQUEST = 1 << 20
_processes: list[subprocess.Popen] = []


class WarmProcess:
    """`python ARGUMENTS` that has been started, as `subprocess.Popen` has it.

    arguments: of Python; the first is a script or `-m`. project: the folder of the package that
    runs. log: a file that it prints into; without one, what it prints is read from `stdout`.
    """

    def __init__(
        self,
        arguments: list[str],
        cwd: Path,
        environment: dict[str, str],
        project: Path,
        log: IO[str] | None = None,
    ) -> None:
        request = {"arguments": arguments, "cwd": str(cwd), "environment": environment}
        printed, prints = (None, os.dup(log.fileno())) if log else os.pipe()
        ended, ends = os.pipe()
        socket.send_fds(_server(project), [json.dumps(request).encode()], [prints, ends])
        os.close(prints)
        os.close(ends)
        self.args, self.returncode = arguments, None
        self.stdout = printed and os.fdopen(printed, encoding="utf-8", errors="replace")
        self._ended = os.fdopen(ended)
        self.pid = int(self._ended.readline())

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises TimeoutExpired after so many seconds."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = int(self._ended.readline())
            self._ended.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """What it printed, to its end. Raises TimeoutExpired after so many seconds."""
        stop = None if timeout is None else threading.Timer(timeout, self.kill)
        if stop:
            stop.start()
        printed = self.stdout.read()
        if stop:
            in_time = stop.is_alive()
            stop.cancel()
            if not in_time:
                raise subprocess.TimeoutExpired(self.args, timeout, printed)
        self.stdout.close()
        self.wait()
        return printed, None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


@functools.cache
def _server(project: Path) -> socket.socket:
    own, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with others:
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve()), str(others.fileno())],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project)},
            stdin=subprocess.DEVNULL,
            pass_fds=[others.fileno()],
        )
    # Until this process ends, and it with it.
    _processes.append(process)
    return own


def _serve(server: socket.socket) -> None:
    cores = sorted(os.sched_getaffinity(0))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, {cores[worker % len(cores)]})
    for name in _IMPORTED:
        import_module(name)
    # What each process does once.
    import_module("fraud_ae.sweeps.plugins").register()
    rendering = import_module("fraud_ae.report.rendering")
    for path in (Path(rendering.__file__).parent / "templates").glob("*.jinja"):
        rendering.page_template(path.name)
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
    os.write(ends, f"{command}\n".encode())
    _, status = os.waitpid(command, 0)
    os.write(ends, f"{os.waitstatus_to_exitcode(status)}\n".encode())
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
            sys.argv = arguments[1:]
            _find_modules_in(cwd, environment)
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            _find_modules_in(str(Path(arguments[0]).parent), environment)
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


def _find_modules_in(first: str, environment: dict[str, str]) -> None:
    """As Python does when it starts; what has been imported stays what it is."""
    further = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [first, *(path for path in further if path)]


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
