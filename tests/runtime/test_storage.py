"""Disks that are full or cannot be written to, made for real: small ones, and a bound on sizes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from fraud_ae.errors import StorageError
from fraud_ae.runtime.atomic_files import whole_file, write_folder, write_whole
from fraud_ae.runtime.storage import storage_error, writing
from tests.disks import small_disk

FULL = r"cannot be written, the disk is full: [\d.]+ [kM]?B free, .* needed; make room"


def write_parquet(path: Path, rows: np.ndarray) -> None:
    pl.DataFrame({"score": rows}).write_parquet(path, compression="uncompressed")


def write_arrow(path: Path, rows: np.ndarray) -> None:
    pl.DataFrame({"score": rows}).to_pandas().to_parquet(path, compression=None)


def write_tensors(path: Path, rows: np.ndarray) -> None:
    save_file({"score": rows}, path)


def write_array(path: Path, rows: np.ndarray) -> None:
    with path.open("wb") as file:
        rows.tofile(file)


WRITERS = [write_parquet, write_arrow, write_tensors, write_array]


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with small_disk(tmp_path_factory.mktemp("disk"), "size=1m") as folder:
        yield folder


@pytest.fixture(scope="module")
def read_only(tmp_path_factory):
    with small_disk(tmp_path_factory.mktemp("read_only"), "ro,size=1m") as folder:
        yield folder


@pytest.mark.promise("C14")
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_whichever_library_writes_a_full_disk_is_told_with_its_room(disk, write):
    path = disk / "scores"
    with pytest.raises(StorageError, match=rf"^{path}: {FULL}") as told, whole_file(path) as draft:
        write(draft, np.random.default_rng(0).random(400_000))
    assert "\n" not in str(told.value)
    assert not list(disk.iterdir())


def test_what_is_needed_is_told_where_it_is_known(disk):
    with pytest.raises(StorageError, match=r"at least 3\.0 MB needed"):
        write_whole(disk / "text", "x" * 3_000_000)


def test_a_folder_that_did_not_fit_leaves_the_old_one(disk):
    write_folder(disk / "model", lambda draft: (draft / "a").write_text("old"))
    with pytest.raises(StorageError, match=FULL):
        write_folder(disk / "model", lambda draft: (draft / "a").write_bytes(b"x" * 3_000_000))
    assert (disk / "model" / "a").read_text() == "old"


@pytest.mark.promise("C14")
def test_a_disk_that_is_read_only_is_told(read_only):
    said = rf"^{read_only}/new/text: cannot be written \(Read-only file system\)$"
    with pytest.raises(StorageError, match=said):
        write_whole(read_only / "new" / "text", "x")


def test_a_bound_on_the_size_of_files_is_told(tmp_path):
    """Where there is neither a right to mount nor a quota."""
    program = f"""
import resource
from pathlib import Path
from fraud_ae.errors import exit_on_user_error
from fraud_ae.runtime.atomic_files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
exit_on_user_error(write_whole)(Path({str(tmp_path / "text")!r}), "x" * 5000)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'text'}: cannot be written (File too large)\n"
    assert not list(tmp_path.iterdir())


def test_errors_about_something_else_pass(tmp_path):
    with pytest.raises(FileNotFoundError), writing(tmp_path):
        (tmp_path / "none").read_text()
    elsewhere = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/elsewhere/data.csv")
    assert storage_error(elsewhere, tmp_path / "outputs") is None
    assert storage_error(ValueError("no number"), tmp_path) is None
