"""Several strategies at once."""

from collections.abc import Mapping
from functools import partial, reduce
from itertools import chain
from operator import or_

import numpy as np
import pandas as pd

from fraud_ae.errors import UserError
from fraud_ae.features.descriptions import FeatureDescription, descriptions_of
from fraud_ae.features.history import History, history_of
from fraud_ae.features.strategies.baseline import Baseline, with_baseline_columns
from fraud_ae.features.strategy import (
    columns_to_fit,
    compute_features,
    feature_frame,
    fit_strategy,
)
from fraud_ae.runtime.threads import side_by_side


class Combined(Baseline):
    """The baseline and the features of all `parts` (name -> strategy), each feature once.

    What the built-in parts share is learned and computed once.
    """

    def __init__(self, parts: Mapping[str, object]) -> None:
        self.parts = parts

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the baseline or any of the parts can use."""
        declared = (getattr(part, "columns", ()) for part in self.parts.values())
        return with_baseline_columns(chain.from_iterable(declared))

    @property
    def family_columns(self) -> tuple[str, ...]:
        """The columns that any of the parts can use beyond the baseline."""
        declared = (
            getattr(part, "family_columns", getattr(part, "columns", ()))
            for part in self.parts.values()
        )
        return tuple(dict.fromkeys(chain.from_iterable(declared)))

    @property
    def descriptions(self) -> tuple[FeatureDescription, ...]:
        """Those of the baseline and of the parts; the first that matches a feature counts."""
        return (
            *super().descriptions,
            *(d for part in self.parts.values() for d in descriptions_of(part)),
        )

    @property
    def history(self) -> History:
        """What any of the parts looks back to."""
        return reduce(or_, map(history_of, self.parts.values()), History())

    @property
    def fit_columns(self) -> tuple[str, ...] | None:
        """What any of the parts is learned from; None where one may read any column."""
        columns = [Baseline.fit_columns, *map(columns_to_fit, self.parts.values())]
        return None if None in columns else tuple(dict.fromkeys(chain.from_iterable(columns)))

    @property
    def terminal_features(self) -> str | None:
        """Those of the parts; None where one looks back at terminals and does not name them."""
        parts = [part for part in self.parts.values() if history_of(part).terminal_days]
        patterns = [getattr(part, "terminal_features", None) for part in parts]
        return None if None in patterns else "|".join(map("(?:{})".format, patterns))

    def fit_family(self, df: pd.DataFrame) -> None:
        """Fit every part."""
        for part in self.parts.values():
            if _extends_baseline(part):
                part.fit_family(df)
            else:
                fit_strategy(part, df)

    def generate_features(self, df: pd.DataFrame) -> pd.DataFrame:
        """The features of all parts. Raises UserError if two parts disagree on one."""
        parts = self.parts.values()
        features, *families = side_by_side(
            partial(self._shared_features, df),
            *(partial(part.family_features, df) for part in parts if _extends_baseline(part)),
            rows=len(df),
        )
        for name, part in self.parts.items():
            built_in = _extends_baseline(part)
            part_features = families.pop(0) if built_in else compute_features(part, df)
            for feature, values in part_features.items():
                before = features.setdefault(feature, values)
                if before is not values and not _equal(before, values, df.index):
                    raise UserError(
                        f"Combined: {feature} of the part {name!r} ({type(part).__name__}) differs "
                        "from the column or feature of that name before it; rename one of them"
                    )
        return feature_frame(features, df.index)


def _equal(one: np.ndarray | pd.Series, other: np.ndarray | pd.Series, index: pd.Index) -> bool:
    return pd.Series(one, index=index).equals(pd.Series(other, index=index))


def _extends_baseline(part: object) -> bool:
    """Whether the part is the baseline and a family, and nothing that an override changes."""
    return (
        isinstance(part, Baseline)
        and type(part).fit is Baseline.fit
        and type(part).generate_features is Baseline.generate_features
    )
