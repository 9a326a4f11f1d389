"""A strategy, fitted or not, as plain JSON data and back, without losing a bit.

What JSON has no word for becomes an object with a single key that starts with `$`.
"""

import inspect
import math
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from fraud_ae.errors import UserError
from fraud_ae.runtime.named_objects import Kind, resolve

_BUILT_IN = ("Baseline", "Behavioural", "Combined", "DemographicRisk", "Temporal")
STRATEGY = Kind(
    "a feature strategy, a class with generate_features",
    frozenset(
        (
            *(f"fraud_ae.features.{name}" for name in _BUILT_IN),
            "fraud_ae.features.strategies.baseline.Baseline",
            "fraud_ae.features.strategies.behavioural.Behavioural",
            "fraud_ae.features.strategies.combined.Combined",
            "fraud_ae.features.strategies.demographic_risk.DemographicRisk",
            "fraud_ae.features.strategies.temporal.Temporal",
        )
    ),
    lambda found: isinstance(found, type) and hasattr(found, "generate_features"),
)
_POLARS_PHYSICAL = {"Date": pl.Int32, "Datetime": pl.Int64, "Duration": pl.Int64}


def strategy_to_dict(strategy: Any) -> dict[str, Any]:
    """Class path, constructor arguments and fitted attributes (names that end in `_`).

    The data go through `json.dumps(..., allow_nan=False)`, and `strategy_from_dict` makes of them
    a strategy with bit-identical features. Raises UserError, naming the class and the attribute,
    if something cannot be saved, or would be forgotten.
    """
    cls = type(strategy)
    path = f"{cls.__module__}.{cls.__qualname__}"
    if _importable(path) is not cls:
        raise UserError(f"{path} cannot be imported again; define the class at the top of a module")
    arguments = _arguments(strategy)
    # What `__init__` sets is made again; what `fit` adds under another name would be lost.
    fresh, fitted = vars(cls(**arguments)), {}
    for name, value in vars(strategy).items():
        if name in arguments:
            continue
        if name.endswith("_"):
            fitted[name] = value
        elif name not in fresh and not hasattr(cls, name):
            raise UserError(
                f"{cls.__name__}.{name} would be lost on saving; what fit learns needs a name that "
                f"ends in _, such as {name.strip('_')}_"
            )

    def plain(attributes: dict[str, Any]) -> dict[str, Any]:
        return {name: _to_plain(v, f"{cls.__name__}.{name}") for name, v in attributes.items()}

    return {"class": path, "arguments": plain(arguments), "fitted": plain(fitted)}


def strategy_from_dict(saved: dict[str, Any]) -> Any:
    """The strategy that `strategy_to_dict` was given.

    Raises UserError if its class is not allowed, is not there any more, or is no strategy.
    """
    cls = resolve(saved["class"], STRATEGY)
    strategy = cls(**{name: _from_plain(value) for name, value in saved["arguments"].items()})
    for name, value in saved["fitted"].items():
        setattr(strategy, name, _from_plain(value))
    return strategy


def _importable(path: str) -> Any:
    """What is found under the path of a class that is there: its module has been imported."""
    try:
        return pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"the strategy {path} cannot be imported: {error}") from error


def _arguments(strategy: Any) -> dict[str, Any]:
    """The constructor arguments, as the strategy holds them under their names."""
    arguments, refusal = {}, f"{type(strategy).__name__} cannot be saved: "
    for name, parameter in inspect.signature(type(strategy)).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UserError(
                f"{refusal}its constructor takes {parameter}; give every argument a name"
            )
        if not hasattr(strategy, name):
            raise UserError(
                f"{refusal}it does not keep its constructor argument {name}; store it as "
                f"self.{name}"
            )
        arguments[name] = getattr(strategy, name)
    return arguments


def _to_plain(value: Any, where: str) -> Any:
    """The value as data for `json.dumps(..., allow_nan=False)`.

    Numbers, str, None, bool, timestamps, lists, tuples, dicts, numpy arrays, pandas and polars
    frames and series, and strategies. Raises UserError, naming `where`, for anything else.
    """
    match value:
        case None | bool() | str():
            return value
        case np.ndarray() | np.generic():
            return {"$array": _array_to_plain(np.asarray(value), where)}
        case int():
            return value
        case float():
            return value if math.isfinite(value) else {"$float": str(value)}
        case pd.Timestamp():
            return {"$timestamp": value.isoformat()}
        case pd.DataFrame():
            return {"$frame": _pandas_to_plain(value, where)}
        case pd.Series():
            return {"$series": _pandas_to_plain(value.to_frame(value.name), where)}
        case pl.Series():
            return {"$polars_series": _polars_to_plain(value, where)}
        case pl.DataFrame():
            return {"$polars_frame": [_polars_to_plain(column, where) for column in value]}
        case Mapping():
            if all(type(key) is str and not key.startswith("$") for key in value):
                return {key: _to_plain(v, f"{where}[{key!r}]") for key, v in value.items()}
            return {"$dict": [[_to_plain(k, where), _to_plain(value[k], where)] for k in value]}
        case tuple():
            return {"$tuple": [_to_plain(item, where) for item in value]}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [_to_plain(item, where) for item in value]
    if hasattr(value, "generate_features"):
        return {"$object": strategy_to_dict(value)}
    raise UserError(
        f"{where} holds a {type(value).__module__}.{type(value).__name__}, which cannot be saved; "
        "keep it as numbers, strings, lists, dicts, arrays or frames"
    )


def _from_plain(plain: Any) -> Any:
    match plain:
        case list():
            return [_from_plain(item) for item in plain]
        case {"$float": text}:
            return float(text)
        case {"$timestamp": text}:
            return pd.Timestamp(text)
        case {"$array": array}:
            return _array_from_plain(array)
        case {"$frame": frame}:
            return _pandas_from_plain(frame)
        case {"$series": frame}:
            return _pandas_from_plain(frame).iloc[:, 0]
        case {"$polars_series": column}:
            return _polars_from_plain(column)
        case {"$polars_frame": columns}:
            return pl.DataFrame([_polars_from_plain(column) for column in columns])
        case {"$dict": pairs}:
            return {_from_plain(key): _from_plain(item) for key, item in pairs}
        case {"$tuple": items}:
            return tuple(_from_plain(item) for item in items)
        case {"$object": saved}:
            return strategy_from_dict(saved)
        case dict():
            return {key: _from_plain(item) for key, item in plain.items()}
    return plain


def _array_to_plain(array: np.ndarray, where: str) -> dict[str, Any]:
    """dtype, shape and flat values; NaN and infinity as strings, times as integers."""
    values, kind = array.ravel(), array.dtype.kind
    if kind == "O":
        items = [_to_plain(item, where) for item in values]
    elif kind in "mM":
        items = values.view(np.int64).tolist()
    elif kind == "f":
        items = _floats_to_plain(values.tolist())
    elif kind in "biuU":
        items = values.tolist()
    else:
        raise UserError(f"{where} holds {array.dtype}, which cannot be saved; use a plainer dtype")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": items}


def _array_from_plain(plain: dict[str, Any]) -> np.ndarray | np.generic:
    dtype, items = np.dtype(plain["dtype"]), plain["values"]
    if dtype.kind == "O":
        flat = np.empty(len(items), dtype=object)
        flat[:] = [_from_plain(item) for item in items]
    elif dtype.kind in "mM":
        flat = np.array(items, dtype=np.int64).view(dtype)
    else:
        flat = np.array(_floats_from_plain(items) if dtype.kind == "f" else items, dtype=dtype)
    # The empty index turns an array without dimensions into its scalar, and no other.
    return flat.reshape(plain["shape"])[()]


def _pandas_to_plain(frame: pd.DataFrame, where: str) -> dict[str, Any]:
    """Columns and index levels, in order, each a name and its values."""

    def named(columns: pd.DataFrame) -> list[list[Any]]:
        return [
            [_to_plain(name, where), _pandas_column_to_plain(column, f"{where}[{name!r}]")]
            for name, column in columns.items()
        ]

    index = frame.index
    if index.equals(pd.RangeIndex(len(frame))) and index.name is None:
        return {"columns": named(frame), "index": None}
    levels = index.to_frame(index=False)
    levels.columns = list(index.names)
    return {"columns": named(frame), "index": named(levels)}


def _pandas_from_plain(plain: dict[str, Any]) -> pd.DataFrame:
    def frame(columns: list[list[Any]]) -> pd.DataFrame:
        values = {i: _pandas_column_from_plain(column) for i, (_, column) in enumerate(columns)}
        return pd.DataFrame(values).set_axis([_from_plain(name) for name, _ in columns], axis=1)

    result = frame(plain["columns"])
    if plain["index"] is None:
        return result
    levels = frame(plain["index"])
    if levels.shape[1] > 1:
        return result.set_axis(pd.MultiIndex.from_frame(levels, names=list(levels)), axis=0)
    return result.set_axis(pd.Index(levels.iloc[:, 0], name=levels.columns[0]), axis=0)


def _pandas_column_to_plain(column: pd.Series, where: str) -> dict[str, Any]:
    dtype = column.dtype
    if isinstance(dtype, pd.StringDtype):
        strings = column.astype(object).where(column.notna(), None).tolist()
        return {"dtype": str(dtype), "strings": strings}
    if isinstance(dtype, pd.DatetimeTZDtype):
        utc = column.dt.tz_convert(None).to_numpy()
        return {"zone": str(dtype.tz), "array": _array_to_plain(utc, where)}
    if isinstance(dtype, np.dtype):
        return {"array": _array_to_plain(column.to_numpy(), where)}
    raise UserError(f"{where} is a column of {dtype}, which cannot be saved; use a plainer dtype")


def _pandas_column_from_plain(plain: dict[str, Any]) -> pd.Series:
    if "strings" in plain:
        return pd.Series(plain["strings"], dtype=plain["dtype"])
    column = pd.Series(_array_from_plain(plain["array"]))
    if "zone" in plain:
        return column.dt.tz_localize("UTC").dt.tz_convert(plain["zone"])
    return column


def _polars_to_plain(column: pl.Series, where: str) -> dict[str, Any]:
    """Name, dtype and values of a column; null as None, times as integers."""
    dtype = column.dtype
    kind = str(dtype.base_type())
    if not (dtype.is_numeric() or dtype.is_temporal() or kind in ("Boolean", "String")):
        raise UserError(f"{where}: {column.name} is {dtype}, which cannot be saved; cast it")
    values = column.to_physical().to_list()
    plain = {"name": column.name, "dtype": kind}
    if kind in ("Datetime", "Duration"):
        plain |= {"unit": dtype.time_unit, "zone": getattr(dtype, "time_zone", None)}
    return plain | {"values": _floats_to_plain(values) if dtype.is_float() else values}


def _polars_from_plain(plain: dict[str, Any]) -> pl.Series:
    kind, values = plain["dtype"], plain["values"]
    dtype = getattr(pl, kind)
    if dtype.is_float():
        values = _floats_from_plain(values)
    series = pl.Series(plain["name"], values, dtype=_POLARS_PHYSICAL.get(kind, dtype))
    if kind == "Datetime":
        return series.cast(pl.Datetime(plain["unit"], plain["zone"]))
    return series.cast(pl.Duration(plain["unit"]) if kind == "Duration" else dtype)


def _floats_to_plain(values: list[float | None]) -> list[float | str | None]:
    return [v if v is None or math.isfinite(v) else str(v) for v in values]


def _floats_from_plain(values: list[float | str | None]) -> list[float | None]:
    return [None if v is None else float(v) for v in values]
