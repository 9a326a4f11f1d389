"""The sweeps: strategies compared, the broad search, and the leaderboards after it."""

import math

import pandas as pd

from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.report.results import ExperimentResults
from fraud_ae.sweeps.studies.importance import (
    parameter_columns,
    stored_importances,
    varied_parameters,
)

_FIGURES = ("average_precision", "precision", "recall", "f1", "value_caught")


def strategies(results: ExperimentResults) -> list[dict] | None:
    """A row for each feature strategy, best first; refused ones last, with their reason."""
    board = results.boards.get("features")
    if board is None:
        return None
    is_planted = results.objective == PLANTED_AUC and PLANTED_AUC in board
    auc = PLANTED_AUC if is_planted else "final_auc"
    is_shown = results.objective in (auc, "average_precision") or results.objective not in board
    objective = None if is_shown else results.objective
    return [_strategy(row, auc, objective) for row in _rows(board)]


def _strategy(row: dict, auc: str, objective: str | None) -> dict:
    return {
        "auc_name": auc,
        "objective": objective,
        "reached": row[objective] if objective else None,
        "name": row["features"],
        "status": row["status"],
        "reason": row["reason"],
        "features": row["feature_count"],
        **_with_interval(row, auc),
        "average_precision": row["average_precision"],
        "average_precision_low": row["average_precision_low"],
        "average_precision_high": row["average_precision_high"],
    }


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
        "objective": objective,
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
        distinct = sorted(column.unique().tolist())
        values = column.tolist()
        labels = [f"{value:g}" if not isinstance(value, bool) else str(value) for value in distinct]
    else:
        values = ["null" if pd.isna(value) else str(value) for value in column]
        distinct = sorted(set(values))
        labels = distinct
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
    rows = _rows(board)
    parameters = [_parameters(results, board, row) for row in rows]
    names = list(dict.fromkeys(name for values in parameters for name in values))
    varied = [n for n in names if len({str(values.get(n)) for values in parameters}) > 1]
    shared = {
        n: parameters[0][n] for n in names if n not in varied and parameters[0].get(n) is not None
    }
    # What the sweeps maximised is shown too, where it is no figure that is there anyway.
    extra = [name for name in (results.objective,) if name not in ("final_auc", *_FIGURES)]
    extra = [name for name in extra if name in board]
    return {
        "stage": stage,
        "objective": results.objective,
        "parameters": varied,
        "shared": shared,
        "extra": extra,
        "rows": [
            {
                "rank": row["rank"],
                "run": row["run_id"] or "",
                "is_best": results.best_run is not None and row["run_id"] == results.best_run.name,
                "status": row["status"],
                "reason": row["reason"],
                "values": [values.get(name) for name in varied],
                **_with_interval(row, "final_auc"),
                **{name: row[name] for name in (*_FIGURES, *extra)},
                "best_epoch": row["best_epoch"],
                "train_seconds": row["train_seconds"],
            }
            for row, values in zip(rows, parameters, strict=True)
        ],
    }


def _parameters(results: ExperimentResults, board: pd.DataFrame, row: dict) -> dict[str, object]:
    """What a row stands for: its own parameters, and those that its candidate handed on.

    The latter are looked up in the run itself, as candidates are replaced when a stage runs again.
    """
    swept = [name for name in parameter_columns(board) if name != "candidate"]
    values = {name: row[name] for name in swept}
    broad = results.boards.get("broad")
    if board is broad or broad is None or not row["run_id"]:
        return values
    handed_on = [n for n in parameter_columns(broad) if "." in n and n not in values]
    configuration = results.run_configuration(row["run_id"])
    shares = {name: _select(configuration, name) for name in handed_on}
    return {**values, **{name: value for name, value in shares.items() if value is not None}}


def _select(node: dict, key: str) -> object:
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return node


def _with_interval(row: dict, name: str) -> dict:
    return {"auc": row[name], "auc_low": row[f"{name}_low"], "auc_high": row[f"{name}_high"]}


def _rows(board: pd.DataFrame) -> list[dict]:
    """The rows as plain values, with None for what is empty."""
    return [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
        for row in board.to_dict("records")
    ]
