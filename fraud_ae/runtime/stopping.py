"""How a command ends that is told to stop: at once, with one line, and with all that it started."""

import atexit
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What may be done after a command that goes on by itself.
RESUMED = "the same command goes on where this one stopped"
# What a signal is called in the line that it ends in.
_STOPS = {signal.SIGINT: "interrupted", signal.SIGTERM: "stopped by SIGTERM"}
# Whoever reads the output, or holds what is to be undone, is not waited for any longer.
_MOST_SECONDS = 10.0
_PASSES = 3
_PROCESSES = Path("/proc")
_undone: list[Callable[[], None]] = []


def end_on_signals(then: str) -> None:
    """From now on SIGINT and SIGTERM end the process, with 130 and 143 and one line.

    Nothing is taken down on the way: files are written so that a kill, too, leaves them whole or
    not there, and whatever an exception passed through, as a library that handles interrupts of its
    own, could hold it up or change the exit code. The signal comes to a thread through a socket:
    the main thread may be at an import or a computation for seconds. A signal that is ignored, as
    in the background of a shell, stays so.

    then: ends the line, and says what the user may do next.
    """
    reads, writes = socket.socketpair()
    writes.setblocking(False)
    # Python keeps the number of the socket and not the socket.
    signal.set_wakeup_fd(writes.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_follow, args=(reads, then), daemon=True).start()
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave_to_the_thread)


def leave_signals() -> None:
    """The end is no longer ours: for a server, which answers first what waits."""
    signal.set_wakeup_fd(-1)


@contextmanager
def undone_when_stopped(undo: Callable[[], None]) -> Iterator[None]:
    """Have something undone if a signal ends the process within; else nothing is done.

    undo: quick, and called in another thread.
    """
    _undone.append(undo)
    try:
        yield
    finally:
        _undone.remove(undo)


def _leave_to_the_thread(*_: object) -> None:
    """A handler has to be there for Python to write to the socket."""


def _follow(signals: socket.socket, then: str) -> None:
    while True:
        for number in signals.recv(64):
            if number in _STOPS:
                _end(number, then)


def _end(number: int, then: str) -> None:
    code = 128 + number
    # The main thread may come to its own end meanwhile, with an exit code of its own.
    atexit.register(threading.Event().wait)
    printed, said = _silenced()
    _kill_all(os.getpid())
    last_resort = threading.Timer(_MOST_SECONDS, os._exit, [code])
    last_resort.daemon = True
    last_resort.start()
    for undo in reversed(_undone):
        with suppress(Exception):  # nothing may keep the process from ending
            undo()
    # A closed pipe must not, either.
    with suppress(OSError, ValueError):
        os.dup2(printed, 1)
        sys.stdout.flush()
        os.write(said, f"{_STOPS[signal.Signals(number)]}: {then}\n".encode())
    os._exit(code)


def _silenced() -> tuple[int, int]:
    """Where standard output and errors went until now; what is written from here on goes nowhere.

    Other threads may fail for want of what is killed, and are not to tell it.
    """
    try:
        before = os.dup(1), os.dup(2)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
    except OSError:  # they are closed
        return 1, 2
    return before


def _kill_all(root: int) -> None:
    """Kill what a process has started, and what these have.

    Where the system does not list its processes, they find out for themselves that their parent is
    gone, which takes them seconds.
    """
    for _ in range(_PASSES):
        below = _below(root)
        if not below:
            break
        for pid in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _below(root: int) -> list[int]:
    """The processes below one, parents first, but for the one of Python's that cleans up at last.

    It gives back what the others held, and ends by itself after the last of them.
    """
    children: dict[int, list[int]] = {}
    for stat in _PROCESSES.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            # The name of a process may have any characters, also brackets.
            parent = stat.read_text().rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    found, parents = [], [root]
    while parents:
        below = [p for p in children.get(parents.pop(), []) if not _cleans_up(p)]
        found += below
        parents += below
    return found


def _cleans_up(pid: int) -> bool:
    with suppress(OSError):
        return b"resource_tracker" in (_PROCESSES / str(pid) / "cmdline").read_bytes()
    return False
