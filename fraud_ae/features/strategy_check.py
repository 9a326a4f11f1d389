"""Whether a strategy can be used on some transactions, tried on their first rows."""

import copy
import traceback
from typing import Any

import pandas as pd

from fraud_ae.errors import StrategyRefused, UserError
from fraud_ae.features.strategies.baseline import Baseline
from fraud_ae.features.strategy import compute_features, fit_strategy

TRIAL_ROWS = 300


def missing_columns(strategy: Any, df: pd.DataFrame) -> list[str]:
    """The columns that the strategy declares and df lacks."""
    return [column for column in getattr(strategy, "columns", ()) if column not in df.columns]


def check_strategy(strategy: Any, df: pd.DataFrame) -> None:
    """Try a copy of the strategy on the first rows of df.

    Raises StrategyRefused if it builds nothing that the baseline does not already build, or
    reads a column that df lacks, and UserError if it breaks the contract of `compute_features`.
    """
    name, rows = type(strategy).__name__, df.head(TRIAL_ROWS)
    try:
        features = _fit_and_compute(copy.deepcopy(strategy), rows)
    except UserError:
        raise
    except Exception as error:  # a user's class may fail in any way; the others of a sweep go on
        raise StrategyRefused(_failure(name, error, df)) from error
    if type(strategy) is Baseline:
        return
    baseline = _fit_and_compute(Baseline(), rows)
    if all(
        feature in baseline and values.equals(baseline[feature])
        for feature, values in features.items()
    ):
        raise StrategyRefused(_adds_nothing(strategy, df))


def _failure(name: str, error: Exception, df: pd.DataFrame) -> str:
    column = _absent_column(error, df)
    if column is not None:
        columns = ", ".join(map(str, df.columns))
        return f"{name} reads the column {column}, which the data do not have; they have {columns}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{name} fails: {type(error).__name__}: {error} ({place.filename}, line {place.lineno})"


def _fit_and_compute(strategy: Any, df: pd.DataFrame) -> pd.DataFrame:
    return compute_features(fit_strategy(strategy, df), df)


def _adds_nothing(strategy: Any, df: pd.DataFrame) -> str:
    message = f"{type(strategy).__name__} adds nothing to the baseline on these columns"
    usable = getattr(strategy, "family_columns", getattr(strategy, "columns", ()))
    missing = [column for column in usable if column not in df.columns]
    if not missing:
        return f"{message}; leave it out, or let it build a feature of its own"
    return f"{message}; it would use {', '.join(missing)}, which the data do not have"


def _absent_column(error: Exception, df: pd.DataFrame) -> str | None:
    match error:
        case AttributeError(obj=pd.DataFrame()):
            return error.name
        case KeyError(args=[str(column), *_]) if column not in df.columns:
            return column
    return None
