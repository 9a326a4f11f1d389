"""Strategies and what they learn, through JSON and back."""

import json
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal
from polars.testing import assert_frame_equal as assert_polars_equal

from fraud_ae.errors import UserError
from fraud_ae.features import Behavioural, Combined, strategy_from_dict, strategy_to_dict

INSTANTS = pd.to_datetime(["2024-01-01T00:00:00.000001", None], utc=True).as_unit("us")


class Learner:
    """A user's own class; `learned_` is whatever a test gives it."""

    def __init__(self, value=None) -> None:
        self.value = value
        self.derived = [value]

    def generate_features(self, df):
        return df[["amount"]]


class Forgetful:
    def __init__(self, windows) -> None:
        self.n_windows = len(windows)

    def generate_features(self, df):
        return df[["amount"]]


class Vague(Learner):
    def __init__(self, **options) -> None:
        super().__init__(options)


def through_json(strategy):
    return strategy_from_dict(json.loads(json.dumps(strategy_to_dict(strategy), allow_nan=False)))


def learned(value):
    strategy = Learner()
    strategy.learned_ = value
    return through_json(strategy).learned_


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        0.1 + 0.2,
        -0.0,
        [math.inf, -math.inf],
        "text",
        [1, [2.5, None]],
        (1, "a"),
        {"a": {"b": [1]}},
        {1: "one", ("a", 2): "two"},
        {"$array": 1},
        pd.Timestamp("2024-01-01T00:00:00.123456", tz="UTC"),
        np.float32(0.1),
        np.int64(2**62),
        np.bool_(True),
    ],
)
def test_values(value):
    loaded = learned(value)
    assert loaded == value
    assert type(loaded) is type(value)
    assert math.isnan(learned(math.nan))


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0.1, np.nan], [np.inf, -0.0]]),
        np.array([0.1, np.nan], dtype="float32"),
        np.zeros((0, 3), dtype="int8"),
        np.array([True, False]),
        np.array(["a", "bc"]),
        np.array(["2024-01-01", "NaT"], dtype="datetime64[s]"),
        np.array(["a", None, 1], dtype=object),
    ],
)
def test_arrays(array):
    loaded = learned(array)
    assert loaded.dtype == array.dtype
    assert loaded.shape == array.shape
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [0.1, np.nan], "b": ["x", None], "c": [1, 2], "t": INSTANTS}),
        pd.DataFrame({"a": [1.5]}, index=pd.Index(["customer1"], name="customer_id")),
        pd.DataFrame({"t": INSTANTS.tz_convert("Europe/Paris"), 3: [True, False]}),
        pd.DataFrame({"d": INSTANTS.tz_localize(None), "o": pd.Series([1, "a"], dtype=object)}),
        pd.DataFrame({"a": [1.0, 2.0]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)])),
    ],
)
def test_pandas_frames(frame):
    assert_frame_equal(learned(frame), frame, check_exact=True)


def test_pandas_series(transactions):
    means = transactions.groupby("customer_id")["amount"].mean()
    assert_series_equal(learned(means), means, check_exact=True)
    assert_series_equal(learned(means.rename(None)), means.rename(None), check_exact=True)


def test_polars():
    frame = pl.DataFrame(
        {
            "float": [0.1, None, math.nan, math.inf],
            "text": ["a", None, "c", ""],
            "flag": [True, None, False, True],
            "small": pl.Series([1, None, 3, 4], dtype=pl.Int8),
        }
    ).with_columns(
        day=pl.col("small").cast(pl.Int32).cast(pl.Date),
        instant=pl.col("small").cast(pl.Int64).cast(pl.Datetime("us", "UTC")),
        gap=pl.col("small").cast(pl.Int64).cast(pl.Duration("ms")),
        clock=pl.col("small").cast(pl.Int64).cast(pl.Time),
    )
    assert_polars_equal(learned(frame), frame)
    assert learned(frame["day"]).equals(frame["day"])


def test_constructor_arguments_and_parts():
    combined = Combined({"mine": Learner((1, 2)), "behavioural": Behavioural([2.5])})
    loaded = through_json(combined)
    assert loaded.parts["mine"].value == (1, 2)
    assert loaded.parts["mine"].derived == [(1, 2)]
    assert loaded.parts["behavioural"].windows_days == [2.5]
    assert not hasattr(loaded, "location_counts_")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Fraction(1, 3), r"Learner.learned_ holds a fractions.Fraction, which cannot be saved"),
        ({"a": [1, {2}]}, r"Learner.learned_\['a'\] holds a builtins.set"),
        (np.array([1j]), "Learner.learned_ holds complex128"),
        (pd.DataFrame({"c": pd.Categorical(["a"])}), r"learned_\['c'\] is a column of category"),
        (pl.DataFrame({"l": [[1]]}), "learned_: l is List"),
    ],
)
def test_what_cannot_be_saved_is_named(value, message):
    with pytest.raises(UserError, match=message):
        learned(value)


def test_a_strategy_that_would_not_be_the_same_is_refused():
    class Local(Learner):
        pass

    strategy = Learner()
    strategy.rates = {"a": 1}
    for unsavable, message in (
        (strategy, "Learner.rates would be lost on saving.* rates_"),
        (Forgetful([1]), "Forgetful .* does not keep .* windows; .*self.windows"),
        (Vague(a=1), r"Vague .* takes \*\*options"),
        (Local(), "Local cannot be imported"),
    ):
        with pytest.raises(UserError, match=message):
            strategy_to_dict(unsavable)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module.Strategy", "the module no_such_module is not allowed"),
        ("own_strategy.Gone", "cannot be imported"),
        ("fraud_ae.features.strategies.temporal.Gone", "must be a feature strategy"),
        ("fraud_ae.errors.UserError", "must be a feature strategy"),
        ("os.getcwd", "the module os is not allowed"),
    ],
)
def test_only_strategies_are_loaded(path, message):
    with pytest.raises(UserError, match=message):
        strategy_from_dict({"class": path, "arguments": {}, "fitted": {}})
