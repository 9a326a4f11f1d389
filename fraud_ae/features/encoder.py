"""Encoding of features into the numbers that a network reads; fitted on training rows."""

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, RobustScaler, StandardScaler

from fraud_ae.errors import UserError

UNSEEN = "<unseen>"
MISSING = "<missing>"

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
    drown all others; None switches it off.

    A missing number becomes the median of the training rows and, where training rows had some
    missing, sets an indicator column.
    """

    def __init__(
        self, scaling: str = "standard", max_categories: int = 20, clip: float | None = 10.0
    ) -> None:
        self.scaling = scaling
        self.max_categories = max_categories
        self.clip = clip

    def fit(self, features: pd.DataFrame) -> "Encoder":
        """Learn from training rows. features: (n, n_features), numbers, booleans or strings."""
        numeric = [c for c in features if _is_number(features[c])]
        self.numeric_ = numeric
        self.categories_ = {
            c: self._frequent_values(features[c]) for c in features if c not in numeric
        }
        numbers = features[numeric].astype("float64")
        # A column without a single value in training can only be filled with something.
        self.fill_ = numbers.median().fillna(0.0).to_dict()
        self.indicators_ = [c for c in numeric if numbers[c].isna().any()]
        self._scaler = None
        if numeric:
            self._scaler = self._new_scaler(len(features)).fit(self._filled(numbers))
        self._one_hot = self._new_one_hot()
        return self

    def transform(self, features: pd.DataFrame) -> np.ndarray:
        """Encode rows. (n, n_features) -> (n, n_inputs) float32, without missing values.

        Raises UserError that names the features which were there in `fit` and are not now.
        """
        absent = [c for c in (*self.numeric_, *self.categories_) if c not in features]
        if absent:
            raise UserError(f"features missing that the model was trained with: {absent}")
        parts = []
        if self.numeric_:
            numbers = features[self.numeric_].astype("float64")
            scaled = self._scaler.transform(self._filled(numbers))
            if self.clip is not None:
                scaled = np.clip(scaled, -self.clip, self.clip)
            parts += [scaled, numbers[self.indicators_].isna().to_numpy()]
        if self.categories_:
            parts.append(self._one_hot.transform(self._known_values(features)))
        return np.hstack([part.astype(np.float32) for part in parts])

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
            "numeric": self.numeric_,
            "categories": self.categories_,
            "fill": self.fill_,
            "indicators": self.indicators_,
            "scaler": scaler,
        }

    @classmethod
    def from_dict(cls, data: dict) -> "Encoder":
        """The encoder that `to_dict` described; it gives the same numbers."""
        encoder = cls(data["scaling"], data["max_categories"], data["clip"])
        encoder.numeric_ = data["numeric"]
        encoder.categories_ = data["categories"]
        encoder.fill_ = data["fill"]
        encoder.indicators_ = data["indicators"]
        encoder._scaler = None
        if encoder.numeric_:
            encoder._scaler = encoder._new_scaler(n_rows=1000)
            for name, values in data["scaler"].items():
                setattr(encoder._scaler, name, np.asarray(values))
            encoder._scaler.n_features_in_ = len(encoder.numeric_)
        encoder._one_hot = encoder._new_one_hot()
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

    def _frequent_values(self, column: pd.Series) -> list[str]:
        counts = column.dropna().astype(str).value_counts().drop([MISSING, UNSEEN], errors="ignore")
        # Equal counts are put in order of name, so that the order does not depend on the rows.
        frequent = sorted(counts.index, key=lambda v: (-counts[v], v))[: self.max_categories]
        return [*sorted(frequent), MISSING, UNSEEN]

    def _new_one_hot(self) -> OneHotEncoder | None:
        if not self.categories_:
            return None
        values = list(self.categories_.values())
        encoder = OneHotEncoder(
            categories=[np.array(v, dtype=object) for v in values],
            sparse_output=False,
            dtype=np.float32,
        )
        return encoder.fit(np.array([[v[0] for v in values]], dtype=object))

    def _known_values(self, features: pd.DataFrame) -> np.ndarray:
        columns = []
        for name, known in self.categories_.items():
            missing = features[name].isna()
            text = features[name].astype(str).astype(object)
            text = text.where(text.isin(known), UNSEEN).mask(missing, MISSING)
            columns.append(text.to_numpy())
        return np.column_stack(columns)

    def _filled(self, numbers: pd.DataFrame) -> np.ndarray:
        return numbers.fillna(self.fill_).to_numpy()


def _is_number(column: pd.Series) -> bool:
    return is_numeric_dtype(column) or is_bool_dtype(column)
