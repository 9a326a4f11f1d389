"""What the files of an experiment may add to a command: a closed list of keys.

They lie in a folder that others may write into. Settings, and options that the user's own folders
have, may come from there; what names code, or where Hydra looks for options, may not.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from fraud_ae.errors import UserError

# The groups and sections that decide a run; names, stages and tracking are never part of one.
GROUPS = ("data", "features", "model", "trainer", "scorer")
SECTIONS = (*GROUPS, "encoder", "threshold", "seed")
# What an earlier command may add to a retraining.
KEYS = (
    *SECTIONS,
    "allow_features",
    "gate",
    "metrics",
    "objective",
    "optuna",
    "overrides",
    "production",
    "promotion",
    "retrain",
    "stages",
    "summary",
    "wandb",
)
# Groups of which a command takes an option.
_CHOSEN = (*GROUPS, "candidate")
# Further overrides of a pipeline's stages, a list each.
_OF_STAGES = "overrides"
# Functions of the user's own.
_FUNCTIONS = "metrics.extra"
TARGET = "_target_"
_OPTION = re.compile(r"[\w-]+")
_KEY = re.compile(r"[a-z_]+(\.[\w-]+)*")


def check_command(path: Path, arguments: Iterable[str]) -> None:
    """Refuse arguments of an earlier command that only a user may give.

    path: of the file that they are from. Raises UserError naming the first one.
    """
    for argument in arguments:
        if not _may_be_stored(argument):
            raise UserError(
                f"{path}: {argument} is not taken from a file, which others may have changed; "
                "if it is yours, give it again on the command line"
            )


def check_candidates(folder: Path, chosen: Iterable[Path]) -> None:
    """Refuse options in the folder of an experiment that are no candidates, or say too much.

    folder: of the experiment. chosen: files of candidates that a command is going to take. Raises
    UserError naming the file.
    """
    conf = folder / "conf"
    for path in sorted(conf.rglob("*")):
        if path.is_symlink() or _is_unexpected_option(path, conf):
            raise UserError(f"{path}: only files of candidates may lie in {conf}; take it away")
    for path in chosen:
        _check_candidate(path)


def _is_unexpected_option(path: Path, conf: Path) -> bool:
    # Of all files Hydra reads those of this ending alone, as options of the folder's group.
    return path.suffix == ".yaml" and path.parent != conf / "candidate"


def _check_candidate(path: Path) -> None:
    try:
        said = yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({type(error).__name__})") from error
    if not isinstance(said, dict) or not isinstance(said.get("defaults", []), list):
        raise UserError(f"{path}: no candidate; run the stage that made it again")
    for key in said:
        if key not in (*SECTIONS, "defaults"):
            raise UserError(f"{path}: {key} has no place in a candidate; take it out")
    allowed = {f"override /{group}" for group in GROUPS}
    for entry in said.get("defaults", []):
        options = entry if isinstance(entry, dict) else {entry: None}
        for group, option in options.items():
            if group not in allowed or not _OPTION.fullmatch(str(option)):
                raise UserError(f"{path}: {group}: {option} has no place in a candidate's defaults")
    if _has_target(said):
        raise UserError(f"{path}: {TARGET} has no place in a candidate; take it out")


def _may_be_stored(argument: str) -> bool:
    key, equals, value = argument.lstrip("+~").partition("=")
    if key.split(".")[0] == _OF_STAGES and _KEY.fullmatch(key):
        return _are_overrides(value)
    if not _KEY.fullmatch(key) or key.split(".")[0] not in (*KEYS, *_CHOSEN) or TARGET in argument:
        return False
    if key == _FUNCTIONS.split(".")[0] or key.startswith(_FUNCTIONS):
        return False
    # The name of an option is no path to a file.
    return key not in _CHOSEN or not equals or re.fullmatch(r"[\w,()*-]+", value) is not None


def _are_overrides(value: str) -> bool:
    """Whether a list of overrides, as `overrides.broad` has them, may be stored."""
    try:
        overrides = yaml.safe_load(value)
    except (yaml.YAMLError, RecursionError):
        return False
    if not isinstance(overrides, list):
        return False
    return all(isinstance(each, str) and _may_be_stored(each) for each in overrides)


def _has_target(node: object) -> bool:
    if isinstance(node, list):
        return any(map(_has_target, node))
    if not isinstance(node, dict):
        return False
    return TARGET in node or any(map(_has_target, node.values()))
