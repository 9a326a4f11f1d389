"""JSON lines, and a JSON list, of transactions as tables whose values are as they were written."""

import itertools
import json
from collections.abc import Iterator
from typing import BinaryIO

import pandas as pd


def json_frames(stream: BinaryIO, rows: int | None) -> Iterator[pd.DataFrame]:
    """Tables of so many objects, all of them without `rows`, with a column for every key.

    The stream has an object a line or all in a list. The values are Python's: whole numbers of any
    length stay exact. Raises ValueError, naming the line, for what is no object.
    """
    records = _objects(stream)
    while batch := list(itertools.islice(records, rows)):
        yield pd.DataFrame(batch, dtype=object)


def _objects(stream: BinaryIO) -> Iterator[dict]:
    first = stream.read(1)
    while first and (first.isspace() or first in b"\xef\xbb\xbf"):
        first = stream.read(1)
    values = json.loads(first + stream.read()) if first == b"[" else _lines(first, stream)
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise ValueError(f"record {number} is a {type(value).__name__}, not an object")
        yield value


def _lines(first: bytes, stream: BinaryIO) -> Iterator[object]:
    for number, line in enumerate(stream):
        text = first + line if number == 0 else line
        if text.strip():
            try:
                yield json.loads(text)
            except ValueError as error:
                raise ValueError(f"line {number + 1} is not JSON: {error}") from None
