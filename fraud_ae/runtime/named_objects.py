"""Which classes and functions a configuration or a model folder may name.

Those of this package that are meant for the place where they are named, and those of modules that
the user allows. Nothing else is imported, let alone called: a file may come from anybody.
"""

import os
import pkgutil
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fraud_ae.errors import UserError

# Read by the processes that are started as well.
VARIABLE = "FRAUD_AE_ALLOWED_MODULES"
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True)
class Kind:
    """What a place takes.

    name: in words, such as `a scorer`. paths: those of this package. accepts: whether an object is
    one, asked once it is imported.
    """

    name: str
    paths: frozenset[str]
    accepts: Callable[[object], bool]


def allow_modules(names: Iterable[str]) -> None:
    """Allow classes and functions of further modules, in this process and those that it starts.

    names: of modules or packages, such as `payday`; what lies within a package is allowed with it.
    Raises UserError for what is no name of a module.
    """
    names = list(names)
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise UserError(f"{name}: no name of a module such as payday or shop.features")
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*allowed_modules(), *names]))


def allowed_modules() -> list[str]:
    """The modules that are allowed beside this package's own classes."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def class_path(instance: object) -> str:
    """`module.Class` of an object, from which `resolve` finds the class again."""
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


def resolve(path: str, kind: Kind) -> object:
    """The class or function of a dotted path.

    Raises UserError, before anything is imported, where neither the package nor an allowed module
    has it; and where it cannot be imported or is of another kind.
    """
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise UserError(f"{path}: must be {kind.name}, as package.module.name")
    if path not in kind.paths:
        _check_allowed(path, kind)
    try:
        found = pkgutil.resolve_name(path)
    except Exception as error:  # importing a user's module runs it, and anything may go wrong
        raise UserError(f"{path}: cannot be imported ({type(error).__name__}: {error})") from error
    if not kind.accepts(found):
        raise UserError(f"{path}: must be {kind.name}")
    # An allowed module also holds what it imports itself, such as `payday.os.system`.
    if path not in kind.paths and not is_allowed(str(getattr(found, "__module__", ""))):
        raise UserError(f"{path}: is {found!r}, of a module that is not allowed")
    return found


def _check_allowed(path: str, kind: Kind) -> None:
    if is_allowed(path.rpartition(".")[0]):
        return
    if path.partition(".")[0] == __name__.partition(".")[0]:
        raise UserError(f"{path}: must be {kind.name}: {', '.join(sorted(kind.paths))}")
    module = path.rpartition(".")[0]
    raise UserError(
        f"{path}: the module {module} is not allowed; for your own code: allowed_modules=[{module}]"
        f" (train.py, pipeline.py), --allow-module {module} (fraud-ae), or {VARIABLE}={module}"
    )


def is_allowed(module: str) -> bool:
    """Whether a module is one of those that the user allows, or lies within one."""
    return any(module == name or module.startswith(f"{name}.") for name in allowed_modules())
