"""The bins that the values of a feature are counted in."""

import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

PARTS = 10
# A value of so large a share has a bin of its own: quantiles cannot divide it.
ATOM = 0.05
MOST_VALUES = 20
MISSING = "missing"
OTHER = "other"


@dataclass(frozen=True)
class Bins:
    """Bins of a number, which its edges part, or of a category, one for each frequent value.

    edges: bin k holds edges[k-1] <= x < edges[k]. values: of a category, None for a number. The
    last bin is that of missing values; all other values of a category share the one before it.
    """

    edges: tuple[float, ...] = ()
    values: tuple[str, ...] | None = None

    @classmethod
    def of(cls, column: pd.Series) -> Self:
        """Bins of about equal shares of a column, (n,) numbers, bools or str."""
        if not (is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype)):
            counts = column.dropna().astype(str).value_counts()
            frequent = sorted(counts.index, key=lambda value: (-counts[value], value))
            return cls(values=tuple(frequent[:MOST_VALUES]))
        numbers = column.to_numpy(np.float64)
        numbers = numbers[~np.isnan(numbers)]
        if not len(numbers):
            return cls()
        distinct, counts = np.unique(numbers, return_counts=True)
        atoms = distinct[counts >= ATOM * len(numbers)]
        rest = numbers[~np.isin(numbers, atoms)]
        parts = round(PARTS * len(rest) / len(numbers))
        cuts = np.quantile(rest, np.arange(1, parts) / parts) if parts > 1 else np.empty(0)
        edges = np.unique([*cuts, *atoms, *np.nextafter(atoms, np.inf)])
        return cls(edges=tuple(edges.tolist()))

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.edges) + 2 if self.values is None else len(self.values) + 2

    def codes(self, column: pd.Series) -> np.ndarray:
        """The number of each value's bin. (n,) -> (n,) int64."""
        missing = column.isna().to_numpy()
        if self.values is None:
            codes = np.searchsorted(self.edges, column.to_numpy(np.float64), side="right")
        else:
            known = pd.Index(self.values, dtype="str")
            codes = known.get_indexer(column.astype("str"))
            codes = np.where(codes < 0, len(self.values), codes)
        return np.where(missing, self.count - 1, codes).astype(np.int64)

    def names(self) -> list[str]:
        """What each bin is called."""
        if self.values is not None:
            return [*self.values, OTHER, MISSING]
        edges = self.edges
        if not edges:
            return ["any number", MISSING]
        between = [
            f"{low:.4g}" if high == np.nextafter(low, np.inf) else f"{low:.4g} to {high:.4g}"
            for low, high in itertools.pairwise(edges)
        ]
        return [f"below {edges[0]:.4g}", *between, f"from {edges[-1]:.4g}", MISSING]
