"""Small disks and read-only ones, mounted for a test."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory; the test is skipped where nothing may be mounted.

    options: of mount, such as `size=1m`.
    """
    mounted = _call("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    if mounted is None or mounted.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield folder
    finally:
        # Also where a process has not let go of it yet.
        _call("umount", "--lazy", str(folder))


def _call(*command: str) -> subprocess.CompletedProcess | None:
    try:
        return subprocess.run(command, capture_output=True)
    except FileNotFoundError:
        return None
