"""Whether the customers and terminals of a later period are those that were there before.

Where they are, with the same attributes and the same share of the rows, what tells one from another
is in both periods, and cancels out in their difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd

# So many are kept: those of the smallest hashes, which is a random sample that any other period can
# be asked for, too (bottom-k sketch, Cohen and Kaplan, 2007).
KEPT = 256
_LEAST_IN_BOTH = 10


@dataclass(frozen=True)
class Members:
    """The members of one kind, such as the customers, that the rows of a sample belong to.

    hashes: (n,) int64, of each row's member, -1 where it is missing.
    """

    hashes: np.ndarray

    @classmethod
    def of(cls, ids: pd.Series) -> Self:
        """From the id of each row's member, (n,) str, missing where there is none."""
        codes, names = pd.factorize(ids)
        hashed = pd.util.hash_array(np.asarray(names, dtype=object), categorize=False)
        # Of 40 bits, which are short as text and tell a million members apart.
        hashed = np.append((hashed >> 24).astype(np.int64), -1)
        return cls(hashed[codes])

    @cached_property
    def rows(self) -> pd.Series:
        """How many rows each member has, by hash, ascending."""
        return pd.Series(self.hashes[self.hashes >= 0]).value_counts().sort_index()

    def sketch(self) -> dict:
        """The members of the smallest hashes, and their rows, as plain data."""
        kept = self.rows.iloc[:KEPT]
        return {
            "hashes": kept.index.tolist(),
            "rows": kept.tolist(),
            "all": len(self.rows) <= KEPT,
        }

    def means(self, codes: np.ndarray, hashes: list[int]) -> np.ndarray:
        """The mean of the codes, (n,), over the rows of each member of some hashes: (k,) float."""
        return pd.Series(codes).groupby(self.hashes).mean().reindex(hashes).to_numpy(np.float64)

    def changed_weights(self, sketch: Mapping) -> float:
        """How far the members' shares of rows are from those of a sketch: 0 to 1.

        0 where they are the same but for chance, 1 where the members are others.
        """
        here = self.sketch()
        # Both know all members up to the hash where the first of them ends.
        limit = min(np.inf if side["all"] else side["hashes"][-1] for side in (sketch, here))
        counts = pd.DataFrame(
            {
                name: pd.Series(side["rows"], index=side["hashes"], dtype="float64")
                for name, side in (("before", sketch), ("now", here))
            }
        )
        counts = counts[counts.index <= limit].fillna(0.0)
        total = counts.sum()
        if not total.all():
            return 1.0
        shares = counts / total
        by_chance = float((1 / total).sum())
        squared = float((shares["before"] - shares["now"]).pow(2).sum()) - by_chance
        most = float(shares.pow(2).sum().sum()) - by_chance
        return float(np.clip(squared / most, 0.0, 1.0)) if most > 0 else 1.0

    def alike(self, codes: np.ndarray, sketch: Mapping, means: list[float]) -> float:
        """How far members that are in both samples are what they were, by their mean codes: 0 to 1.

        codes: (n,). means: of the sketch's members. A correlation, weighted by rows.
        """
        before, now = np.array(means), self.means(codes, sketch["hashes"])
        both = ~np.isnan(now)
        if both.sum() < _LEAST_IN_BOTH:
            return 0.0
        weights = np.minimum(sketch["rows"], self.rows.reindex(sketch["hashes"]).fillna(0))[both]
        covariance = np.cov(before[both], now[both], aweights=np.asarray(weights))
        scale = np.sqrt(covariance[0, 0] * covariance[1, 1])
        return float(np.clip(covariance[0, 1] / scale, 0.0, 1.0)) if scale > 0 else 0.0
