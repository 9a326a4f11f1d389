"""Which files a path stands for, what kind each of them is, and their bytes uncompressed."""

import bz2
import glob
import gzip
import lzma
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from fraud_ae.data.files.folders import files_of_folder
from fraud_ae.data.naming import listed
from fraud_ae.errors import DataError

# Kind of a table by the end of its name, without the end of a compression.
KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
_COMPRESSIONS = (".gz", ".zip", ".xz", ".zst", ".bz2")


def table_files(path: str | Path | None) -> list[Path]:
    """The files of one kind that a path stands for, sorted: a file, a directory, or a glob.

    Raises DataError where there is none, where the kind of one is not known, where they differ,
    and for a folder that is not written to its end.
    """
    if path is None or not str(path).strip():
        raise DataError("no file of transactions given: data.path=FILE is needed")
    # A path that begins with ~ and names no user is one like any other.
    path = Path(os.path.expanduser(path))
    if path.is_dir():
        files = [file for file in files_of_folder(path) if kind_of(file)]
    elif path.exists():
        files = [path]
    else:
        named = map(Path, glob.glob(str(path), recursive=True, include_hidden=True))
        files = sorted(file for file in named if file.is_file())
    if not files:
        wanted = "table in it" if path.is_dir() else "such file"
        raise DataError(f"{path}: no {wanted}; data.path must name a file of transactions")
    for file in files:
        if kind_of(file) is None:
            raise DataError(
                f"{file}: unknown kind of file; its name must end in {listed(KINDS)}, and a "
                f"compressed one in {listed(_COMPRESSIONS)} behind it"
            )
    kinds = {kind_of(file) for file in files}
    if len(kinds) > 1:
        raise DataError(
            f"{path}: holds files of several kinds ({', '.join(sorted(kinds))}); name those of "
            f"one, such as {path / '*.csv'}"
        )
    return files


def kind_of(path: Path) -> str | None:
    """`csv`, `parquet`, `arrow` or `json` by the name of a file; None where it says nothing."""
    name = path.name.lower()
    for end in _COMPRESSIONS:
        name = name.removesuffix(end)
    return KINDS.get(Path(name).suffix)


@contextmanager
def native_stream(path: Path) -> Iterator[pa.NativeFile]:
    """The bytes of a file as a stream that Arrow's own threads read.

    Where they call Python, one may still do so while the interpreter ends, which kills the process.
    """
    compression = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(path.suffix.lower())
    if path.suffix.lower() in (".zip", ".xz"):
        with tempfile.NamedTemporaryFile(prefix="fraud_ae-") as copy:
            with uncompressed(path) as stream:
                shutil.copyfileobj(stream, copy)
            copy.flush()
            with pa.OSFile(copy.name) as native:
                yield native
    else:
        with pa.input_stream(str(path), compression=compression) as native:
            yield native


@contextmanager
def uncompressed(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, as a stream. Raises DataError for an archive of several files."""
    end = path.suffix.lower()
    if end == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            names = [name for name in names if not name.startswith("__MACOSX")]
            if len(names) != 1:
                raise DataError(f"{path}: holds {len(names)} files; unpack it and name one")
            with archive.open(names[0]) as stream:
                yield stream
    elif end == ".zst":
        with pa.input_stream(str(path), compression="zstd") as stream:
            yield stream
    else:
        openers = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
        with openers.get(end, open)(path, "rb") as stream:
            yield stream
