"""Mistakes of a Hydra command line, each told in one line.

Hydra's own messages take several lines, and speak of search paths and of types of Python.
"""

import difflib
import re

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

# PyTorch has no class of its own for it.
_NO_MEMORY = "not enough memory"
_KINDS = {"Integer": "a whole number", "Float": "a number", "Bool": "true or false"}


def explained(error: Exception) -> str | None:
    """What a user did wrong, in one line; None where it is no mistake of a command line."""
    if isinstance(error, MemoryError) or _NO_MEMORY in str(error):
        what = _first_sentence(str(error))
        return f"there is not enough memory ({what}); take a smaller network, or fewer rows"
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        return _about_key(cause, str(error))
    if isinstance(error, OmegaConfBaseException):
        return _about_key(error, str(error))
    if isinstance(error, HydraException):
        return _first_sentence(str(error))
    if _is_no_name_of_an_option(error):
        return "a group takes the name of one of its options, such as model=autoencoder"
    if isinstance(error, ValueError) and _raised_by(error) == "omegaconf":
        # As of a name where a list has places, which its own classes do not cover.
        return f"a key or a value of the command line cannot be used: {_first_sentence(str(error))}"
    return None


def _is_no_name_of_an_option(error: Exception) -> bool:
    """Whether Hydra was given something else where it looks for the file of an option."""
    if isinstance(error, ValueError):
        return "Config group override" in str(error)
    # A list of numbers is taken for one of names, and their letters are looked at.
    return isinstance(error, TypeError) and _raised_by(error) == "hydra"


def _raised_by(error: Exception) -> str:
    """The package in which an error was raised."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_globals["__name__"].partition(".")[0]


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return f"{option}: no such configuration file"
    options = sorted(error.options or ())
    if not options:
        return f"{group}={option}: no such option"
    near = difflib.get_close_matches(option, options, n=1)
    meant = f"; did you mean {near[0]}?" if near else "; known:"
    listed = f" known: {', '.join(options)}" if near else f" {', '.join(options)}"
    return f"{group}={option}: no such option{meant}{listed}"


def _unreadable(error: OverrideParseException) -> str:
    text = error.override
    if "=" not in text and not text.startswith("~"):
        return f"{text}: a setting is written KEY=VALUE; --help shows what there is"
    return (
        f"{text}: cannot be read; a value with brackets, commas, blanks or quotes goes into "
        "quotes of its own, such as 'data.path=\"my file.csv\"'"
    )


def _about_key(error: OmegaConfBaseException, message: str) -> str:
    key = error.full_key or str(error.key)
    if isinstance(error, MissingMandatoryValue):
        return f"{key}: a value is needed, and none is given"
    if isinstance(error, ValidationError):
        return _wrong_value(error, key)
    if isinstance(error, InterpolationResolutionError):
        return f"{key}: {_first_sentence(str(error))}"
    if isinstance(error, ConfigKeyError | AttributeError):
        return f"{key}: no such key{_meant(error, key)}"
    return f"{key}: {_first_sentence(message)}"


def _meant(error: OmegaConfBaseException, key: str) -> str:
    parent = error.parent_node
    keys = [str(name) for name in parent] if isinstance(parent, DictConfig) else []
    before, _, last = key.rpartition(".")
    near = difflib.get_close_matches(last, keys, n=1)
    if near:
        return f"; did you mean {f'{before}.' if before else ''}{near[0]}?"
    return f"; known: {', '.join(sorted(keys))}" if before and keys else ""


def _wrong_value(error: ValidationError, key: str) -> str:
    value, text = error.value, str(error).partition("\n")[0]
    kind = re.search(r"could not be converted to (\w+)", text)
    options = re.search(r"expected one of \[(.*)\]", text)
    if options:
        return f"{key}={value}: must be one of {options.group(1).replace(chr(39), '')}"
    if "is not Optional" in text:
        return f"{key}=null: a value is needed"
    if kind:
        wanted = _KINDS.get(kind.group(1), f"a value of the kind {kind.group(1).lower()}")
        return f"{key}={value}: must be {wanted}"
    return f"{key}={value}: {_first_sentence(text)}"


def _first_sentence(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else "cannot be used"
    if first.startswith("Ambiguous value"):
        argument = first.partition("'")[2].rpartition("'")[0]
        return f"{argument}: several values are a sweep, which takes -m; a list goes into [ ]"
    deleted = re.fullmatch(r"Could not delete from config. '(.*)' does not exist.", first)
    if deleted:
        return f"~{deleted.group(1)}: no such key"
    sweep = re.fullmatch(r"Sweep parameters '(.*)' requires --multirun", first)
    if sweep:
        return f"{sweep.group(1)}: is a sweep, which takes -m"
    missing = re.fullmatch(r"Additional config directory '(.*)' not found", first)
    if missing:
        return f"--config-dir {missing.group(1)}: no such folder"
    return first
