"""What an experiment holds when its commands have ended, without what two runs may differ in."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from safetensors.numpy import load_file

from fraud_ae.experiments.run_store import Run
from fraud_ae.runtime.checksums import SET_ASIDE, damage, is_sealed
from fraud_ae.sweeps.studies.storages import STUDIES
from tests.commands import board
from tests.sweeps.studies.study_results import trials

# Durations and times of day, what was there before, and folders' names.
VARIES = (
    *("train_seconds", "seconds", "reused", "created", "fitted_at", "time", "decided", "outputs"),
    *("outputs_dir", "path", "cwd", "milliseconds"),
)
STAGES = ("features", "final")


def end_state(folder: Path) -> dict:
    """All that the commands of an experiment made, to the last digit. folder: of it."""
    state: dict = {"link": None}
    for stage in STAGES:
        if (folder / "leaderboards" / f"{stage}.csv").is_file():
            rows = board(folder, stage).drop(columns=["reused", "train_seconds"])
            state[f"leaderboard of {stage}"] = rows.to_csv(index=False)
            found = [(t.user_attrs["run_id"], t.value, t.params) for t in trials(folder, stage)]
            state[f"study of {stage}"] = sorted(found, key=str)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not _is_aside(path, folder):
            state[name] = _content(path)
    if (folder / "models" / "production").is_symlink():
        state["link"] = (folder / "models" / "production").readlink().as_posix()
    return state


def _is_aside(path: Path, folder: Path) -> bool:
    """Whether a file is a lock, a draft that a kill left, or has a comparison of its own."""
    parts = path.relative_to(folder).parts
    is_hidden = any(part.startswith(".") for part in parts)
    return is_hidden or parts[0] in ("hydra", "leaderboards") or path.name == STUDIES


def _content(path: Path) -> object:
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv(index=False, float_format="%.17g")
    if path.suffix == ".safetensors":
        # Beside them it says how long each epoch took.
        return {name: array.tobytes() for name, array in load_file(path).items()}
    if path.name == "rows.npz":
        return {name: array.tobytes() for name, array in np.load(path).items()}
    if path.name in ("report.html", "checksums.json", "manifest.json"):
        # Their figures are those of files that are compared; times and checksums of these vary.
        return path.read_text().rstrip()[-7:] if path.suffix == ".html" else "there"
    if path.suffix == ".json":
        return _without(json.loads(path.read_text()))
    if path.suffix == ".yaml":
        return _without(yaml.safe_load(path.read_text()))
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns="seconds").to_csv(index=False)
    return path.read_bytes()


def _without(content: object) -> object:
    if isinstance(content, list):
        return [_without(each) for each in content]
    if isinstance(content, dict):
        return {key: _without(value) for key, value in content.items() if key not in VARIES}
    return content


def differences(state: dict, expected: dict) -> list[str]:
    """The names of what differs between two states."""
    names = sorted({*state, *expected})
    return [name for name in names if state.get(name) != expected.get(name)]


def wrong_states(folder: Path) -> list[str]:
    """What no kill may leave: damage, a finished run that is not whole, a link to nothing."""
    found = [str(path) for path in folder.rglob(f"*{SET_ASIDE}")]
    for sealed in sorted({path.parent for path in folder.rglob("checksums.json")}):
        if is_sealed(sealed) and ".draft" not in sealed.name:
            # A list may vouch for a file before it is there; of runs see below.
            wrong = {name: what for name, what in damage(sealed).items() if what != "missing"}
            found += [f"{sealed}/{name}: {what}" for name, what in wrong.items()]
    link = folder / "models" / "production"
    if link.is_symlink() and not (link / "manifest.json").is_file():
        found.append(f"{link}: leads to no model")
    for run in folder.glob("runs/*/metrics.json"):
        identity = yaml.safe_load((run.parent / "config.yaml").read_text())
        if not Run(run.parents[1], identity).finished:
            found.append(f"{run.parent}: finished, and not whole")
    return found
