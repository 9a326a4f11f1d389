"""The sweeps: strategies compared, the broad search, and the leaderboards after it."""

import functools

import pandas as pd

from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.report.formats import figure_name
from fraud_ae.report.results import ExperimentResults, plain
from fraud_ae.runtime.kept_files import parse_yaml, read_kept
from fraud_ae.sweeps.studies.importance import (
    parameter_columns,
    stored_importances,
    varied_parameters,
)

_FIGURES = ("final_auc", "average_precision", "precision", "recall", "f1", "value_caught")


def strategies(results: ExperimentResults) -> dict | None:
    """The leaderboard of the feature strategies, best first; refused ones last.

    objective: what the sweeps maximised, None where it is shown anyway, or missing.
    """
    board = results.boards.get("features")
    if board is None:
        return None
    objective = results.objective
    auc = PLANTED_AUC if objective == PLANTED_AUC and PLANTED_AUC in board else "final_auc"
    is_shown = objective in (auc, "average_precision") or objective not in board
    rows = plain(board.to_dict("records"))
    return {"auc": auc, "objective": None if is_shown else objective, "rows": rows}


def broad_sweep(results: ExperimentResults) -> dict | None:
    """What the broad sweep tried and reached, and which parameters mattered.

    Combinations without a figure, such as diverged trainings, are counted in `lost`. `dimensions`
    are the parameters with more than one value, each with a value for each combination.
    """
    board = results.boards.get("broad")
    if board is None:
        return None
    objective = results.objective if results.objective in board else "final_auc"
    reached = board[(board["status"] == "finished") & board[objective].notna()]
    names = varied_parameters(reached)
    path = results.folder / "leaderboards" / "broad_importance.json"
    shares = stored_importances(path, board, objective) if len(reached) else None
    return {
        "objective": figure_name(objective),
        "combinations": len(board),
        "trainings": int(board["run_id"].nunique()),
        "lost": len(board) - len(reached),
        "dimensions": [_dimension(name, reached[name]) for name in names],
        "reached": reached[objective].tolist(),
        "importances": _importance_rows(shares, names) if shares else None,
        "methods": list(shares or {}),
    }


def _dimension(name: str, column: pd.Series) -> dict:
    """A parameter: its distinct values in order, and the place of each combination's value."""
    if pd.api.types.is_numeric_dtype(column) and column.notna().all():
        values = column.tolist()
        distinct = sorted(set(values))
        labels = [str(value) if isinstance(value, bool) else f"{value:g}" for value in distinct]
    else:
        values = ["null" if pd.isna(value) else str(value) for value in column]
        labels = distinct = sorted(set(values))
    return {"name": name, "values": labels, "places": [distinct.index(value) for value in values]}


def _importance_rows(shares: dict[str, dict], names: list[str]) -> list[dict]:
    first = next(iter(shares.values()))
    ordered = sorted(names, key=lambda name: -first.get(name, 0.0))
    return [
        {"name": name, "shares": {method: shares.get(name) for method, shares in shares.items()}}
        for name in ordered
    ]


def leaderboard_table(results: ExperimentResults, stage: str) -> dict | None:
    """A leaderboard to be read: the parameters that differ, and what each combination reached."""
    board = results.boards.get(stage)
    if board is None:
        return None
    rows = plain(board.to_dict("records"))
    parameters = [_parameters(results, board, row) for row in rows]
    names = list(dict.fromkeys(name for values in parameters for name in values))
    varied = [n for n in names if len({str(values.get(n)) for values in parameters}) > 1]
    constant = {n: parameters[0].get(n) for n in names if n not in varied}
    best_run = results.best_run.name if results.best_run else None
    objective = results.objective
    return {
        "parameters": varied,
        "shared": {name: value for name, value in constant.items() if value is not None},
        # What the sweeps maximised is shown too, where it is none of the figures.
        "extra": [objective] if objective in board and objective not in _FIGURES else [],
        "rows": [
            {
                **row,
                "is_best": best_run is not None and row["run_id"] == best_run,
                "values": [values.get(name) for name in varied],
            }
            for row, values in zip(rows, parameters, strict=True)
        ],
    }


def _parameters(results: ExperimentResults, board: pd.DataFrame, row: dict) -> dict[str, object]:
    """What a row stands for: its own parameters, and those that its candidate handed on.

    The latter are looked up in the run itself, as candidates are replaced when a stage runs again.
    """
    values = {name: row[name] for name in parameter_columns(board) if name != "candidate"}
    broad = results.boards.get("broad")
    if board is broad or broad is None or not row["run_id"]:
        return values
    # Nothing where the folder of the run is gone.
    path = results.folder / "runs" / row["run_id"] / "config.yaml"
    configuration = read_kept(path, parse_yaml) or {}
    for name in parameter_columns(broad):
        if "." in name and name not in values:
            value = functools.reduce(_entry, name.split("."), configuration)
            if value is not None:
                values[name] = value
    return values


def _entry(node: object, key: str) -> object:
    return node.get(key) if isinstance(node, dict) else None
