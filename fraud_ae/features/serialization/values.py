"""Learned values as plain JSON data and back, without losing a bit.

What JSON has no word for becomes an object with a single key that starts with `$`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from fraud_ae.errors import UserError
from fraud_ae.features.serialization.columns import (
    array_from_plain,
    array_to_plain,
    pandas_from_plain,
    pandas_to_plain,
    polars_from_plain,
    polars_to_plain,
)


def to_plain(value: Any, where: str, save_object: Callable[[Any], Any]) -> Any:
    """The value as data for `json.dumps(..., allow_nan=False)`.

    Numbers, str, None, bool, timestamps, lists, tuples, dicts, numpy arrays, and pandas and
    polars frames and series; anything else is left to `save_object`, which returns None if it
    does not know it either. Raises UserError, naming `where`, for what cannot be saved.
    """
    encode = partial(to_plain, save_object=save_object)
    match value:
        case None | bool() | str():
            return value
        case np.ndarray() | np.generic():
            return {"$array": array_to_plain(np.asarray(value), where, encode)}
        case int():
            return value
        case float():
            return value if math.isfinite(value) else {"$float": str(value)}
        case pd.Timestamp():
            return {"$timestamp": value.isoformat()}
        case pd.DataFrame():
            return {"$frame": pandas_to_plain(value, where, encode)}
        case pd.Series():
            return {"$series": pandas_to_plain(value.to_frame(value.name), where, encode)}
        case pl.Series():
            return {"$polars_series": polars_to_plain(value, where)}
        case pl.DataFrame():
            return {"$polars_frame": [polars_to_plain(column, where) for column in value]}
        case Mapping():
            return _dict_to_plain(value, where, encode)
        case tuple():
            return {"$tuple": [encode(item, where) for item in value]}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [encode(item, where) for item in value]
    saved = save_object(value)
    if saved is None:
        raise UserError(
            f"{where} holds a {type(value).__module__}.{type(value).__name__}, which cannot be "
            "saved; keep it as numbers, strings, lists, dicts, arrays or frames"
        )
    return {"$object": saved}


def from_plain(plain: Any, load_object: Callable[[Any], Any]) -> Any:
    """What `to_plain` was given; `load_object` undoes its `save_object`."""
    decode = partial(from_plain, load_object=load_object)
    match plain:
        case list():
            return [decode(item) for item in plain]
        case {"$float": text}:
            return float(text)
        case {"$timestamp": text}:
            return pd.Timestamp(text)
        case {"$array": array}:
            return array_from_plain(array, decode)
        case {"$frame": frame}:
            return pandas_from_plain(frame, decode)
        case {"$series": frame}:
            return pandas_from_plain(frame, decode).iloc[:, 0]
        case {"$polars_series": column}:
            return polars_from_plain(column)
        case {"$polars_frame": columns}:
            return pl.DataFrame([polars_from_plain(column) for column in columns])
        case {"$dict": pairs}:
            return {decode(key): decode(item) for key, item in pairs}
        case {"$tuple": items}:
            return tuple(decode(item) for item in items)
        case {"$object": saved}:
            return load_object(saved)
        case dict():
            return {key: decode(item) for key, item in plain.items()}
    return plain


def _dict_to_plain(value: Mapping[Any, Any], where: str, encode: Callable[..., Any]) -> Any:
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: encode(item, f"{where}[{key!r}]") for key, item in value.items()}
    return {"$dict": [[encode(key, where), encode(value[key], where)] for key in value]}
