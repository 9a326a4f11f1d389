"""The processes of a command that runs."""

import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

PROCESSES = Path("/proc")


def below(command: int) -> list[int]:
    """Those that a process has started, and those that they have."""
    found, parents = [], {command}
    for stat in sorted(PROCESSES.glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        try:
            pid, rest = stat.read_text().rsplit(")", 1)
        except OSError:  # it has ended
            continue
        if int(rest.split()[1]) in parents:
            found.append(int(pid.split()[0]))
            parents.add(found[-1])
    return found


def wait_until(holds: Callable[[], object], process: Popen | None = None) -> None:
    """Wait for what a process does, which must not end meanwhile."""
    deadline = time.monotonic() + 300
    while not holds():
        if process is not None:
            assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_end(pids: list[int]) -> None:
    """Wait until no process of some is left."""
    wait_until(lambda: not any((PROCESSES / str(pid)).is_dir() for pid in pids))
