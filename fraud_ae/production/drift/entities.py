"""Whether the customers and terminals of a period are those of the reference.

Where they are, with the same attributes and the same share of the rows, what distinguishes them is
in both samples, and cancels out in their difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd

from fraud_ae.production.drift.clusters import ENTITY_COLUMNS

# A sketch holds so many entities: those of the smallest hashes, a random sample that can be drawn
# of any other period, too (bottom-k sketch, Cohen and Kaplan, 2007).
SKETCH_SIZE = 256
_LEAST_SHARED = 10


@dataclass(frozen=True)
class Entities:
    """The entities of one kind, such as customers, that the rows of a sample belong to.

    hashes: (n,) int64, of each row's entity, -1 where it is missing.
    """

    hashes: np.ndarray

    @classmethod
    def of(cls, ids: pd.Series) -> Self:
        """From the id of each row's entity, (n,) str, which may be missing."""
        codes, names = pd.factorize(ids)
        hashed = pd.util.hash_array(np.asarray(names, dtype=object), categorize=False)
        # Of 40 bits, which are short as text and distinguish a million entities.
        hashed = np.append((hashed >> 24).astype(np.int64), -1)
        return cls(hashed[codes])

    @cached_property
    def rows(self) -> pd.Series:
        """The number of rows by entity hash, ascending by hash."""
        return pd.Series(self.hashes[self.hashes >= 0]).value_counts().sort_index()

    def sketch(self) -> dict:
        """The entities of the smallest hashes, and their rows, as plain data."""
        sample = self.rows.iloc[:SKETCH_SIZE]
        is_complete = len(self.rows) <= SKETCH_SIZE
        return {"hashes": sample.index.tolist(), "rows": sample.tolist(), "all": is_complete}

    def mean_codes(self, codes: np.ndarray, hashes: list[int]) -> np.ndarray:
        """The mean of the codes, (n,), over the rows of each of some entities: (k,) float."""
        return pd.Series(codes).groupby(self.hashes).mean().reindex(hashes).to_numpy(np.float64)

    def change_of_shares(self, sketch: Mapping) -> float:
        """How far the entities' shares of rows are from those of a reference sketch: 0 to 1.

        0 where they are the same but for chance, 1 where the entities are others.
        """
        current = self.sketch()
        # Both know all entities up to the hash where the first of them ends.
        limit = min(np.inf if side["all"] else side["hashes"][-1] for side in (sketch, current))
        sides = [pd.Series(s["rows"], s["hashes"], dtype="float64") for s in (sketch, current)]
        counts = pd.concat(sides, axis=1, sort=True)
        counts = counts[counts.index <= limit].fillna(0.0)
        total = counts.sum()
        if not total.all():
            return 1.0
        shares = counts / total
        by_chance = float((1 / total).sum())
        squared = float((shares[0] - shares[1]).pow(2).sum()) - by_chance
        most = float(shares.pow(2).sum().sum()) - by_chance
        return float(np.clip(squared / most, 0.0, 1.0)) if most > 0 else 1.0

    def correlation(self, codes: np.ndarray, sketch: Mapping, means: list[float]) -> float:
        """How far the mean codes of entities in both samples agree: 0 to 1.

        codes: (n,). means: of the sketch's entities. A correlation, weighted by rows.
        """
        reference, current = np.array(means), self.mean_codes(codes, sketch["hashes"])
        shared = ~np.isnan(current)
        if shared.sum() < _LEAST_SHARED:
            return 0.0
        weights = np.minimum(sketch["rows"], self.rows.reindex(sketch["hashes"]).fillna(0))[shared]
        pair = reference[shared], current[shared]
        covariance = np.cov(*pair, aweights=np.asarray(weights))
        scale = np.sqrt(covariance[0, 0] * covariance[1, 1])
        return float(np.clip(covariance[0, 1] / scale, 0.0, 1.0)) if scale > 0 else 0.0


def entities_of(transactions: pd.DataFrame) -> dict[str, Entities]:
    """Customers and terminals of n transactions, by kind, where they are known."""
    return {
        kind: Entities.of(transactions[column])
        for column, kind in ENTITY_COLUMNS.items()
        if column in transactions and transactions[column].notna().any()
    }
