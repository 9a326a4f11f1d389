"""Which parameters of a sweep mattered, by Optuna's evaluators."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_ae.runtime.kept_files import parse_json, read_kept, write_kept_json

_FEW = 8
_FORESTS = 5
METHODS = ("fANOVA", "PED-ANOVA")


def parameter_columns(board: pd.DataFrame) -> list[str]:
    """The columns of a leaderboard that say what was chosen, in the order of the sweep."""
    columns = list(board.columns)
    return columns[columns.index("reused") + 1 : columns.index("final_auc")]


def varied_parameters(board: pd.DataFrame) -> list[str]:
    """The parameters with more than one value among the finished combinations."""
    finished = board[board["status"] == "finished"]
    columns = parameter_columns(board)
    return [name for name in columns if finished[name].nunique(dropna=False) > 1]


def stored_importances(path: Path, board: pd.DataFrame, objective: str) -> dict[str, dict] | None:
    """`importances`, computed once for what the leaderboard says and kept in a file."""
    text = board[[*parameter_columns(board), objective]].to_csv(index=False)
    of = hashlib.sha256(f"{objective} {_FORESTS}\n{text}".encode()).hexdigest()[:16]
    stored = read_kept(path, parse_json)
    if stored is not None and stored["of"] == of:
        return stored["importances"]
    shares_by_method = importances(board, objective)
    write_kept_json(path, {"of": of, "importances": shares_by_method})
    return shares_by_method


def importances(board: pd.DataFrame, objective: str) -> dict[str, dict] | None:
    """Method -> parameter -> importance, 0 to 1 and 1 in all; a constant parameter has none.

    fANOVA: share of the variance of the objective (Hutter et al., 2014). PED-ANOVA: share of what
    tells the best tenth from the rest (Watanabe et al., 2023). What changes nothing has 0. None
    where nothing was varied or every combination reached the same.
    """
    reached = board[(board["status"] == "finished") & board[objective].notna()]
    names = varied_parameters(reached)
    if not names or reached[objective].nunique() < 2:
        return None
    # What changes nothing would get a share all the same, and each training counts once.
    idle = [name for name in names if _changes_nothing(reached, name, names, objective)]
    moving = [name for name in names if name not in idle]
    study = _study(reached.drop_duplicates([*moving, objective]), moving, objective)
    from optuna.importance import (
        FanovaImportanceEvaluator,
        PedAnovaImportanceEvaluator,
        get_param_importances,
    )

    evaluators = {
        # Its forests are drawn at random.
        METHODS[0]: [FanovaImportanceEvaluator(seed=seed) for seed in range(_FORESTS)],
        METHODS[1]: [PedAnovaImportanceEvaluator()],
    }
    shares_by_method = {}
    for method, seeded in evaluators.items():
        drawn = [get_param_importances(study, evaluator=each, params=moving) for each in seeded]
        shares = {name: float(np.mean([each[name] for each in drawn])) for name in moving}
        # All shares are 0 where a method cannot tell the parameters apart.
        if sum(shares.values()) > 0:
            shares_by_method[method] = shares | dict.fromkeys(idle, 0.0)
    return shares_by_method


def _changes_nothing(board: pd.DataFrame, name: str, names: list[str], objective: str) -> bool:
    """Whether combinations that differ in one parameter alone all reach the same."""
    others = [other for other in names if other != name]
    if not others:
        return False
    groups = board.groupby(others, dropna=False)
    # Where no two combinations differ in it alone, nobody can tell.
    compared = groups[name].nunique(dropna=False) > 1
    return bool(compared.any() and (groups[objective].nunique()[compared] == 1).all())


def _study(board: pd.DataFrame, names: list[str], objective: str) -> object:
    """A study in memory whose trials are the rows of a leaderboard."""
    import optuna

    values = {name: _values(board[name]) for name in names}
    distributions = {name: _distribution(values[name]) for name in names}
    # It would tell of every study in memory.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: values[name][row] for name in names},
                distributions=distributions,
                value=float(value),
            )
            for row, value in enumerate(board[objective])
        ]
    )
    return study


def _values(column: pd.Series) -> list:
    if pd.api.types.is_numeric_dtype(column) and column.notna().all():
        return column.tolist()
    return ["null" if pd.isna(value) else str(value) for value in column]


def _distribution(values: list) -> object:
    """Choices where there are few, as in a grid; an interval of numbers otherwise."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    distinct = sorted(set(values))
    if len(distinct) <= _FEW or isinstance(distinct[0], str):
        return CategoricalDistribution(distinct)
    low, high = float(distinct[0]), float(distinct[-1])
    return FloatDistribution(low, high, log=bool(low > 0 and np.log10(high / low) > 1))
