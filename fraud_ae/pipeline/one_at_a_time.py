"""One pipeline at a time in an experiment: a second one waits, or is refused."""

import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from fraud_ae.errors import UserError
from fraud_ae.runtime.atomic_files import write_json

_POLL_SECONDS = 1.0


@contextmanager
def one_at_a_time(experiment: Path, fingerprint: str) -> Iterator[None]:
    """Hold an experiment for a pipeline; another on the same data is waited for, which is said.

    experiment: its folder. fingerprint: of the transactions. The operating system gives it back
    with the process, even one that was killed. Raises UserError naming the process that holds it
    where that works on other data: both would take each other's candidates for their own.
    """
    locks = experiment / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    holder = locks / "pipeline.json"
    with _held(FileLock(locks / "pipeline.lock"), holder, fingerprint):
        write_json(holder, _self(fingerprint))
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)


@contextmanager
def _held(lock: FileLock, holder: Path, fingerprint: str) -> Iterator[None]:
    told, seconds = None, 0.0
    while True:
        try:
            lock.acquire(timeout=seconds)
            break
        except Timeout:
            other, seconds = _read(holder), _POLL_SECONDS
        if other is not None and other != told:
            _tell(holder.parents[1], other, fingerprint)
            told = other
    try:
        yield
    finally:
        lock.release()


def _tell(experiment: Path, other: dict, fingerprint: str) -> None:
    who = (
        f"{experiment} is held by process {other['process']} on {other['host']} since "
        f"{other['since']}: {other['command']}"
    )
    if other["data"] != fingerprint:
        raise UserError(
            f"{who}, with other data. Wait until it has ended, or name another experiment "
            "(experiment=NAME)"
        )
    print(f"{who}\nwaiting for it; what it finishes is not trained again", flush=True)


def _self(fingerprint: str) -> dict:
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}",
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "data": fingerprint,
    }


def _read(holder: Path) -> dict | None:
    """Who holds the experiment; None while that is not known, as just after one was killed."""
    try:
        other = json.loads(holder.read_text())
    except FileNotFoundError:
        return None
    if other["host"] != socket.gethostname() or _lives(other["process"]):
        return other
    return None


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
