"""A real Ray cluster on this machine: a head and further nodes, each with processes of its own."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_BEGUN = "Ray runtime started."
_SECONDS_TO_END = 10


class RayCluster:
    """`ray start --head`, and `ray start --address` for each further node; one core each.

    address: of the head. environment: of commands that are let in. Ends with all its processes
    where it is left.
    """

    def __init__(self, folder: Path, nodes: int) -> None:
        # Beside the folder: paths of sockets may have no more than 107 characters.
        self._temporary = Path(tempfile.mkdtemp(prefix="ray"))
        port = _free_port()
        self.address = f"127.0.0.1:{port}"
        # Ray takes a token up once in a process, and the tests have more than one cluster in one.
        self.environment = {"RAY_AUTH_MODE": "disabled"}
        self._folder = folder
        self.nodes: list[subprocess.Popen] = []
        head = ("--head", f"--port={port}", f"--temp-dir={self._temporary}")
        try:
            self._start(*head, "--include-dashboard=false")
            for _ in range(nodes - 1):
                self._start(f"--address={self.address}")
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "RayCluster":
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            self.kill(node)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def kill(self, node: subprocess.Popen) -> None:
        """End all processes of a node at once, as when its machine loses power."""
        with suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait(_SECONDS_TO_END)

    def _start(self, *arguments: str) -> None:
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"),
            *("--node-ip-address=127.0.0.1", "--disable-usage-stats", *arguments),
        ]
        log = self._folder / f"node{len(self.nodes)}.log"
        path = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, **self.environment, "PYTHONPATH": path}
        with log.open("w") as printed:
            node = subprocess.Popen(
                command,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self.nodes.append(node)
        while _BEGUN not in log.read_text():
            with suppress(subprocess.TimeoutExpired):
                node.wait(0.2)
                raise RuntimeError(f"Ray did not start: {log.read_text()}")


def _free_port() -> int:
    """One that the system does not give to others meanwhile, such as Ray's own agents."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
