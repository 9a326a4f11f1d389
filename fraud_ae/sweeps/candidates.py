"""Candidates: small Hydra files with the overrides that won, which the next stage sweeps over."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Self

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from fraud_ae.configuration.command_line import candidate_folder
from fraud_ae.configuration.job import Job
from fraud_ae.configuration.stored_overrides import GROUPS, SECTIONS, TARGET
from fraud_ae.errors import UserError
from fraud_ae.runtime.kept_files import write_kept

# What the head of a candidate file says, a line each -> where the result of a job has it.
_HEAD = {
    "Run": "run_id",
    "Data": "data",
    "Validation rows": "validation_set",
    "Objective": "maximised",
    "Reached": "objective",
}


@dataclass(frozen=True)
class Candidate:
    """A candidate and the run that it stands for.

    name: of its file, without ending. validation_set: see `experiments.identity.validation_set`.
    objective, reached: what its sweep maximised, and the value on validation. epochs: that were
    trained, which early stopping may have ended before the stage's last. sweep: higher than that of
    every other stage whose sweep ended before.
    """

    name: str
    run_id: str
    validation_set: str
    objective: str
    reached: float
    epochs: int
    sweep: int

    @property
    def stage(self) -> str:
        """The stage whose sweep found it."""
        return self.name.rpartition("_")[0]

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """What the head of a candidate file says; None where it does not say all, as of one's own.

        Raises OSError where there is no such file.
        """
        head = _head(path)
        if not {*_HEAD, "Epochs", "Sweep"} <= set(head):
            return None
        try:
            reached = float(head["Reached"])
            epochs, sweep = int(head["Epochs"]), int(head["Sweep"])
        except ValueError:
            return None
        return cls(
            name=path.stem,
            run_id=head["Run"],
            validation_set=head["Validation rows"],
            objective=head["Objective"],
            reached=reached,
            epochs=epochs,
            sweep=sweep,
        )


def swept_values(settings: dict, task_overrides: list[str]) -> dict:
    """The values that a job was given on its command line: dotted key -> resolved value.

    settings: resolved, of the job.
    """
    keys = [o.key_or_group for o in OverridesParser.create().parse_overrides(task_overrides)]
    return {
        key: reduce(getitem, key.split("."), settings)
        for key in keys
        if key not in GROUPS and key.split(".")[0] in SECTIONS
    }


def winning_overrides(job: Job, parameters: dict) -> dict:
    """Everything that a candidate file has to say to make this job's run again.

    parameters: of the job, see `swept_values`. The values of the candidate that the job itself came
    from go on to the new one.
    """
    values: dict = {}
    if job.choices.get("candidate"):
        earlier = read_candidate(candidate_folder(job.folder) / f"{job.choices['candidate']}.yaml")
        values = {k: v for k, v in earlier.items() if k != "defaults"}
    tree = OmegaConf.create(values)
    # The number of epochs belongs to the stage, so it must be told to a stage that has none.
    given = {**parameters, "trainer.max_epochs": job.trainer.max_epochs}
    for key, value in given.items():
        if TARGET in key.split("."):
            # A file may name no code; whoever gave it on the command line gives it to each stage.
            continue
        OmegaConf.update(tree, key, value, force_add=True)
    return {
        "defaults": [{f"override /{group}": job.choices[group]} for group in GROUPS],
        **OmegaConf.to_container(tree),
    }


def write_candidates(folder: Path, stage: str, winners: list[dict]) -> None:
    """Replace the candidates of a stage: `<stage>_01.yaml` is the best.

    winners: results of jobs, best first, as `sweeps.leaderboard.winners` gives them.
    """
    group = candidate_folder(folder)
    written, sweep = set(), _next_sweep(group, stage)
    for rank, winner in enumerate(winners, start=1):
        path = group / f"{stage}_{rank:02d}.yaml"
        reached = winner["metrics"]
        head = {label: winner.get(key) for label, key in _HEAD.items()}
        head |= {"Epochs": reached.get("epochs"), "Sweep": sweep}
        text = (
            "# @package _global_\n"
            f"# Number {rank} of the {stage} stage: run {winner['run_id']}, "
            f"final_auc {reached['final_auc']}\n"
        )
        text += "".join(f"# {label}: {v}\n" for label, v in head.items() if v is not None)
        write_kept(path, text + yaml.safe_dump(winner["overrides"], sort_keys=False))
        written.add(path)
    for path in group.glob(f"{stage}_*.yaml"):
        if path not in written:
            path.unlink()


def _next_sweep(group: Path, stage: str) -> int:
    """Sweeps are counted, as the clock of a machine may jump back; a stage again counts once."""
    found = [Candidate.of(path) for path in group.glob("*.yaml")]
    return max((c.sweep for c in found if c is not None and c.stage != stage), default=0) + 1


def read_candidate(path: Path) -> dict:
    """The content of a candidate file."""
    return yaml.safe_load(path.read_text())


def plain_values(overrides: dict) -> dict:
    """What a candidate says: option of each group and value of each dotted key; lists as JSON."""
    values = dict(overrides)
    options = {
        group.removeprefix("override /"): option
        for entry in values.pop("defaults", [])
        for group, option in entry.items()
    }
    return options | _flat(values)


def check_data(folder: Path, name: str, fingerprint: str) -> None:
    """Refuse a candidate that was tuned on other transactions than those at hand.

    Raises UserError saying what to do instead.
    """
    tuned_on = _head(candidate_folder(folder) / f"{name}.yaml").get("Data")
    if tuned_on not in (None, fingerprint):
        raise UserError(
            f"candidate={name} of {folder} was tuned on other data (fingerprint "
            f"{tuned_on}, these have {fingerprint}). Name another experiment "
            "(experiment=NAME), run the stages before this one again, or go without a candidate "
            "(candidate=null)"
        )


def _head(path: Path) -> Mapping[str, str]:
    text = path.read_text(errors="replace")
    return dict(re.findall(r"^# ([A-Z][a-z ]+): (.+)$", text, re.MULTILINE))


def _flat(values: dict, before: str = "") -> dict:
    flat: dict = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[before + key] = json.dumps(value) if isinstance(value, list) else value
    return flat
