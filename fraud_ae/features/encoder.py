"""Encoding of features into the numbers that a network reads; fitted on training rows."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import is_numeric_dtype
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler

from fraud_ae.errors import UserError
from fraud_ae.features.descriptions import MISSING, UNSEEN

# Rows that are encoded at a time: as many as caches hold.
_AT_ONCE = 16_384

# Numbers beyond are taken for these: the squares of as many as there are stay finite in 64 bits.
HIGHEST = 1e100
# Scaled numbers without a clip are kept within: their squares stay finite in 32 bits.
_WIDEST = 1e15

# What is usual: between these shares of the training rows, of so many of them at most.
_USUAL = (0.05, 0.95)
_USUAL_ROWS = 100_000

# What `fit` learns beside the scaler, as attributes that end in _.
_FITTED = ("numeric", "categories", "left_out", "fill", "indicators", "usual")
# What each scaler learns: enough to make it again without fitting.
_LEARNED = {
    "standard": (StandardScaler, ("mean_", "var_", "scale_")),
    "robust": (RobustScaler, ("center_", "scale_")),
    "quantile": (QuantileTransformer, ("quantiles_", "references_")),
}


class Encoder:
    """Scales numbers, one-hot encodes categories, and fills missing values.

    scaling: `standard` (mean 0, variance 1), `robust` (median 0, interquartile range 1) or
    `quantile` (rank mapped to a normal distribution), all of scikit-learn.
    max_categories: so many of the most frequent values of a category have a column of their own;
    all others, and values never seen in training, share one.
    clip: scaled numbers are kept within plus and minus this, so that a single wild value does not
    drown all others; None keeps them within 1e15, so that all that is made of them stays finite.

    A missing number becomes the median of the training rows and, where training rows had some
    missing, sets an indicator column.

    A feature that is the same in all training rows, or missing in all of them, is left out: nothing
    can be learned of it, and no later value of it changes what a row becomes.

    left_out_: those features, each with its one value (None for a number that was always missing).
    usual_: what is usual in the training rows; of a number its 5 % and 95 % quantile (None without
    any), of one that is 0 or 1 the share of both, of a category that of each frequent value.
    """

    def __init__(
        self, scaling: str = "standard", max_categories: int = 20, clip: float | None = 10.0
    ) -> None:
        self.scaling = scaling
        self.max_categories = max_categories
        self.clip = clip

    def fit(self, features: pd.DataFrame, rows: np.ndarray | None = None) -> "Encoder":
        """Learn from training rows.

        features: (n, n_features), numbers, booleans or strings. rows: (n,) bool, which of them; all
        by default. One column is copied at a time. Raises UserError where all would be left out.
        """
        self.numeric_, self.categories_, self.left_out_, self.usual_ = [], {}, {}, {}
        self.fill_, self.indicators_, scalers = {}, [], []
        for name in features:
            column = features[name] if rows is None else features[name][rows]
            if not is_numeric_dtype(column):
                values, self.usual_[name] = self._frequent_values(column)
                found = np.unique(category_codes(column, values))
                if len(found) > 1:
                    self.categories_[name] = values
                else:
                    self.left_out_[name] = values[found[0]]
                continue
            numbers = np.clip(column.to_numpy(dtype=np.float64), -HIGHEST, HIGHEST)
            missing = np.isnan(numbers)
            present = numbers[~missing]
            self.usual_[name] = _usual_values(present)
            if missing.all() or (not missing.any() and present.min() == present.max()):
                self.left_out_[name] = None if missing.all() else float(present[0])
                continue
            self.numeric_.append(name)
            self.fill_[name] = float(np.median(present))
            if missing.any():
                self.indicators_.append(name)
            filled = np.where(missing, self.fill_[name], numbers)
            scalers.append(self._new_scaler(len(filled)).fit(filled[:, None]))
        if not self.numeric_ and not self.categories_:
            raise UserError(
                "every feature has one value in all training rows, so nothing can be learned: "
                f"{', '.join(self.left_out_)}; more rows or other columns are needed"
            )
        self._scaler = _side_by_side(scalers, self.scaling) if scalers else None
        return self

    def transform(self, features: pd.DataFrame) -> np.ndarray:
        """Encode rows. (n, n_features) -> (n, n_inputs) float32, without missing values.

        Raises UserError that names the features which are encoded and this frame lacks.
        """
        inputs = np.empty((len(features), self.n_inputs), dtype=np.float32)
        for rows, part in self.parts(features):
            inputs[rows] = part
        return inputs

    def parts(self, features: pd.DataFrame) -> Iterator[tuple[slice, np.ndarray]]:
        """What `transform` gives, some rows at a time: which, and (rows, n_inputs) float32."""
        absent = [c for c in (*self.numeric_, *self.categories_) if c not in features]
        if absent:
            raise UserError(f"features missing that the model was trained with: {absent}")
        for start in range(0, len(features), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            yield rows, self._encoded(features.iloc[rows])

    @property
    def n_inputs(self) -> int:
        """How many numbers a row becomes."""
        return len(self.input_groups())

    @property
    def bound(self) -> float:
        """Plus and minus this, all scaled numbers lie within."""
        return _WIDEST if self.clip is None else self.clip

    def _encoded(self, features: pd.DataFrame) -> np.ndarray:
        blocks = [np.empty((len(features), 0), dtype=np.float32)]
        if self.numeric_:
            numbers = features[self.numeric_].to_numpy(dtype=np.float64)
            missing = np.isnan(numbers)
            fill = np.array([self.fill_[name] for name in self.numeric_])
            filled = np.clip(np.where(missing, fill, numbers), -HIGHEST, HIGHEST)
            # Where all training rows are nearly alike, a scaled number may be infinite.
            with np.errstate(over="ignore"):
                scaled = self._scaler.transform(filled)
            np.clip(scaled, -self.bound, self.bound, out=scaled)
            indicators = [self.numeric_.index(name) for name in self.indicators_]
            blocks += [scaled, missing[:, indicators]]
        for name, values in self.categories_.items():
            one_hot = np.eye(len(values), dtype=np.float32)
            blocks.append(one_hot[category_codes(features[name], values)])
        return np.hstack(blocks, dtype=np.float32)

    def usual_inputs(self) -> np.ndarray:
        """The encoded row of medians and most frequent categories: (n_inputs,) float32."""
        usual = {name: [self.fill_[name]] for name in self.numeric_}
        for name in self.categories_:
            shares = self.usual_[name]
            usual[name] = pd.Series([max(shares, key=shares.get, default=None)], dtype="str")
        return self.transform(pd.DataFrame(usual))[0]

    def values(self, inputs: np.ndarray) -> pd.DataFrame:
        """What encoded rows stand for: (n, n_inputs) float32 -> (n, encoded features), in order.

        Numbers are float64 in their own units, as far as `clip` let them through, with NaN where
        an indicator says that they were missing; categories are str, `MISSING` and `UNSEEN` too.
        """
        values: dict[str, np.ndarray] = {}
        end = len(self.numeric_)
        if self.numeric_:
            numbers = self._scaler.inverse_transform(inputs[:, :end].astype(np.float64))
            values = dict(zip(self.numeric_, numbers.T, strict=True))
        for name in self.indicators_:
            values[name] = np.where(inputs[:, end] > 0, np.nan, values[name])
            end += 1
        for name, known in self.categories_.items():
            codes = inputs[:, end : end + len(known)].argmax(axis=1)
            values[name] = np.array(known, dtype=object)[codes]
            end += len(known)
        return pd.DataFrame(values)

    def input_names(self) -> list[str]:
        """Names of the columns that `transform` gives, in order."""
        return [
            *self.numeric_,
            *(f"{c}_missing" for c in self.indicators_),
            *(f"{c}={v}" for c, values in self.categories_.items() for v in values),
        ]

    def input_groups(self) -> list[int]:
        """For each input, the number of the feature that it belongs to, from 0 without gaps."""
        number = {name: i for i, name in enumerate((*self.numeric_, *self.categories_))}
        return [
            *(number[c] for c in (*self.numeric_, *self.indicators_)),
            *(number[c] for c, values in self.categories_.items() for _ in values),
        ]

    def to_dict(self) -> dict:
        """Settings and everything learned, as plain data that JSON can hold."""
        scaler = {}
        if self._scaler is not None:
            names = _LEARNED[self.scaling][1]
            scaler = {name: np.asarray(getattr(self._scaler, name)).tolist() for name in names}
        return {
            "scaling": self.scaling,
            "max_categories": self.max_categories,
            "clip": self.clip,
            **{name: getattr(self, f"{name}_") for name in _FITTED},
            "scaler": scaler,
        }

    @classmethod
    def from_dict(cls, data: dict) -> "Encoder":
        """The encoder that `to_dict` described; it gives the same numbers."""
        encoder = cls(data["scaling"], data["max_categories"], data["clip"])
        for name in _FITTED:
            setattr(encoder, f"{name}_", data[name])
        encoder._scaler = None
        if encoder.numeric_:
            encoder._scaler = encoder._new_scaler(n_rows=1000)
            for name, values in data["scaler"].items():
                setattr(encoder._scaler, name, np.asarray(values))
            encoder._scaler.n_features_in_ = len(encoder.numeric_)
        return encoder

    def _new_scaler(self, n_rows: int):
        if self.scaling not in _LEARNED:
            raise UserError(f"encoder.scaling={self.scaling}: must be one of {list(_LEARNED)}")
        scaler_class = _LEARNED[self.scaling][0]
        if self.scaling == "quantile":
            return scaler_class(
                n_quantiles=min(1000, n_rows), output_distribution="normal", random_state=0
            )
        return scaler_class()

    def _frequent_values(self, column: pd.Series) -> tuple[list[str], dict[str, float]]:
        """The values that have a column of their own, and the share of each frequent one."""
        counts = column.dropna().astype(str).value_counts().drop([MISSING, UNSEEN], errors="ignore")
        # Equal counts are put in order of name, so that the order does not depend on the rows.
        frequent = sorted(counts.index, key=lambda v: (-counts[v], v))[: self.max_categories]
        shares = {value: float(counts[value] / len(column)) for value in frequent}
        return [*sorted(frequent), MISSING, UNSEEN], shares


def _usual_values(present: np.ndarray) -> list[float] | dict[str, float] | None:
    if not len(present):
        return None
    some = present[:: max(1, len(present) // _USUAL_ROWS)]
    if np.isin(some, (0.0, 1.0)).all():
        share = float(some.mean())
        return {"0": 1 - share, "1": share}
    return [float(value) for value in np.quantile(some, _USUAL)]


def category_codes(column: pd.Series, values: list[str]) -> np.ndarray:
    """Position of each value among the known ones: (n,) int.

    Arrow looks strings up many times faster than encoders that take Python objects.
    """
    text = pa.array(column.astype("str"), from_pandas=True)
    codes = pc.index_in(text, value_set=pa.array(values, type=text.type))
    codes = pc.if_else(pc.is_null(text), values.index(MISSING), codes)
    return pc.fill_null(codes, values.index(UNSEEN)).to_numpy(zero_copy_only=False)


def _side_by_side(scalers: list, scaling: str):
    """The scalers of single columns as one of all columns."""
    together = scalers[0]
    for name in _LEARNED[scaling][1]:
        learned = [np.asarray(getattr(scaler, name)) for scaler in scalers]
        # The references of quantiles are the same for all columns.
        shared = name == "references_"
        setattr(together, name, learned[0] if shared else np.concatenate(learned, axis=-1))
    together.n_features_in_ = len(scalers)
    return together
