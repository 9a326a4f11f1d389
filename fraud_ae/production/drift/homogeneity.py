"""Whether two samples have the same shares of bins, where rows depend on one another.

Transactions of one customer, one terminal or one day resemble each other, so that n of them tell as
little as n / deff independent ones; deff is the design effect (Kish, 1965).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
from scipy import stats

# Shares of bins without rows enter logarithms as if they had this much of a row.
_HALF = 0.5
_ENOUGH_GROUPS = 10


@dataclass(frozen=True)
class ClusteredShares:
    """Shares of bins in a sample of clustered rows, and what says how far they move by chance.

    rows: number of transactions. shares: of each bin. directions: in how many independent
    directions the shares move; fewer than bins where they move together. dependence: by kind of
    cluster how its rows resemble each other: `size` of the cluster that a row is in, on average;
    `groups`, how many equal clusters would be as unequal; `likeness`, the intraclass correlation,
    averaged over the bins, None if there is but one cluster, which tells nothing.
    """

    rows: int
    shares: list[float]
    directions: float
    dependence: dict[str, dict[str, float | None]]

    @classmethod
    def of(cls, codes: np.ndarray, bins: int, clusters: Mapping[str, np.ndarray]) -> Self:
        """From the bin of each row, (n,) int, and the number of its cluster of each kind, (n,) int.

        The variance of clustered shares is the linearised one (Binder, 1983), that of crossed
        clusters is the sum of what each adds (Cameron, Gelbach and Miller, 2011).
        """
        n = len(codes)
        shares = np.bincount(codes, minlength=bins) / n
        used = np.flatnonzero(shares > 0)
        root = np.sqrt(shares[used])
        by_row = (np.eye(len(used)) - np.outer(root, root)) / n
        total, dependence = by_row.copy(), {}
        for kind, numbers in clusters.items():
            _, numbers, sizes = np.unique(numbers, return_inverse=True, return_counts=True)
            groups, size = len(sizes), float(np.sum(sizes.astype(np.float64) ** 2) / n)
            likeness = None
            if groups > 1 and len(used) > 1:
                counts = np.bincount(numbers * bins + codes, minlength=groups * bins)
                counts = counts.reshape(groups, bins)[:, used]
                residual = (counts - sizes[:, None] * shares[used]) / root
                clustered = residual.T @ residual * groups / (groups - 1) / n**2
                effect = np.trace(clustered) / np.trace(by_row)
                likeness = float((effect - 1) / (size - 1)) if size > 1 + 1e-9 else 0.0
                total += clustered - by_row
            dependence[kind] = {"size": size, "groups": n / size, "likeness": likeness}
        return cls(n, shares.tolist(), _directions(total), dependence)

    def to_dict(self) -> dict:
        """The fields as plain data, to six digits."""
        return json.loads(
            json.dumps(asdict(self)), parse_float=lambda digits: float(f"{float(digits):.6g}")
        )


@dataclass(frozen=True)
class Comparison:
    """Two samples of one feature.

    psi: population stability index. expected: what it comes to if nothing has changed. p_value: of
    the shares being the same. directions, denominator: degrees of freedom. design_effect: of the
    rows that are compared with the reference.
    """

    psi: float
    expected: float
    p_value: float
    directions: float
    denominator: float
    design_effect: float

    @property
    def excess(self) -> float:
        """The index beyond what chance alone would make of it."""
        return self.psi - self.expected

    def smallest_detected(self, alpha: float, least: float) -> float:
        """The index detected 19 times of 20 at a level, if `least` is the least that counts.

        By the normal approximation of the noncentral chi-square distribution.
        """
        critical = self.expected * stats.f.isf(alpha, self.directions, self.denominator)
        needed = max(critical, self.expected + least) - self.expected
        # The index d that is to be detected comes out as d + expected, give or take
        # sqrt(2 expected^2 + 4 expected d) / sqrt(directions); solved for d.
        z = stats.norm.isf(0.05) ** 2 / self.directions
        slope = needed + 2 * z * self.expected
        return float(slope + np.sqrt(slope**2 - needed**2 + 2 * z * self.expected**2))


def compare(
    reference: ClusteredShares, current: ClusteredShares, weights: Mapping[str, float]
) -> Comparison:
    """Compare the shares of two samples, in the same bins.

    A chi-square test of homogeneity with the second-order correction of Rao and Scott (1984) for
    dependent rows, and an F distribution as the design effects are estimates (Thomas and Rao,
    1987). weights: by kind of cluster, how much of its dependence counts, 0 to 1: where the same
    clusters are in both samples with the same weight, what they share cancels out.
    """
    p, q = np.array(reference.shares), np.array(current.shares)
    pooled = (reference.rows * p + current.rows * q) / (reference.rows + current.rows)
    used = pooled > 0
    # One bin alone cannot move.
    dimensions = max(int(used.sum()) - 1, 1)
    statistic = float(np.sum((q - p)[used] ** 2 / pooled[used]))
    current_effect, current_freedom = _design_effect(current, reference, weights)
    reference_effect, reference_freedom = _design_effect(reference, reference, weights)
    effects = np.array([current_effect, reference_effect])
    parts = effects * dimensions / (current.rows, reference.rows)
    directions = np.array([current.directions, reference.directions]).clip(1, dimensions)
    expected = parts.sum()
    # As if both moved in the same directions, which makes them as few as they can be.
    together = float((expected / np.sum(parts / np.sqrt(directions))) ** 2)
    freedom = expected**2 / np.sum(parts**2 / (current_freedom, reference_freedom))
    denominator = float(max(together * freedom, 1))
    p_value = float(stats.f.sf(statistic / expected, together, denominator))
    psi = _psi(p[used], q[used], reference.rows, current.rows)
    return Comparison(psi, float(expected), p_value, together, denominator, current_effect)


def _design_effect(
    sample: ClusteredShares, reference: ClusteredShares, weights: Mapping[str, float]
) -> tuple[float, float]:
    """The design effect, and the degrees of freedom that it is estimated with.

    Rows that have not drifted are as alike as those of the reference, while a drift that begins
    within a period makes its rows more alike. Only where the reference has too few clusters to tell
    is the likeness the greater of both.
    """
    effect, uncertain = 1.0, 1.0 / max(sample.rows - 1, 1)
    for kind, dependence in sample.dependence.items():
        known = reference.dependence.get(kind)
        both = [d for d in (known, dependence) if d is not None and d["likeness"] is not None]
        if known in both and known["groups"] >= _ENOUGH_GROUPS:
            both = [known]
        likeness = max([0.0, *(d["likeness"] for d in both)])
        added = likeness * (dependence["size"] - 1) * weights.get(kind, 1.0)
        groups = max([2.0, *(d["groups"] for d in both)])
        effect += added
        uncertain += added**2 / max(groups - 1, 1)
    return effect, effect**2 / uncertain


def _directions(covariance: np.ndarray) -> float:
    """Satterthwaite's degrees of freedom of a quadratic form with this covariance."""
    if not len(covariance):
        return 1.0
    roots = np.linalg.eigvalsh(covariance).clip(min=0)
    return float(roots.sum() ** 2 / np.sum(roots**2)) if roots.any() else 1.0


def _psi(p: np.ndarray, q: np.ndarray, p_rows: int, q_rows: int) -> float:
    p = (p * p_rows + _HALF) / (p_rows + _HALF * len(p))
    q = (q * q_rows + _HALF) / (q_rows + _HALF * len(q))
    return float(np.sum((q - p) * np.log(q / p)))
