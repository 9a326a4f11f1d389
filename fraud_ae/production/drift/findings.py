"""What a check for drift found, and which of it counts."""

from dataclasses import dataclass
from typing import Any

import numpy as np

# The customary limit of a moderate shift (Siddiqi, 2006).
LEAST_PSI = 0.1


@dataclass
class Finding:
    """One thing that is compared.

    kind: `feature`, `score`, `alert rate`, `figure`, `unseen values` or `missing column`. p_value:
    by itself, None where nothing was tested; p_corrected: by Holm, for all tests of the check.
    matters: whether the change is large enough to count. not_judged: why it was not compared.
    details: figures for tables and pictures, plain data.
    """

    name: str
    kind: str
    p_value: float | None = None
    p_corrected: float | None = None
    matters: bool = False
    drift: bool = False
    not_judged: str | None = None
    details: dict[str, Any] | None = None


def correct(findings: list[Finding], alpha: float) -> None:
    """Correct all p-values by Holm (1979), and say what has drifted."""
    tested = sorted((f for f in findings if f.p_value is not None), key=lambda f: f.p_value)
    scaled = [f.p_value * (len(tested) - place) for place, f in enumerate(tested)]
    for finding, corrected in zip(tested, np.maximum.accumulate(scaled), strict=True):
        finding.p_corrected = min(1.0, float(corrected))
        finding.drift = finding.matters and finding.p_corrected < alpha
        comparison = (finding.details or {}).pop("comparison", None)
        if comparison is not None:
            smallest = comparison.smallest_detected(alpha / len(tested), LEAST_PSI)
            finding.details["smallest_psi"] = smallest
            # Between two normal distributions of one variance the index is the squared distance.
            finding.details["smallest_shift"] = float(np.sqrt(smallest))
