"""Experiments side by side: what each was given, what it reached, and what is in production."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fraud_ae.detector.model_info import MODEL_INFO, is_challenger
from fraud_ae.detector.versions import Versions
from fraud_ae.errors import UserError
from fraud_ae.experiments.identity import validation_set
from fraud_ae.pipeline.data_facts import read_data_facts
from fraud_ae.pipeline.gate import read_decision
from fraud_ae.runtime.kept_files import DamagedFile, parse_yaml, read_kept, warn_once
from fraud_ae.sweeps.leaderboard import read_leaderboard

_STAGES = ("features", "broad", "refined", "final")
# Name in the comparison -> name in the figures, where an interval goes with it.
_FIGURES = {"auc": "auc", "average_precision": "average_precision"}
# The columns of these, which have `_low`, `_high` and `_change` beside them.
FIGURES = tuple(f"{part}_{name}" for part in ("validation", "test") for name in _FIGURES)


def compare_experiments(outputs: Path, patterns: Sequence[str] = ("*",)) -> pd.DataFrame:
    """A row for each experiment; those of one data source in the order in which their data end.

    outputs: the folder of all experiments. patterns: of their names, of which one has to match.
    Columns: experiment; of the data: data, fingerprint, from, to, rows, fraud_ratio (before the
    test period); of the winner: stage (whose sweep found it, `production` where a model does not
    say so), winner (its run), strategy, parameters (`key=value`, with a blank between), differing
    (those that are not the same in all, without their section), validation_set (equal where the
    validation rows are), and FIGURES, each also with `_low`, `_high` and `_change`, the difference
    to the row before of the same data source; gate (tune, forced, stop); model (when the last
    pipeline made one); of the model in production: in_production (when it was made), run_id,
    threshold, alert_rate. What an experiment has not come to is missing.
    What is damaged is told, and counts as not there. Raises UserError naming an experiment of
    another version.
    """
    found = {path.parent for each in patterns for path in outputs.glob(f"{each}/runs")}
    rows = [_row(folder) for folder in sorted(found) if (folder / "runs").is_dir()]
    frame = pd.DataFrame(rows, columns=list(_row_of_nothing())).astype({"rows": "Int64"})
    frame = frame.sort_values(["data", "to", "experiment"], ignore_index=True)
    frame["differing"] = differing(frame["parameters"])
    # Where the period is not known, nobody can say which data are the later ones.
    known = frame[frame["data"].notna() & frame["to"].notna() & frame["stage"].notna()]
    for name in FIGURES:
        values = known[name].astype("float64")
        frame[f"{name}_change"] = values - values.groupby(known["data"]).shift()
    return frame


def differing(parameters: pd.Series) -> list[str]:
    """Of each experiment the parameters that are not the same in all, as `key=value`."""
    each = [
        dict(pair.split("=", 1) for pair in text.split(" ")) if isinstance(text, str) else {}
        for text in parameters
    ]
    known = [own for own in each if own]
    keys = dict.fromkeys(key for own in known for key in own)
    differ = [key for key in keys if len({own.get(key) for own in known}) > 1]
    short = {key: key.rpartition(".")[2] for key in differ}
    return [" ".join(f"{short[key]}={own[key]}" for key in differ if key in own) for own in each]


def _row_of_nothing() -> dict:
    figures = {f"{name}{end}": None for name in FIGURES for end in ("", "_low", "_high", "_change")}
    names = ("experiment", "data", "fingerprint", "from", "to", "rows", "fraud_ratio")
    names += ("stage", "winner", "strategy", "parameters", "differing", "validation_set")
    last = ("gate", "model", "in_production", "run_id", "threshold", "alert_rate")
    return {**dict.fromkeys(names), **figures, **dict.fromkeys(last)}


def _row(folder: Path) -> dict:
    row = _row_of_nothing() | {"experiment": folder.name, "gate": _gate(folder)}
    described = read_data_facts(folder)
    info = read_kept(folder / MODEL_INFO, parse_yaml)
    try:
        if info is not None:
            row |= _of_model(folder, info)
        else:
            row |= _of_sweeps(folder, described)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder}: is no experiment of this version ({type(error).__name__}: {error}). "
            "Leave it out with fraud-ae compare PATTERN, or move it away"
        ) from error
    # Where a model was made of other transactions than the last ones, its own are those that count.
    if described and row["fingerprint"] in (None, described.get("fingerprint")):
        known = {"data": "name", "fingerprint": "fingerprint", "from": "from", "to": "to"}
        row |= {k: described[name] for k, name in [*known.items(), ("rows", "rows")]}
        row["fraud_ratio"] = described["before_test"]["fraud_ratio"]
    return row


def _of_model(folder: Path, info: dict) -> dict:
    """What `model_info.yaml` says."""
    winner = info["figures"]["winner"]
    data, configuration = info["data"], info["configuration"]
    parts = [data["split"][part] for part in ("train", "validation")]
    return {
        "data": configuration["data"]["name"],
        "fingerprint": data["fingerprint"],
        "from": data["from"],
        "to": data["to"],
        "rows": data["rows"],
        # Of these parts, which leave out the days that labels take, where nothing better is known.
        "fraud_ratio": None
        if parts[0]["frauds"] is None
        else sum(p["frauds"] for p in parts) / sum(p["rows"] for p in parts),
        "stage": winner.get("stage") or "production",
        "winner": winner["run_id"],
        "strategy": _strategy(folder, winner["run_id"], configuration),
        **_recipe(configuration, data["fingerprint"]),
        **_figures("validation", winner["validation"], "final_auc"),
        **_figures("test", winner["test"], "test_auc"),
        "model": info["created"],
        **_in_production(folder, info),
    }


def _in_production(folder: Path, info: dict) -> dict:
    """Of the version in production, which need not be what the last pipeline made."""
    versions = Versions(folder / "models")
    if versions.in_production is not None:
        try:
            info = versions.info(versions.in_production)
        except DamagedFile as error:
            warn_once(str(error))
            return {}
    elif is_challenger(info):
        return {}
    deployed = info["figures"]["deployed"]
    return {
        "in_production": info["created"],
        "run_id": info["run_id"],
        "threshold": deployed["threshold"],
        "alert_rate": deployed.get("test", {}).get("alert_rate"),
    }


def _of_sweeps(folder: Path, described: dict | None) -> dict:
    """The best of the last stage that has run, of the data that were there last."""
    for stage in reversed(_STAGES):
        board = read_leaderboard(folder, stage)
        if board is None or (described and board["data"].iloc[0] != described.get("fingerprint")):
            continue
        best = board.iloc[0]
        if best["status"] != "finished":
            continue
        run_id = best["run_id"]
        configuration = read_kept(folder / "runs" / run_id / "config.yaml", parse_yaml)
        return {
            "data": _data_name(folder),
            "fingerprint": best["data"],
            "stage": stage,
            "winner": run_id,
            "strategy": best["features"],
            **(_recipe(configuration, best["data"]) if configuration else {}),
            **_figures("validation", best.where(best.notna(), None).to_dict(), "final_auc"),
        }
    return {"data": _data_name(folder)}


def _figures(part: str, figures: dict, auc: str) -> dict:
    """Figures with their intervals. auc: what the ROC AUC is called among them."""
    names = {**_FIGURES, "auc": auc}
    return {
        f"{part}_{name}{end}": figures.get(f"{own}{end}")
        for name, own in names.items()
        for end in ("", "_low", "_high")
    }


def _recipe(configuration: dict, fingerprint: str) -> dict:
    """Parameters and validation rows of a configuration, which may be the identity of a run."""
    parameters = {
        "model": _class(configuration["model"]),
        "scorer": _class(configuration["scorer"]),
        **{
            f"{section}.{key}": value
            for section in ("encoder", "model", "trainer")
            for key, value in configuration[section].items()
            if key not in ("_target_", "accelerator")
        },
        "seed": configuration["seed"],
    }
    shown = [f"{key}={_override(value)}" for key, value in parameters.items()]
    return {
        "parameters": " ".join(shown),
        "validation_set": validation_set(fingerprint, configuration["data"]["split"]),
    }


def _override(value: object) -> str:
    """As it would be typed, without blanks."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _class(node: dict) -> str:
    return node["_target_"].rpartition(".")[2]


def _strategy(folder: Path, run_id: str, configuration: dict) -> str:
    """The option of `features` that a run was made with, else the name of its class."""
    for stage in reversed(_STAGES):
        board = read_leaderboard(folder, stage)
        own = board[board["run_id"] == run_id] if board is not None else ()
        if len(own):
            return own["features"].iloc[0]
    return _class(configuration["features"])


def _data_name(folder: Path) -> str | None:
    """The data source of an experiment without a model; its best configurations say it."""
    for name in ("final_config.yaml", "best_features.yaml"):
        configuration = read_kept(folder / name, parse_yaml)
        if configuration:
            return configuration["data"]["name"]
    return None


def _gate(folder: Path) -> str | None:
    decision = read_decision(folder)
    if decision is None:
        return None
    if decision.get("forced"):
        return "forced"
    return "tune" if decision.get("tune") else "stop"
