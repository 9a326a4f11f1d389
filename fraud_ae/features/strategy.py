"""The contract of a feature strategy, and what holds it to it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from fraud_ae.errors import UserError
from fraud_ae.features.history import History

# A frame of so many rows costs less to copy than to look at column by column.
SHORT = 10_000
# Beyond this, sums and squares of amounts would not be numbers any more.
_HIGHEST_AMOUNT = 1e15


class FeatureStrategy(ABC):
    """Turns transactions into named features; base class of the built-in strategies.

    A strategy of one's own need not inherit: `generate_features(df)` is all that it must have,
    `fit(df)`, `columns` (the canonical columns that it can use), `history` (how far it looks
    back, a `History`) and `terminal_features` (a regular expression of the names of those that
    look back at the terminal's transactions) are optional. It must be point-in-time: the features
    of a row depend on that row and earlier ones alone.

    `__init__` only stores its arguments, under their own names; `fit` learns attributes whose
    names end in `_`. Both are what is saved with a model.
    """

    columns: tuple[str, ...] = ()
    history: History = History()
    # Whether it reads times of day, windows or days, and not only the order of rows.
    needs_time: bool = False
    terminal_features: str | None = None

    def fit(self, df: pd.DataFrame) -> Self:
        """Learn from the training rows; nothing by default."""
        return self

    @abstractmethod
    def generate_features(self, df: pd.DataFrame) -> pd.DataFrame:
        """Features of shape (n, n_features) with df's index: numbers, or str for categories."""


def needs_time(strategy: Any) -> bool:
    """Whether a strategy, or any part of it, reads more of time than the order of rows."""
    parts = getattr(strategy, "parts", {})
    return getattr(strategy, "needs_time", False) or any(map(needs_time, parts.values()))


def columns_to_fit(strategy: Any) -> tuple[str, ...] | None:
    """The columns that a built-in strategy is fitted on, if they are there; None: it may be any.

    A class of one's own may read others than the one that it extends.
    """
    if not type(strategy).__module__.startswith("fraud_ae.features.strategies."):
        return None
    return strategy.fit_columns


def fit_strategy(strategy: Any, df: pd.DataFrame) -> Any:
    """Fit the strategy if it can be fitted, on a frame of its own; returns the strategy.

    It is given the highest amount of df, which `compute_features` goes by, as `highest_amount_`.
    """
    df = _with_amounts_up_to(_HIGHEST_AMOUNT, df)
    if hasattr(strategy, "fit"):
        strategy.fit(df.copy(deep=False))
    amount = np.abs(as_floats(df["amount"])) if "amount" in df else np.zeros(0)
    # Where all are missing or 0, nothing is known of what is high.
    highest = float(np.max(amount, initial=0.0, where=~np.isnan(amount)))
    vars(strategy)["highest_amount_"] = highest or _HIGHEST_AMOUNT
    return strategy


def compute_features(strategy: Any, df: pd.DataFrame) -> pd.DataFrame:
    """The strategy's features of df, shape (n, n_features): float64, bool or str columns.

    NaN is the one mark of an unknown value: infinities become NaN, too. df is left as it is. An
    amount beyond all that the strategy was fitted on counts as the highest of them: what a model
    makes of others nobody has tried, and it must not take them for less suspicious.
    Raises UserError, naming the strategy and the feature, if what the strategy returns is not a
    frame with df's index, unique str names, and columns of numbers, bools or strings.
    """
    name = type(strategy).__name__
    if not hasattr(strategy, "generate_features"):
        raise UserError(f"{name} is no feature strategy: it has no generate_features(df)")
    df = _with_amounts_up_to(getattr(strategy, "highest_amount_", _HIGHEST_AMOUNT), df)
    features = strategy.generate_features(df.copy(deep=False))
    _check_frame(name, features, df)
    if len(df) <= SHORT and _is_plain(features):
        return features
    return feature_frame(
        {feature: _plain_values(name, feature, values) for feature, values in features.items()},
        df.index,
    )


def feature_frame(
    features: Mapping[str, np.ndarray | ExtensionArray | pd.Series], index: pd.Index
) -> pd.DataFrame:
    """Features, name -> (n,), as a frame of shape (n, n_features).

    Those of a long table take as much memory as all the rest, and are not copied; a short frame is
    put together in one piece, of which rows are taken in a tenth of the time.
    """
    return pd.DataFrame(features, index=index, copy=len(index) <= SHORT)


def as_floats(values: pd.Series) -> np.ndarray:
    """Numbers of any type as float64 of shape (n,), NaN where they are missing."""
    if values.dtype == np.float64:
        return values.to_numpy()
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _with_amounts_up_to(highest: float, df: pd.DataFrame) -> pd.DataFrame:
    """The frame, with amounts and refunds that are larger replaced by the highest."""
    if "amount" not in df:
        return df
    amount = as_floats(df["amount"])
    if not (np.abs(amount) > highest).any():
        return df
    return df.assign(amount=np.clip(amount, -highest, highest))


def _check_frame(name: str, features: Any, df: pd.DataFrame) -> None:
    if not isinstance(features, pd.DataFrame):
        kind = f"{type(features).__module__}.{type(features).__name__}"
        raise UserError(f"{name} returns a {kind}; generate_features must return a pandas frame")
    if len(features) != len(df):
        raise UserError(
            f"{name} returns {len(features)} rows for {len(df)} transactions; it must return one "
            "row for each, in the same order"
        )
    if not features.index.equals(df.index):
        raise UserError(f"{name} returns another index than that of the transactions; keep it")
    unnamed = [column for column in features.columns if not isinstance(column, str)]
    if unnamed:
        raise UserError(f"{name} returns a feature called {unnamed[0]!r}; names must be str")
    twice = features.columns[features.columns.duplicated()]
    if len(twice):
        raise UserError(
            f"{name} returns the feature {twice[0]} more than once; each name must be unique "
            "(rename the column of the data if it has that name)"
        )
    if "is_fraud" in features:
        raise UserError(f"{name} returns is_fraud as a feature: that is the label; leave it out")


def _is_plain(features: pd.DataFrame) -> bool:
    """Whether all columns are float64 without infinities, or strings."""
    numbers = features.select_dtypes(np.float64)
    texts = sum(dtype == "str" for dtype in features.dtypes)
    return numbers.shape[1] + texts == features.shape[1] and not np.isinf(numbers.to_numpy()).any()


def _plain_values(name: str, feature: str, values: pd.Series) -> np.ndarray | ExtensionArray:
    if values.dtype == np.float64:
        return _without_infinities(as_floats(values))
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if pd.api.types.is_bool_dtype(values.dtype) and not values.isna().any():
        return values.to_numpy(dtype=bool)
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("floating", "integer", "boolean", "mixed-integer-float", "decimal", "empty"):
        return _without_infinities(as_floats(values))
    if kind == "string":
        return values.astype("str").array
    raise UserError(
        f"{name}: the feature {feature} holds {kind} values ({values.dtype}), such as "
        f"{values.dropna().iloc[0]!r}; a feature must hold numbers, bools or strings"
    )


def _without_infinities(numbers: np.ndarray) -> np.ndarray:
    infinite = np.isinf(numbers)
    return np.where(infinite, np.nan, numbers) if infinite.any() else numbers
