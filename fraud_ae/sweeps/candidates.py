"""Candidates: small Hydra files with the overrides that won, which the next stage sweeps over."""

import json
import re
from functools import reduce
from operator import getitem
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from fraud_ae.configuration.command_line import candidate_folder
from fraud_ae.configuration.job import Job
from fraud_ae.errors import UserError
from fraud_ae.runtime.atomic_files import write_whole

# The groups and sections that decide a run; names, stages and tracking are never part of one.
GROUPS = ("data", "features", "model", "trainer", "scorer")
_DATA = "# Data: "
SECTIONS = (*GROUPS, "encoder", "threshold", "seed")


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
        OmegaConf.update(tree, key, value, force_add=True)
    return {
        "defaults": [{f"override /{group}": job.choices[group]} for group in GROUPS],
        **OmegaConf.to_container(tree),
    }


def write_candidates(folder: Path, stage: str, winners: list[dict]) -> None:
    """Replace the candidates of a stage: `<stage>_01.yaml` is the best.

    winners: rows of the leaderboard, best first, each with `overrides` and what it reached.
    """
    group = candidate_folder(folder)
    written = set()
    for rank, winner in enumerate(winners, start=1):
        path = group / f"{stage}_{rank:02d}.yaml"
        reached = winner["metrics"]
        text = (
            "# @package _global_\n"
            f"# Number {rank} of the {stage} stage: run {winner['run_id']}, "
            f"final_auc {reached['final_auc']}\n"
            f"{_DATA}{winner['data']}\n"
        )
        write_whole(path, text + yaml.safe_dump(winner["overrides"], sort_keys=False))
        written.add(path)
    for path in group.glob(f"{stage}_*.yaml"):
        if path not in written:
            path.unlink()


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
    text = (candidate_folder(folder) / f"{name}.yaml").read_text()
    tuned_on = re.search(rf"^{_DATA}(\w+)$", text, re.MULTILINE)
    if tuned_on and tuned_on.group(1) != fingerprint:
        raise UserError(
            f"candidate={name} of {folder} was tuned on other data (fingerprint "
            f"{tuned_on.group(1)}, these have {fingerprint}). Name another experiment "
            "(experiment=NAME), run the stages before this one again, or go without a candidate "
            "(candidate=null)"
        )


def _flat(values: dict, before: str = "") -> dict:
    flat: dict = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[before + key] = json.dumps(value) if isinstance(value, list) else value
    return flat
