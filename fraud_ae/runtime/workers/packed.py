"""A function on its way to a process that begins with nothing of this one, maybe elsewhere."""

import functools
import os
import pickle
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from fraud_ae.errors import UserError
from fraud_ae.runtime.named_objects import allowed_modules
from fraud_ae.runtime.workers.workers import Outcome, Raised, run_logged

# Of another version of these a network comes out otherwise, or not at all.
_VERSIONS = ("numpy", "pandas", "polars", "torch", "xgboost-cpu")


@dataclass(frozen=True)
class Packed:
    """A function with its arguments, and what a process needs before it can read them.

    content: both, pickled. threads: that it may take. folder: in which this command stands. path:
    where Python looks for modules. allowed: modules beside the package's own. variables: of the
    environment. lease: without which the process ends.
    """

    content: bytes
    threads: int
    folder: str
    path: tuple[str, ...]
    allowed: tuple[str, ...]
    variables: Mapping[str, str] = field(repr=False, default_factory=dict)
    lease: "Lease | None" = None


@dataclass(frozen=True)
class Lease:
    """A file that the command touches while it lives: without it, nobody waits for a result.

    seconds: after which a process ends that has not seen it touched.
    """

    file: Path
    seconds: float

    def kept(self, ended: threading.Event) -> None:
        """Touch it until an event says that nothing is waited for, then take it away."""
        while not ended.wait(self.seconds / 5):
            self.file.touch()
        self.file.unlink(missing_ok=True)

    def end_without(self) -> None:
        """End this process where the file is gone, or is not touched any more."""
        seen, since = 0, time.monotonic()
        while time.monotonic() - since < self.seconds:
            time.sleep(self.seconds / 10)
            try:
                touched = self.file.stat().st_mtime_ns
            except FileNotFoundError:
                break
            if touched != seen:
                seen, since = touched, time.monotonic()
        os._exit(1)


def packed(
    function: Callable,
    arguments: tuple,
    threads: int,
    variables: Mapping[str, str] | None = None,
    lease: Lease | None = None,
) -> Packed:
    """A function of this process for another one; see `Packed`."""
    return Packed(
        pickle.dumps((function, arguments)),
        threads,
        os.getcwd(),
        tuple(sys.path),
        tuple(allowed_modules()),
        dict(variables or {}),
        lease,
    )


def run_packed(work: Packed) -> Outcome:
    """Run it as a worker of the command's own machine would, see `run_logged`."""
    try:
        os.chdir(work.folder)
    except OSError as error:
        return Raised(UserError(f"{_node()} does not see {work.folder}: {error.strerror}")), []
    if work.lease is not None:
        threading.Thread(target=work.lease.end_without, daemon=True).start()
    sys.path[:] = dict.fromkeys([*work.path, *sys.path])
    os.environ.update(work.variables)
    _limit_threads(work.threads)
    # Packed by the command that sent it, through a cluster that may run any code of the user's.
    function, arguments = pickle.loads(work.content)  # noqa: S301
    return run_logged(function, arguments, list(work.allowed))


def surroundings(token: Path) -> dict[str, str]:
    """What results depend on beside the arguments: versions, and whether a file is seen here.

    token: a file that the command has written.
    """
    found = {"Python": platform.python_version()}
    for name in ("fraud_ae", *_VERSIONS):
        try:
            found[name] = version(name)
        except ImportError:
            found[name] = "none"
    return {**found, "folder": str(token.parent) if token.is_file() else "not there"}


def check_surroundings(here: Mapping[str, str], there: Mapping[str, str], node: str) -> None:
    """Raises UserError where a node does not see the folder, or has other versions."""
    if there["folder"] != here["folder"]:
        raise UserError(
            f"{node} does not see {here['folder']}: outputs_dir must be a folder that all nodes "
            "share"
        )
    for name, wanted in here.items():
        if there[name] != wanted:
            raise UserError(
                f"{node} has {name} {there[name]}, this machine {wanted}: install the same there"
            )


@functools.cache
def _limit_threads(count: int) -> None:
    from threadpoolctl import threadpool_limits

    threadpool_limits(count)


def _node() -> str:
    return f"node {platform.node()}"
