"""JSON lines, and a JSON list, of transactions as tables whose values are as they were written."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from fraud_ae.data.files.paths import uncompressed


@contextmanager
def json_records(path: Path) -> Iterator[Iterator[dict]]:
    """The objects of a file, one a line or all in a list.

    Raises ValueError, naming the line, for what is no object.
    """
    with uncompressed(path) as stream:
        first = stream.read(1)
        while first and (first.isspace() or first in b"\xef\xbb\xbf"):
            first = stream.read(1)
        if first == b"[":
            yield _checked(json.loads(first + stream.read()))
        else:
            yield _checked(_lines(first, stream))


def json_frame(records: Iterator[dict], rows: int | None = None) -> pd.DataFrame:
    """The next records, all of them without `rows`, with a column for every key.

    The values are Python's: whole numbers of any length stay exact.
    """
    return pd.DataFrame(list(itertools.islice(records, rows)), dtype=object)


def _lines(first: bytes, stream) -> Iterator[object]:
    for number, line in enumerate(stream):
        text = first + line if number == 0 else line
        if text.strip():
            try:
                yield json.loads(text)
            except ValueError as error:
                raise ValueError(f"line {number + 1} is not JSON: {error}") from None


def _checked(values: Iterator[object]) -> Iterator[dict]:
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise ValueError(f"record {number} is a {type(value).__name__}, not an object")
        yield value
