"""What has to be settled on the command line before Hydra composes a configuration."""

import json
import re
from pathlib import Path

import yaml

from fraud_ae.errors import UserError

OUTPUTS = Path("outputs")
CONF = Path(__file__).resolve().parents[2] / "conf"
# Overrides that say what one command does, and nothing about the experiment.
ONCE = ("stages", "gate.force", "retrain")


def complete(arguments: list[str]) -> list[str]:
    """Add to the arguments of `train.py` what follows from them.

    A sweep over `features` is the stage of that name. A stage reads the candidates of the stage
    before it unless others are given. The experiment's candidates become a config group, which
    Hydra can only be told before it knows the experiment.

    Raises UserError if a stage needs candidates that are not there, or is a sweep without -m.
    """
    arguments = list(arguments)
    if _inspects(arguments):
        return arguments
    check_experiment(arguments)
    sweeps = bool({"-m", "--multirun"} & set(arguments))
    if sweeps and _given(arguments, "stage") is None and _is_sweep(_given(arguments, "features")):
        arguments.append("stage=features")
    stage = _given(arguments, "stage") or "single"
    folder = OUTPUTS / experiment_name(arguments)
    content = _stage_file(stage)
    settings = content.get("stage", content)
    runs = not {"-c", "--cfg", "-i", "--info"} & set(arguments)
    if settings.get("sweep") and not sweeps and runs:
        raise UserError(f"stage={stage} is a sweep: python train.py -m stage={stage} ...")
    if sweeps:
        arguments = _fixed_as_sweeps(arguments, stage)
    candidate, reads = _given(arguments, "candidate"), settings.get("reads")
    if candidate is None and reads:
        if _matching(folder, reads):
            arguments.append(f"candidate={reads}")
        elif settings.get("requires_candidate") and runs:
            raise UserError(_nothing_to_read(stage, reads, folder))
    elif candidate == "null":
        # Without candidates there is no such group that Hydra could leave empty.
        arguments = [a for a in arguments if a != "candidate=null"]
    elif candidate is not None and not _matching(folder, candidate):
        raise UserError(_nothing_to_read(stage, candidate, folder))
    if candidate_folder(folder).is_dir():
        arguments.append(f"hydra.searchpath=[file://{(folder / 'conf').resolve()}]")
    return arguments


def complete_retraining(arguments: list[str]) -> list[str]:
    """Add to the arguments of `pipeline.py mode=retrain` those of the champion's own pipeline.

    Without an experiment it is the only one that has a model in production. What the last pipeline
    of it was told holds for the challenger, too, but for what is told anew: columns and settings
    need not be typed again. Other arguments are left as they are.

    Raises UserError where the experiment's `data.json` cannot be read.
    """
    if _inspects(arguments) or _given(arguments, "mode") not in ("retrain", "rollback"):
        return arguments
    name = experiment_name(arguments)
    if not any(_given(arguments, key) for key in ("experiment", "data", "data.name")):
        there = sorted(path.parents[1].name for path in OUTPUTS.glob("*/models/production"))
        name = there[0] if len(there) == 1 else name
    path = OUTPUTS / name / "data.json"
    try:
        commands = json.loads(path.read_text())["commands"] if path.is_file() else [[]]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
    given = {override_key(argument) for argument in arguments}
    added = [o for o in commands[-1] if override_key(o) not in {*given, *ONCE, "experiment"}]
    if "data" in given:
        # The settings of another source are not those of this one.
        added = [o for o in added if not override_key(o).startswith("data.")]
    named = [] if "experiment" in given else [f"experiment={name}"]
    return [*arguments, *added, *named]


def candidate_folder(experiment_folder: Path) -> Path:
    """The Hydra config group `candidate` of one experiment."""
    return experiment_folder / "conf" / "candidate"


def override_key(override: str) -> str:
    """The key that an override of the command line is about."""
    return override.lstrip("+~").partition("=")[0]


def check_experiment(arguments: list[str]) -> None:
    """Refuse an experiment that is no folder below outputs/, before Hydra makes one.

    Raises UserError with what would be right.
    """
    name = experiment_name(arguments)
    if not name.strip(". ") or "/" in name or "\\" in name:
        raise UserError(f"experiment={name}: must be a plain folder name, such as experiment=shop")
    try:
        (OUTPUTS / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{OUTPUTS / name}: cannot be written ({error.strerror})") from error


def experiment_name(arguments: list[str]) -> str:
    """The experiment that a command is about; by default it is named after its data."""
    name = _given(arguments, "experiment")
    if name is not None:
        return name
    source = CONF / "data" / f"{_given(arguments, 'data') or 'synthetic'}.yaml"
    named = _given(arguments, "data.name")
    if named is None and source.is_file():
        named = yaml.safe_load(source.read_text()).get("name")
    return named or source.stem


def _inspects(arguments: list[str]) -> bool:
    flags = {"-h", "--help", "--hydra-help", "--version", "-sc", "--shell-completion"}
    return bool(flags & set(arguments))


def _given(arguments: list[str], key: str) -> str | None:
    values = [a.split("=", 1)[1] for a in arguments if a.lstrip("+").startswith(f"{key}=")]
    return values[-1].strip("'\"") if values else None


def _is_sweep(value: str | None) -> bool:
    return value is not None and ("," in value or "(" in value)


def _stage_file(stage: str) -> dict:
    path = CONF / "stage" / f"{stage}.yaml"
    # An unknown stage is left to Hydra, which names the known ones.
    return yaml.safe_load(path.read_text()) if path.is_file() else {}


def _fixed_as_sweeps(arguments: list[str], stage: str) -> list[str]:
    """A fixed value of a key in the stage's grid becomes a choice of one.

    The Optuna sweeper would otherwise run the whole grid, each combination several times.
    """
    grid = _stage_file(stage).get("hydra", {}).get("sweeper", {}).get("params", {})
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
    return [path for name in names for path in candidate_folder(folder).glob(f"{name}.yaml")]


def _nothing_to_read(stage: str, choice: str, folder: Path) -> str:
    there = sorted(path.stem for path in candidate_folder(folder).glob("*.yaml"))
    before = re.sub(r"glob\(|_.*", "", choice)
    return (
        f"candidate={choice}: no such candidate in {candidate_folder(folder)} "
        f"(there are: {', '.join(there) or 'none'}). Run the stage that makes them first: "
        f"python train.py -m stage={before}"
        + ("" if folder.name == "synthetic" else f" experiment={folder.name} ...")
    )
