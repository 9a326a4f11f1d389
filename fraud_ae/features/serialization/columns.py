"""Arrays, series and frames as plain JSON data and back, without losing a bit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from fraud_ae.errors import UserError

Encode = Callable[[Any, str], Any]
Decode = Callable[[Any], Any]

_POLARS_PHYSICAL = {"Date": pl.Int32, "Datetime": pl.Int64, "Duration": pl.Int64}


def array_to_plain(array: np.ndarray, where: str, encode: Encode) -> dict[str, Any]:
    """dtype, shape and flat values; NaN and infinity as strings, times as integers."""
    values, kind = array.ravel(), array.dtype.kind
    if kind == "O":
        items = [encode(item, where) for item in values]
    elif kind in "mM":
        items = values.view(np.int64).tolist()
    elif kind in "f":
        items = _floats_to_plain(values.tolist())
    elif kind in "biuU":
        items = values.tolist()
    else:
        raise UserError(f"{where} holds {array.dtype}, which cannot be saved; use a plainer dtype")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": items}


def array_from_plain(plain: dict[str, Any], decode: Decode) -> np.ndarray | np.generic:
    """What `array_to_plain` was given."""
    dtype, items = np.dtype(plain["dtype"]), plain["values"]
    if dtype.kind == "O":
        flat = np.empty(len(items), dtype=object)
        flat[:] = [decode(item) for item in items]
    elif dtype.kind in "mM":
        flat = np.array(items, dtype=np.int64).view(dtype)
    else:
        flat = np.array(_floats_from_plain(items) if dtype.kind == "f" else items, dtype=dtype)
    # The empty index turns an array without dimensions into its scalar, and no other.
    return flat.reshape(plain["shape"])[()]


def pandas_to_plain(frame: pd.DataFrame, where: str, encode: Encode) -> dict[str, Any]:
    """Columns and index levels, in order, each a name and its values."""

    def named(columns: pd.DataFrame) -> list[list[Any]]:
        return [
            [encode(name, where), _pandas_column_to_plain(column, f"{where}[{name!r}]", encode)]
            for name, column in columns.items()
        ]

    index = frame.index
    if index.equals(pd.RangeIndex(len(frame))) and index.name is None:
        return {"columns": named(frame), "index": None}
    levels = index.to_frame(index=False)
    levels.columns = list(index.names)
    return {"columns": named(frame), "index": named(levels)}


def pandas_from_plain(plain: dict[str, Any], decode: Decode) -> pd.DataFrame:
    """What `pandas_to_plain` was given."""

    def frame(columns: list[list[Any]]) -> pd.DataFrame:
        values = {i: _pandas_column_from_plain(c, decode) for i, (_, c) in enumerate(columns)}
        return pd.DataFrame(values).set_axis([decode(name) for name, _ in columns], axis=1)

    result = frame(plain["columns"])
    if plain["index"] is None:
        return result
    levels = frame(plain["index"])
    if levels.shape[1] > 1:
        return result.set_axis(pd.MultiIndex.from_frame(levels, names=list(levels)), axis=0)
    return result.set_axis(pd.Index(levels.iloc[:, 0], name=levels.columns[0]), axis=0)


def polars_to_plain(column: pl.Series, where: str) -> dict[str, Any]:
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


def polars_from_plain(plain: dict[str, Any]) -> pl.Series:
    """What `polars_to_plain` was given."""
    kind, values = plain["dtype"], plain["values"]
    dtype = getattr(pl, kind)
    if dtype.is_float():
        values = _floats_from_plain(values)
    series = pl.Series(plain["name"], values, dtype=_POLARS_PHYSICAL.get(kind, dtype))
    if kind == "Datetime":
        return series.cast(pl.Datetime(plain["unit"], plain["zone"]))
    return series.cast(pl.Duration(plain["unit"]) if kind == "Duration" else dtype)


def _pandas_column_to_plain(column: pd.Series, where: str, encode: Encode) -> dict[str, Any]:
    dtype = column.dtype
    if isinstance(dtype, pd.StringDtype):
        strings = column.astype(object).where(column.notna(), None).tolist()
        return {"dtype": str(dtype), "strings": strings}
    if isinstance(dtype, pd.DatetimeTZDtype):
        utc = column.dt.tz_convert(None).to_numpy()
        return {"zone": str(dtype.tz), "array": array_to_plain(utc, where, encode)}
    if isinstance(dtype, np.dtype):
        return {"array": array_to_plain(column.to_numpy(), where, encode)}
    raise UserError(f"{where} is a column of {dtype}, which cannot be saved; use a plainer dtype")


def _pandas_column_from_plain(plain: dict[str, Any], decode: Decode) -> pd.Series:
    if "strings" in plain:
        return pd.Series(plain["strings"], dtype=plain["dtype"])
    column = pd.Series(array_from_plain(plain["array"], decode))
    if "zone" in plain:
        return column.dt.tz_localize("UTC").dt.tz_convert(plain["zone"])
    return column


def _floats_to_plain(values: list[float | None]) -> list[float | str | None]:
    return [v if v is None or math.isfinite(v) else str(v) for v in values]


def _floats_from_plain(values: list[float | str | None]) -> list[float | None]:
    return [None if v is None else float(v) for v in values]
