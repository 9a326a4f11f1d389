"""Features of partitions on disk, read back column by column or some rows at a time."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

_ROWS = "rows.npy"


def write_columns(folder: Path, rows: np.ndarray, features: dict[str, np.ndarray]) -> None:
    """Write features, name -> (m,), of the rows with some numbers, (m,) int, into a new folder."""
    folder.mkdir()
    np.save(folder / _ROWS, rows)
    texts = {}
    for place, (name, values) in enumerate(features.items()):
        if not isinstance(values, np.ndarray):
            codes, distinct = pd.factorize(values)
            texts[name], values = list(distinct), codes.astype(np.int32)
        np.save(folder / f"{place}.npy", values)
    (folder / "columns.json").write_text(json.dumps({"names": [*features], "texts": texts}))


@dataclass
class _Part:
    """Some features of some rows. places: of their files by name. texts: values of the codes."""

    folder: Path
    places: dict[str, int]
    texts: dict[str, list[str]]

    @classmethod
    def of(cls, folder: Path) -> "_Part":
        said = json.loads((folder / "columns.json").read_text())
        return cls(folder, {name: i for i, name in enumerate(said["names"])}, said["texts"])

    def rows(self) -> np.ndarray:
        return np.load(self.folder / _ROWS)

    def codes(self, name: str, some: slice = slice(None)) -> np.ndarray:
        """Values, or codes of texts, of some of the rows."""
        path = self.folder / f"{self.places[name]}.npy"
        if some == slice(None):
            return np.load(path)
        # Read, not memory-mapped: what is mapped counts as memory of the process.
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = getattr(np.lib.format, f"read_array_header_{version[0]}_{version[1]}")
            dtype = read(file)[2]
            file.seek(some.start * dtype.itemsize, 1)
            return np.fromfile(file, dtype, some.stop - some.start)


class FeatureColumns:
    """The features of n transactions on disk, as `Encoder.fit` and its like read a frame.

    names: of the features, in order. folders: of `write_columns`; each feature is in those that
    hold every row once.
    """

    def __init__(self, names: Sequence[str], rows: int, folders: Sequence[Path]) -> None:
        self._names, self._length = list(names), rows
        self._parts = [_Part.of(folder) for folder in folders]
        # Text has the same codes in all partitions.
        self._texts: dict[str, dict[str, int]] = {}
        for part in self._parts:
            for name, values in part.texts.items():
                known = self._texts.setdefault(name, {})
                for value in values:
                    known.setdefault(value, len(known))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __getitem__(self, name: str) -> pd.Series:
        """One feature: (n,) float64, bool or str."""
        values: np.ndarray | None = None
        for part in self._parts:
            if name in part.places:
                found = self._values(part, name, part.codes(name))
                if values is None:
                    values = np.empty(self._length, dtype=found.dtype)
                values[part.rows()] = found
        return self._series(name, values)

    def frames(self, rows: int) -> Iterator[pd.DataFrame]:
        """All features, so many rows at a time, in their order."""
        all_rows = [part.rows() for part in self._parts]
        for start in range(0, self._length, rows):
            end = min(start + rows, self._length)
            columns: dict[str, np.ndarray] = {}
            for part, numbers in zip(self._parts, all_rows, strict=True):
                some = slice(*map(int, np.searchsorted(numbers, (start, end))))
                places = numbers[some] - start
                for name in part.places:
                    found = self._values(part, name, part.codes(name, some))
                    if name not in columns:
                        columns[name] = np.empty(end - start, dtype=found.dtype)
                    columns[name][places] = found
            yield pd.DataFrame(
                {name: self._series(name, columns[name]) for name in self._names}, copy=False
            )

    def _values(self, part: _Part, name: str, found: np.ndarray) -> np.ndarray:
        if name not in part.texts:
            return found
        known = self._texts[name]
        codes = np.array([*(known[value] for value in part.texts[name]), -1], dtype=np.int32)
        return codes[found]

    def _series(self, name: str, values: np.ndarray) -> pd.Series:
        if name not in self._texts:
            return pd.Series(values, name=name, copy=False)
        texts = pd.array(list(self._texts[name]), dtype="str")
        return pd.Series(texts.take(values, allow_fill=True), name=name)
