"""Distributions of Optuna that hold whatever values the sweeps of a study have had.

Optuna is imported in the functions: looking up a finished sweep does without it.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def including(distribution: "BaseDistribution | None", value: object) -> "BaseDistribution":
    """A distribution that a value and all values of another belong to; a number stays one.

    A value that is no number cannot be added to numbers: then the distribution stays as it is.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if distribution is None:
        if not is_number(value):
            return CategoricalDistribution([value])
        kind = IntDistribution if isinstance(value, int) else FloatDistribution
        return kind(value, value)
    if isinstance(distribution, CategoricalDistribution):
        # Added at the end: a trial holds the place of its value.
        new = () if value in distribution.choices else (value,)
        return CategoricalDistribution([*distribution.choices, *new])
    if not is_number(value):
        return distribution
    whole = isinstance(distribution, IntDistribution) and isinstance(value, int)
    kind = IntDistribution if whole else FloatDistribution
    return kind(min(distribution.low, value), max(distribution.high, value))


def is_number(value: object) -> bool:
    """Whether a value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
