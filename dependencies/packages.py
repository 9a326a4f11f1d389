"""What the lock files hold, with the licence of each package and who needs it."""

import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import metadata, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCK, IMAGE_LOCK = ROOT / "requirements.lock", ROOT / "docker" / "requirements.lock"
# What engines beyond one machine take beside the packages of LOCK.
SCALE_LOCK = ROOT / "dependencies" / "scale.lock"
REVIEW = tomllib.loads((ROOT / "dependencies" / "review.toml").read_text())
# Extras of those who work on the project; all others are of those who use it.
DEVELOPMENT = ("dev", "docs")
NOT_LOCKED = ("bench",)


@dataclass(frozen=True)
class Package:
    """A package of a lock file.

    licence: an SPDX expression, or as its metadata puts it where this names no known licence.
    used: whether someone who uses the project runs it, and not only who works on it.
    """

    name: str
    version: str
    licence: str
    used: bool

    def forbidden(self) -> set[str]:
        """Licences of the package that nobody allowed."""
        allowed = set(REVIEW["licences"]["everywhere"])
        if not self.used:
            allowed |= set(REVIEW["licences"]["development"])
        return set(re.split(r" (?:AND|OR|WITH) |[()]", self.licence)) - allowed - {""}


def pins(lock: Path) -> dict[str, str]:
    """Name -> version of a lock file."""
    found = {}
    for line in lock.read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            pin = Requirement(line.removesuffix("\\"))
            found[canonicalize_name(pin.name)] = str(pin.specifier).removeprefix("==")
    return found


def direct() -> dict[str, list[str]]:
    """Packages that pyproject.toml names and a lock file can hold -> extras that ask for each.

    The empty extra is the project without extras.
    """
    found: dict[str, list[str]] = {}
    for extra, requirements in _requirements().items():
        for requirement in requirements:
            found.setdefault(canonicalize_name(requirement.name), []).append(extra)
    return found


def _requirements() -> dict[str, list[Requirement]]:
    """Extras that a lock file can hold, "" for the project without one -> what they ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: [Requirement(line) for line in lines]
        for extra, lines in extras.items()
        if extra not in NOT_LOCKED
    }


def packages() -> list[Package]:
    """Every package of requirements.lock, by name. They must be installed."""
    pinned = pins(LOCK)
    asked = {
        (canonicalize_name(requirement.name), wanted)
        for extra, requirements in _requirements().items()
        if extra not in DEVELOPMENT
        for requirement in requirements
        for wanted in ("", *requirement.extras)
    }
    used = _needed({pair for pair in asked if pair[0] in pinned}, pinned)
    return [Package(name, pinned[name], licence_of(name), name in used) for name in sorted(pinned)]


def pre_releases() -> dict[str, str]:
    """Name -> version of what is no stable release yet."""
    locked = {**pins(LOCK), **pins(IMAGE_LOCK), **pins(SCALE_LOCK)}
    return {name: locked[name] for name in sorted(locked) if Version(locked[name]).is_prerelease}


def licence_of(name: str) -> str:
    """The licence that an installed package declares: by expression, classifier or text."""
    told = metadata(name)
    if told["License-Expression"]:
        return told["License-Expression"]
    spdx = REVIEW["licences"]["names"]
    classifiers = [
        c.rpartition(" :: ")[2] for c in told.get_all("Classifier", []) if "License" in c
    ]
    known = sorted({spdx[c] for c in classifiers if c in spdx})
    if known:
        return " AND ".join(known)
    text = (told["License"] or "none").splitlines()[0]
    return spdx.get(text, text)


def _needed(asked: set[tuple[str, str]], pinned: dict[str, str]) -> set[str]:
    """The packages, and what they need in turn on this machine, among those that are pinned.

    asked: packages and one extra of each; the empty one is the package without extras.
    """
    found: set[tuple[str, str]] = set()
    waiting = set(asked)
    while waiting:
        name, extra = waiting.pop()
        found.add((name, extra))
        for requirement in map(Requirement, requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                other = canonicalize_name(requirement.name)
                if other in pinned:
                    waiting |= {(other, wanted) for wanted in ("", *requirement.extras)} - found
    return {name for name, _ in found}
