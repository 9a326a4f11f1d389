"""The file of a history store: where it lies, who may read it, and who has it open."""

import logging
import os
from pathlib import Path

from filelock import FileLock, Timeout

from fraud_ae.errors import UserError

log = logging.getLogger("fraud_ae")

_OTHERS = 0o077


def default_store(model: Path) -> Path:
    """Default path of the history store: beside `models/`, or else beside the model's folder."""
    folder = model.absolute().parent
    return (folder.parent if folder.name == "models" else folder) / "history.db"


def lock_store(path: Path) -> FileLock:
    """Take a store for this process alone, and for its owner alone; to be released.

    Makes an empty file where there is none. Raises UserError if it cannot be written or another
    process has it.
    """
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"{path}: another service has it; stop that, or use another --store"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        # SQLite gives the files beside it the rights of this one.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        for file in (path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm"))):
            _take_from_others(file)
    except OSError as error:
        lock.release()
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    return lock


def _take_from_others(file: Path) -> None:
    if not file.exists() or not file.stat().st_mode & _OTHERS:
        return
    try:
        file.chmod(0o600)
    except PermissionError:
        log.warning("%s: others can read it, and its owner alone can change that", file)
