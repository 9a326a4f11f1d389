"""What has to be settled on the command line before Hydra composes a configuration."""

import difflib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from fraud_ae.configuration.secrets import refuse_keys
from fraud_ae.configuration.stored_overrides import check_candidates, check_command
from fraud_ae.errors import UserError
from fraud_ae.runtime.kept_files import parse_json, read_checked, read_edited
from fraud_ae.runtime.storage import writing
from fraud_ae.runtime.yaml_files import read_yaml

CONF = Path(__file__).resolve().parents[2] / "conf"
OUTPUTS = "outputs"
# Overrides that say what one command does, and nothing about the experiment.
ONCE = ("stages", "gate.force", "retrain")
# Going on without would be a challenger of other settings.
_SETTINGS_LOST = (
    "; it has the settings of the champion's pipeline: run that once more with all of them, and "
    "the file is made again"
)
# Flags of Hydra's own; those that are followed by a value, and those that are not.
_WITH_VALUE = {
    "--cfg": "-c",
    "--package": "-p",
    "--config-path": "-cp",
    "--config-name": "-cn",
    "--config-dir": "-cd",
    "--experimental-rerun": None,
}
_FLAGS = {
    "--help": "-h",
    "--hydra-help": None,
    "--version": None,
    "--resolve": None,
    "--run": "-r",
    "--multirun": "-m",
    "--shell-completion": "-sc",
    "--info": "-i",
}


def normalized(arguments: list[str], commands: dict[str, str]) -> list[str]:
    """The arguments as Hydra takes them: `--outputs DIR` is the setting `outputs_dir`.

    commands: arguments, or keys of them, that are other commands by now -> what to type instead.
    Raises UserError for one of these, for a flag that is not known, and for a key in an argument.
    """
    # Before Hydra writes them down.
    refuse_keys(arguments, "the command line")
    taken: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        flag, equals, value = argument.partition("=")
        if flag == "--outputs":
            if not equals and not rest:
                raise UserError("--outputs: a folder is needed, such as --outputs results")
            taken.append(f"outputs_dir={quoted(value if equals else rest.pop(0))}")
        elif flag in _WITH_VALUE or flag in filter(None, _WITH_VALUE.values()):
            taken.append(argument)
            if not equals and rest:
                taken.append(rest.pop(0))
        elif flag.startswith("-") and flag != "-":
            _check_flag(flag)
            # An optional value may follow, as in `--info searchpath`.
            taken.append(argument)
        else:
            for word in (argument, override_key(argument)):
                if word in commands:
                    raise UserError(f"{argument}: use {commands[word]}")
            taken.append(argument)
    return taken


def _check_flag(flag: str) -> None:
    known = [*_FLAGS, *_WITH_VALUE, "--outputs", *filter(None, _FLAGS.values())]
    if flag not in known:
        near = difflib.get_close_matches(flag, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else "; --help shows what there is"
        raise UserError(f"{flag}: no such flag{meant}")


def quoted(text: str) -> str:
    """A value as Hydra's grammar reads it back, whatever characters it has."""
    if re.fullmatch(r"[\w./:%@?|+-]+", text, re.ASCII):
        return text
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"'{escaped}'"


def last(candidates: Sequence[Path]) -> str:
    """The candidate of the latest stage among some in the order of their stages."""
    return candidates[-1].stem


def complete(arguments: list[str], choose: Callable[[Sequence[Path]], str] = last) -> list[str]:
    """Add to the normalized arguments of `train.py` what follows from them.

    A sweep over `features` is the stage of that name. A stage reads the candidates that its
    `stage.reads` names unless others are given: a sweep all of them, a single run the one that
    wins. choose: takes the files of candidates, and gives the name of the winner. The experiment's
    candidates become a config group, which Hydra has to be given before it knows the experiment.

    Raises UserError if a stage needs candidates that are not there, or is a sweep without -m.
    """
    arguments = list(arguments)
    if only_shows(arguments):
        return arguments
    folder = check_experiment(arguments)
    sweeps = bool({"-m", "--multirun"} & set(arguments))
    if sweeps and _given(arguments, "stage") is None and _is_sweep(_given(arguments, "features")):
        arguments.append("stage=features")
    stage = _given(arguments, "stage") or "single"
    content = _option_file(arguments, "stage", stage)
    settings = content.get("stage", content)
    runs = not {"-c", "--cfg", "-i", "--info"} & set(arguments)
    if settings.get("sweep") and not sweeps and runs:
        raise UserError(f"stage={stage} is a sweep: python train.py -m stage={stage} ...")
    if sweeps:
        grid = content.get("hydra", {}).get("sweeper", {}).get("params", {})
        arguments = _fixed_as_sweeps(arguments, grid)
    candidate, reads = _given(arguments, "candidate"), settings.get("reads")
    if candidate is None and reads:
        found = _matching(folder, reads)
        if found:
            arguments.append(f"candidate={reads if sweeps else choose(found)}")
        elif settings.get("requires_candidate") and runs:
            raise UserError(_nothing_to_read(stage, reads, folder))
    elif candidate == "null":
        # Without candidates there is no such group that Hydra could leave empty.
        arguments = [a for a in arguments if a != "candidate=null"]
    elif candidate is not None and not _matching(folder, candidate):
        raise UserError(_nothing_to_read(stage, candidate, folder))
    if candidate_folder(folder).is_dir():
        chosen = _given(arguments, "candidate")
        check_candidates(folder, _matching(folder, chosen) if chosen else ())
        arguments = _with_search_path(arguments, folder / "conf")
    return arguments


def complete_retraining(arguments: list[str]) -> list[str]:
    """The normalized arguments of a retraining with those of the champion's own pipeline.

    Without an experiment it is the only one that has a model in production. What the last pipeline
    of it was given holds for the challenger, too, but for what is given anew: columns and settings
    need not be typed again.

    Raises UserError where the experiment's `data.json` cannot be read, or adds what only a user
    may give.
    """
    outputs, name = outputs_folder(arguments), experiment_name(arguments)
    if not any(_given(arguments, key) for key in ("experiment", "data", "data.name")):
        names = sorted(path.parents[1].name for path in outputs.glob("*/models/production"))
        name = names[0] if len(names) == 1 else name
    path = outputs / name / "data.json"
    commands = [[]]
    if path.is_file():
        try:
            commands = read_checked(path, parse_json, _SETTINGS_LOST)["commands"]
        except (OSError, KeyError) as error:
            raise UserError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
    given = {override_key(argument) for argument in arguments}
    settled = {*given, *ONCE, "experiment", "outputs_dir"}
    added = [o for o in commands[-1] if override_key(o) not in settled]
    if "data" in given:
        # The settings of another source are not those of this one.
        added = [o for o in added if not override_key(o).startswith("data.")]
    check_command(path, added)
    named = [] if "experiment" in given else [f"experiment={quoted(name)}"]
    return [*arguments, *added, *named]


def candidate_folder(experiment_folder: Path) -> Path:
    """The Hydra config group `candidate` of one experiment."""
    return experiment_folder / "conf" / "candidate"


def override_key(override: str) -> str:
    """The key that an override of the command line is about."""
    return override.lstrip("+~").partition("=")[0]


def outputs_folder(arguments: list[str]) -> Path:
    """Where every experiment is a folder."""
    return Path(os.path.expanduser(_given(arguments, "outputs_dir") or OUTPUTS))


def check_experiment(arguments: list[str]) -> Path:
    """The folder of the experiment, made if it is not there.

    Raises UserError, before Hydra makes anything, where the name is no folder's or it cannot be
    written.
    """
    folder = named_experiment(arguments)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def named_experiment(arguments: list[str]) -> Path:
    """The folder of the experiment. Raises UserError where the name is no folder's."""
    return outputs_folder(arguments) / folder_name(experiment_name(arguments))


def folder_name(experiment: str) -> str:
    """The name of an experiment, which is that of a folder below `outputs`.

    Raises UserError where it would be another place, or is known only to Hydra.
    """
    elsewhere = any(part in experiment for part in ("/", "\\", "${"))
    if not experiment.strip(". ") or elsewhere or not experiment.isprintable():
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in experiment)
        raise UserError(f"experiment={shown}: must be a plain folder name, such as experiment=shop")
    return experiment


def experiment_name(arguments: list[str]) -> str:
    """The experiment that a command is about; by default it is named after its data."""
    for key in ("experiment", "data.name"):
        name = _given(arguments, key)
        if name is not None:
            return name
    source = _given(arguments, "data") or "synthetic"
    return str(_option_file(arguments, "data", source).get("name", source))


def config_flags(arguments: list[str]) -> list[str]:
    """The folders of a user's own configuration, as flags that hold in any folder."""
    return [
        f"{flag}={Path(folder).resolve()}"
        for flag in ("--config-path", "--config-dir")
        if (folder := _flag(arguments, flag)) is not None
    ]


def only_shows(arguments: list[str]) -> bool:
    """Whether Hydra shows its help, or the like, and runs nothing."""
    flags = {"-h", "--help", "--hydra-help", "--version", "-sc", "--shell-completion"}
    return bool(flags & set(arguments))


def only_sums_up(arguments: list[str]) -> bool:
    """Whether a pipeline shows what there is, and runs and writes nothing."""
    return (_given(arguments, "summary") or "").lower() in ("true", "yes", "on", "y", "1")


def _flag(arguments: list[str], flag: str) -> str | None:
    """The value of a flag of Hydra's, in any of its spellings; the last one counts."""
    spellings = (flag, _WITH_VALUE[flag])
    value = None
    for position, argument in enumerate(arguments):
        name, equals, text = argument.partition("=")
        if name in spellings:
            value = text if equals else "".join(arguments[position + 1 : position + 2])
    return value


def _given(arguments: list[str], key: str) -> str | None:
    """The value that overrides give a key; the last one counts."""
    values = [a.split("=", 1)[1] for a in arguments if a.lstrip("+").startswith(f"{key}=")]
    if not values:
        return None
    text = re.fullmatch(r"(['\"])(.*)\1", values[-1].strip())
    return re.sub(r"\\(['\"\\])", r"\1", text.group(2)) if text else values[-1].strip()


def _is_sweep(value: str | None) -> bool:
    return value is not None and ("," in value or "(" in value)


def _option_file(arguments: list[str], group: str, option: str) -> dict:
    """The YAML of an option of a group, as the first folder has it that Hydra looks into.

    Empty where there is none: an unknown option is left to Hydra, which knows the others.
    """
    folders = [_flag(arguments, "--config-path") or CONF, _flag(arguments, "--config-dir")]
    for folder in filter(None, folders):
        path = Path(folder) / group / f"{option}.yaml"
        if path.is_file():
            try:
                return yaml.safe_load(path.read_text()) or {}
            except yaml.YAMLError as error:
                place = getattr(error, "problem_mark", None)
                line = f", line {place.line + 1}" if place else ""
                raise UserError(f"{path}{line}: cannot be read as YAML") from error
    return {}


def _with_search_path(arguments: list[str], folder: Path) -> list[str]:
    """The arguments with a further folder in which Hydra looks for options."""
    # Here, as the service's image is without Hydra, and its command is the same.
    from hydra.core.override_parser.overrides_parser import OverridesParser

    key = "hydra.searchpath"
    paths: list[str] = []
    for argument in arguments:
        if override_key(argument) == key:
            value = OverridesParser.create().parse_override(argument).value()
            paths = list(map(str, value)) if isinstance(value, list) else [str(value)]
    paths.append(f"file://{folder.resolve()}")
    rest = [argument for argument in arguments if override_key(argument) != key]
    return [*rest, f"{key}=[{','.join(map(quoted, paths))}]"]


def _fixed_as_sweeps(arguments: list[str], grid: dict) -> list[str]:
    """A fixed value of a key in the stage's grid becomes a choice of one.

    The Optuna sweeper would otherwise run the whole grid, each combination several times.
    """
    completed = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        fixed = key in grid and "." in key and not _is_sweep(value)
        completed.append(f"{key}=choice({value})" if fixed else argument)
    return completed


def _matching(folder: Path, choice: str) -> list[Path]:
    """Candidate files that `broad_01`, `broad_01,broad_02` or `glob(broad_*)` stand for."""
    pattern = re.fullmatch(r"glob\((.*)\)", choice)
    names = [pattern.group(1)] if pattern else choice.split(",")
    found = [path for name in names for path in candidate_folder(folder).glob(f"{name}.yaml")]
    for path in found:
        stage = path.stem.rpartition("_")[0]
        read_edited(path, read_yaml, f"; made again by: python train.py -m stage={stage}")
    return found


def _nothing_to_read(stage: str, choice: str, folder: Path) -> str:
    names = sorted(path.stem for path in candidate_folder(folder).glob("*.yaml"))
    before = re.sub(r"glob\(|_.*", "", choice)
    return (
        f"candidate={choice}: no such candidate in {candidate_folder(folder)} "
        f"(there are: {', '.join(names) or 'none'}). Run the stage that makes them first: "
        f"python train.py -m stage={before}"
        + ("" if folder.name == "synthetic" else f" experiment={folder.name} ...")
    )
