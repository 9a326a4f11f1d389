"""Files that a reader, or a kill, finds whole or not at all."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from fraud_ae.runtime.stopping import undone_when_stopped
from fraud_ae.runtime.storage import writing


@contextmanager
def whole_file(path: Path, need: int | None = None) -> Iterator[Path]:
    """The path of a draft, which takes the file's place once it is written; not if that fails.

    After a power cut it may be empty all the same: see `runtime.kept_files` for what is read back.
    need: bytes, where it is known. Raises StorageError where it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path, need), undone_when_stopped(partial(draft.unlink, missing_ok=True)):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield draft
            os.replace(draft, path)
    finally:
        with suppress(NotADirectoryError):
            draft.unlink(missing_ok=True)


def write_whole(path: Path, text: str, encoding: str | None = None) -> None:
    """Write a file so that a reader, or a kill, finds it whole or not at all.

    encoding: by default the one of the locale, as `Path.write_text` has it. Raises StorageError.
    """
    with whole_file(path, len(text)) as draft:
        draft.write_text(text, encoding=encoding)


def write_json(path: Path, data: dict, indent: int | None = 2) -> None:
    """Write plain data as JSON, whole or not at all; long data is faster without indentation."""
    write_whole(path, json.dumps(data, indent=indent, allow_nan=False) + "\n")


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder anew: what is there makes way only when the new one is there whole.

    fill: writes the files into the draft that it is given. They are on the disk before the draft
    takes its place, and that is when this returns. Raises StorageError.
    """
    draft, old = (folder.with_name(f".{folder.name}.{end}") for end in ("draft", "old"))
    with writing(folder):
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        fill(draft)
        for path in (*draft.rglob("*"), draft):
            to_disk(path)
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
        to_disk(folder.parent)
        shutil.rmtree(old, ignore_errors=True)


def to_disk(path: Path) -> None:
    """Return only when a file, or the entries of a folder, would outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
