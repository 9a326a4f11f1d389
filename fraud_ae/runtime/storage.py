"""Disks that are full, read-only or not ours to write to, told in one line."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraud_ae.errors import StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.EIO,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
)
# NumPy does not say why, and Rust's libraries say it in words alone.
_PART_WRITTEN = re.compile(r"\d+ requested and \d+ written")
_IN_WORDS = re.compile(r"\(os error (\d+)\)")


@contextmanager
def writing(path: Path, need: int | None = None) -> Iterator[None]:
    """Raises StorageError where a file, or what is below a folder, cannot be written within.

    need: its size in bytes, where that is known.
    """
    try:
        yield
    except Exception as error:  # the libraries have classes of their own
        told = storage_error(error, path, need)
        if told is None:
            raise
        raise told from error


def storage_error(error: Exception, path: Path, need: int | None = None) -> StorageError | None:
    """What keeps a path from being written; None where an error is about something else.

    path: a file, or the folder that everything is written to. It is named unless the error names
    a file below it; where only the folder of temporary files is full, that is.
    """
    number = _number(error)
    named = getattr(error, "filename", None)
    if isinstance(named, bytes | int):
        named = None
    if number not in (*_FULL, *_REFUSED) or (named and not _is_near(Path(named), path)):
        return None
    if number in _FULL:
        temporary = Path(tempfile.gettempdir())
        place = path if named or _room(path) <= _room(temporary) else temporary
        wanted = "more than that" if need is None else f"at least {_size(need)}"
        return StorageError(
            f"{place}: cannot be written, the disk is full: {_size(_room(place))} free, {wanted} "
            "needed; make room and give the same command again"
        )
    place = Path(named) if named and path in Path(named).parents else path
    return StorageError(f"{place}: cannot be written ({os.strerror(number)})")


def _number(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if _PART_WRITTEN.search(str(error)):
        return errno.ENOSPC
    in_words = _IN_WORDS.search(str(error))
    return int(in_words.group(1)) if in_words else None


def _is_near(named: Path, path: Path) -> bool:
    """Whether a file is a path, below it, beside it as a draft is, or a folder that it lies in."""
    named, path = named.absolute(), path.absolute()
    return path.parent in named.parents or named == path or named in path.parents


def _room(path: Path) -> int:
    """Bytes that are free where a path is, or is to be."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def _size(count: int) -> str:
    size, units = float(count), ["B", "kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "B" else f"{size:.1f} {units[0]}"
