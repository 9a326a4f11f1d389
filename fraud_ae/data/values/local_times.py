"""Local times where a clock was changed: shown twice, or never."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from fraud_ae.data.values.kinds import Wrong
from fraud_ae.data.values.times import is_shown_twice

# Times of some values with the settings of a source but for the zone, and the rule, that are given.
Read = Callable[[pd.Series, str | None, str], pd.Series]


def clock_changes(
    values: pd.Series, times: pd.Series, read: Read, zone: str, rule: str
) -> tuple[np.ndarray, Wrong]:
    """Which values the clock of a zone showed twice, (n,) bool, and what is wrong with some.

    times: of the values, by the rule, which is one of `data.ambiguous_times`. Values that say how
    far from UTC they are have no part in it.
    """
    twice = np.zeros(len(values), dtype=bool)
    rows = np.flatnonzero((times.isna() | is_shown_twice(times, zone)).to_numpy(bool))
    if not len(rows):
        return twice, {}
    near = values.iloc[rows]
    earlier, later = read(near, zone, "earlier"), read(near, zone, "later")
    twice[rows] = (earlier.notna() & later.notna() & (earlier != later)).to_numpy(bool)
    never = earlier.isna() & read(near, None, rule).notna()
    reason = f"the clocks of {zone} went forward over it; give it with its offset from UTC"
    wrong = dict.fromkeys(rows[never.to_numpy(bool)].tolist(), reason)
    if rule == "refuse":
        reason = (
            f"the clocks of {zone} showed it twice; give it with its offset from UTC, or "
            "data.ambiguous_times=earlier or later says which it is"
        )
        wrong |= dict.fromkeys(np.flatnonzero(twice).tolist(), reason)
    return twice, wrong
