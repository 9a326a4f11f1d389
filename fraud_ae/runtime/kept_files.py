"""What an experiment keeps and reads back: one reader, which passes over what is damaged.

A reader changes nothing. A damaged file is renamed when a whole one takes its place, so that it can
be looked at.
"""

import functools
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import yaml

from fraud_ae.errors import UserError
from fraud_ae.runtime.atomic_files import whole_file
from fraud_ae.runtime.checksums import DamagedList, difference, list_lock, vouch
from fraud_ae.runtime.storage import writing
from fraud_ae.runtime.yaml_files import read_yaml

log = logging.getLogger("fraud_ae")
Content = TypeVar("Content")


class DamagedFile(UserError):
    """A kept file that is not what was written."""


def read_checked(path: Path, parse: Callable[[Path], Content], then: str = "") -> Content:
    """What a file says. Raises DamagedFile where it is not what was written.

    parse: makes the content of the path. then: what becomes of it, or what a user may do.
    """
    wrong = _difference(path)
    if wrong is not None:
        raise DamagedFile(f"{path}: damaged ({wrong}){then}")
    return _parsed(path, parse, then)


def read_edited(path: Path, parse: Callable[[Path], Content], then: str = "") -> Content:
    """As `read_checked` of a file that people may edit: where one has, a line tells so."""
    wrong = _difference(path)
    if wrong is not None:
        warn_once(f"{path}: changed since it was written ({wrong}), and used as it is now")
    return _parsed(path, parse, then)


def _difference(path: Path) -> str | None:
    try:
        return difference(path)
    except DamagedList as error:
        listed, what = error.args
        warn_once(f"{listed}: damaged ({what}); what it vouched for is read unchecked")
        return None


def _parsed(path: Path, parse: Callable[[Path], Content], then: str) -> Content:
    try:
        return parse(path)
    except FileNotFoundError:
        wrong = "missing"
    except (ValueError, yaml.YAMLError) as error:
        wrong = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    raise DamagedFile(f"{path}: damaged ({wrong}){then}")


def read_kept(path: Path, parse: Callable[[Path], Content]) -> Content | None:
    """As `read_checked`; None where there is no such file, or a line tells that it is damaged.

    Whoever wrote it writes it again, and what reads it goes on without it until then.
    """
    if not path.is_file():
        return None
    try:
        return read_checked(path, parse, "; passed over, and made again by what made it")
    except DamagedFile as error:
        warn_once(str(error))
        return None


@contextmanager
def kept_file(path: Path) -> Iterator[Path]:
    """The path of a draft, which takes the file's place; whole, on the disk and vouched for.

    Raises StorageError where it cannot be written.
    """
    with writing(path), list_lock(path.parent), whole_file(path) as draft:
        yield draft
        vouch(path.parent, path.name, draft)


def write_kept(path: Path, text: str) -> None:
    """Write a text that is read back; see `kept_file`."""
    with kept_file(path) as draft:
        draft.write_text(text)


def write_kept_json(path: Path, data: object) -> None:
    """Write plain data as JSON that is read back; see `kept_file`."""
    write_kept(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def parse_json(path: Path) -> dict:
    """The mapping that a file of JSON holds. Raises ValueError where it holds none."""
    return _mapping(json.loads(path.read_text()))


def parse_yaml(path: Path) -> dict:
    """The mapping that a file of YAML holds. Raises ValueError where it holds none."""
    return _mapping(read_yaml(path))


def _mapping(content: object) -> dict:
    if not isinstance(content, dict):
        raise ValueError(f"holds no settings but a {type(content).__name__}")
    return content


@functools.cache
def warn_once(message: str) -> None:
    """Whoever asks again, as a sweep does before each of its jobs, knows it already."""
    log.warning(message)
