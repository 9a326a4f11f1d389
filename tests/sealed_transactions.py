"""Simulated transactions whose test rows cannot be read, but for their times."""

from dataclasses import replace

import numpy as np
import pandas as pd

from fraud_ae.data.sources import Dataset, synthetic
from fraud_ae.data.split import split_by_time


class SealBroken(Exception):
    """Something other than the time of a row behind validation was read."""


class Sealed(pd.DataFrame):
    """A frame of which the first rows alone can be taken out; what is taken is a plain frame."""

    _metadata = ("n_open",)
    n_open = 0

    def __getitem__(self, key):
        if isinstance(key, str) and key == "timestamp":
            return pd.Series(super().__getitem__(key))
        if isinstance(key, str | list):
            raise SealBroken(f"{key} of all rows was read")
        return self.iloc[np.flatnonzero(key)]

    @property
    def iloc(self):
        return _Rows(pd.DataFrame(self), self.n_open)

    def _refuse(self, *arguments, **settings):
        raise SealBroken("all rows were read")

    loc = values = property(_refuse)
    assign = copy = drop = items = join = select_dtypes = to_numpy = _refuse


class _Rows:
    def __init__(self, frame: pd.DataFrame, n_open: int) -> None:
        self._frame, self._n_open = frame, n_open

    def __getitem__(self, rows) -> pd.DataFrame:
        taken = np.arange(len(self._frame))[rows]
        if (taken >= self._n_open).any():
            raise SealBroken(f"{np.count_nonzero(taken >= self._n_open)} test rows were read")
        return self._frame.iloc[rows]


def sealed(**settings) -> Dataset:
    """What `synthetic` gives, with rubbish in all rows behind validation, and these sealed.

    Its fingerprint is that of the true rows, so that runs have the same ids.
    """
    dataset = synthetic(**settings)
    transactions = dataset.transactions
    split = split_by_time(transactions["timestamp"])
    hidden = ~split.before_test(transactions)
    rubbish = {"is_fraud": 1 - transactions["is_fraud"]}
    rubbish |= dict.fromkeys(transactions.select_dtypes("float64"), np.nan)
    rubbish |= dict.fromkeys(transactions.select_dtypes("str"), "SEALED")
    spoiled = transactions.assign(
        **{name: transactions[name].mask(hidden, value) for name, value in rubbish.items()}
    )
    frame = Sealed(spoiled)
    frame.n_open = int((~hidden).sum())
    scenarios = dataset.scenarios.mask(hidden, "SEALED")
    found = replace(dataset, transactions=frame, scenarios=scenarios)
    vars(found)["fingerprint"] = dataset.fingerprint
    return found
