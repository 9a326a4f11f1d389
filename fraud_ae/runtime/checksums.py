"""Checksums of the files of a folder, so that damage is found before anything is made of them.

`checksums.json` says size and XXH3 (Collet, https://xxhash.com) of each file that it vouches for,
and its own, so that a damaged list is told from damaged files. XXH3 finds damage, not forgery, and
reads ten times as many bytes a second as SHA-256.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import xxhash
from filelock import FileLock

from fraud_ae.runtime.atomic_files import to_disk, whole_file

CHECKSUMS = "checksums.json"
# What a damaged file is called from the time on when something else takes its place.
SET_ASIDE = ".damaged"
_PART = 1 << 22


class DamagedList(ValueError):
    """A `checksums.json` that is not what was written: its path, and what is wrong with it."""


def seal(folder: Path, files: Mapping[str, Path]) -> None:
    """Vouch for files of a folder, and for no others; all are on the disk when this returns.

    files: name in the folder, such as `model/scorer.json` -> where the file lies at present. Who
    calls this marks the folder as finished afterwards.
    """
    for path in files.values():
        to_disk(path)
    for inner in {path.parent for path in files.values()} | {folder}:
        to_disk(inner)
    _write(folder, {name: [_of(path)] for name, path in files.items()})
    # The folder itself is an entry of another one.
    to_disk(folder.parent)


def vouch(folder: Path, name: str, draft: Path) -> None:
    """Vouch for a file that takes the place of the one of that name right after this.

    Both count until the next call: a kill may come in between. A file that is damaged already is
    set aside. To be called with `list_lock` held.
    """
    to_disk(draft)
    path = folder / name
    try:
        listed = _read(folder)
        if _difference(path, listed.get(name, [])):
            set_aside(path)
    except DamagedList:
        set_aside(folder / CHECKSUMS)
        listed = {}
    before = [_of(path)] if path.is_file() else []
    _write(folder, {**listed, name: [_of(draft), *before]})


def list_lock(folder: Path) -> FileLock:
    """Held while a list and one of its files change."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f".{CHECKSUMS}.lock")


def is_sealed(folder: Path) -> bool:
    """Whether there is a list of the folder's files."""
    return (folder / CHECKSUMS).is_file()


def damage(folder: Path) -> dict[str, str]:
    """What is wrong with a sealed folder: name -> in words; empty where all is as it was written.

    Every listed file is read.
    """
    if not is_sealed(folder):
        return {CHECKSUMS: "missing"}
    try:
        listed = _read(folder)
    except DamagedList as error:
        return {CHECKSUMS: error.args[1]}
    found = {name: _difference(folder / name, known) for name, known in listed.items()}
    return {name: wrong for name, wrong in found.items() if wrong}


def difference(path: Path) -> str | None:
    """What is wrong with a file, in words; None where it is as it was written, or nothing is known.

    Raises DamagedList.
    """
    wrong = difference_now(path)
    if wrong is None:
        return None
    try:
        # Perhaps it is just being written anew.
        with list_lock(path.parent):
            return difference_now(path)
    except OSError:
        # Where there can be no lock, nobody writes.
        return wrong


def difference_now(path: Path) -> str | None:
    """As `difference`, for who holds `list_lock`."""
    # A run vouches for the files of its model, too.
    for folder in list(path.parents)[:2]:
        known = _read(folder).get(path.relative_to(folder).as_posix())
        if known:
            return _difference(path, known)
    return None


def set_aside(path: Path, folder: Path | None = None) -> None:
    """Rename a damaged file, so that another one can take its place; nothing if there is none.

    folder: into which it goes, of those that it lies in; by default it stays where it is.
    """
    folder = folder or path.parent
    name = "-".join(path.relative_to(folder).parts)
    with suppress(FileNotFoundError):
        os.replace(path, folder / f"{name}{SET_ASIDE}")


def empty(folder: Path, mark: Path | None = None) -> None:
    """Make a folder, or empty one; what is damaged in it is set aside and stays.

    mark: a file that says that the folder is finished, and goes first.
    """
    wrong = damage(folder) if is_sealed(folder) else {}
    if mark is not None and mark.name not in wrong:
        mark.unlink(missing_ok=True)
    for name in wrong:
        set_aside(folder / name, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.suffix != SET_ASIDE:
            path.unlink()


def _read(folder: Path) -> dict[str, list[dict]]:
    try:
        content = json.loads((folder / CHECKSUMS).read_bytes())
        files, own = content["files"], content["xxh3"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedList(folder / CHECKSUMS, f"{type(error).__name__}: {error}") from error
    if own != _of_list(files):
        raise DamagedList(folder / CHECKSUMS, "other content than was written")
    return files


def _write(folder: Path, files: Mapping[str, list[dict]]) -> None:
    listed = dict(sorted(files.items()))
    content = {"files": listed, "xxh3": _of_list(listed)}
    with whole_file(folder / CHECKSUMS) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n")
        to_disk(draft)
    to_disk(folder)


def _of_list(files: object) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(files, sort_keys=True).encode())


def _of(path: Path) -> dict:
    hashed = xxhash.xxh3_128()
    with path.open("rb") as file:
        while part := file.read(_PART):
            hashed.update(part)
    return {"bytes": path.stat().st_size, "xxh3": hashed.hexdigest()}


def _difference(path: Path, known: Iterable[Mapping]) -> str | None:
    known = list(known)
    if not known:
        return None
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if all(size != each["bytes"] for each in known):
        return f"{size:,} bytes, where {known[0]['bytes']:,} were written"
    return None if _of(path) in known else "other content than was written"
