"""Why a transaction scores high: what adds most to its score, in the words of a reviewer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from fraud_ae.detector.attribution import shapley_values
from fraud_ae.features.customer_history import CustomerHistory
from fraud_ae.features.descriptions import DescribedFeature, FeatureDescription, subject_of
from fraud_ae.features.encoder import Encoder

# So many of a run's highest scores are explained.
_EXPLAINED = 25


@dataclass(frozen=True)
class Reason:
    """What one subject adds to the score of one transaction.

    subject: what it is about, such as "amount". features: all features that tell of it. value: in
    words, such as "amount 812.40". usual: what is usual, in words; may be empty. contribution: of
    all its features together, in the unit of `Scorer.additive_score`, see `Explainer`. share:
    of all that makes the score higher than usual, from 0 to 1.
    """

    subject: str
    features: tuple[str, ...]
    value: str
    usual: str
    contribution: float
    share: float

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.value, self.usual)))

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """The reason that `asdict` gave, as it is after JSON too."""
        return cls(**{**plain, "features": tuple(plain["features"])})


def sentence(reasons: Sequence[Reason]) -> str:
    """The reasons of one transaction as one line of text."""
    return "; ".join(map(str, reasons))


Score = Callable[[np.ndarray], np.ndarray]


class Explainer:
    """Finds the reasons of encoded rows.

    encoder: fitted. descriptions: of features, see `descriptions_of`; features with the same
    subject are one reason, and so are all inputs of a category. score, in its methods:
    of encoded rows, (m, n_inputs) -> (m,); everything between the inputs and the score, so that
    what a value does to the reconstruction of others, or to the latent code, counts as that value's
    doing.
    """

    def __init__(self, encoder: Encoder, descriptions: Sequence[FeatureDescription] = ()) -> None:
        self._encoder = encoder
        self._names = [*encoder.numeric_, *encoder.categories_]
        self._left_out = {
            name: np.nan if value is None else value for name, value in encoder.left_out_.items()
        }
        self._usual = encoder.usual_inputs()
        groups = np.asarray(encoder.input_groups())
        self._columns = [np.flatnonzero(groups == n) for n in range(len(self._names))]
        # The numbers of the features of each subject, and how each feature is described.
        self._subjects: dict[str, list[int]] = {}
        self._descriptions = []
        for number, name in enumerate(self._names):
            subject, *description = subject_of(name, descriptions)
            self._subjects.setdefault(subject, []).append(number)
            self._descriptions.append(description)

    def contributions(self, score: Score, inputs: np.ndarray) -> pd.DataFrame:
        """What each subject adds to the score, compared with a usual row.

        inputs: (n, n_inputs). Returns (n, n_subjects) float64, whose rows add up to the score less
        that of `Encoder.usual_inputs`: see `shapley_values`.
        """
        parts = [
            np.concatenate([self._columns[number] for number in numbers])
            for numbers in self._subjects.values()
        ]
        values = shapley_values(score, inputs, self._usual, parts)
        return pd.DataFrame(values, columns=list(self._subjects))

    def reasons(
        self,
        score: Score,
        inputs: np.ndarray,
        top: int = 3,
        features: pd.DataFrame | None = None,
        past: Sequence[CustomerHistory] | None = None,
    ) -> list[list[Reason]]:
        """For each of n rows, at most `top` subjects that raise its score, the strongest first.

        inputs: (n, n_inputs). features: (n, n_features), as they were encoded; without them values
        are decoded. past: the customer's earlier transactions, of each row, from which it says what
        is usual for the customer.
        """
        table = self.contributions(score, inputs)
        added = table.to_numpy()
        raises = np.maximum(added, 0)
        total = raises.sum(axis=1, keepdims=True)
        shares = np.divide(raises, total, out=np.zeros_like(raises), where=total > 0)
        strongest = np.argsort(-shares, axis=1, kind="stable")[:, :top]
        bounds = {}
        if features is None:
            features, bounds = self._decoded(inputs), _clipped(inputs, self._encoder)
        # Those that no score comes from too, as a description may read several.
        values = {name: features[name].to_numpy() for name in (*self._names, *self._left_out)}
        reasons_of_rows = []
        for row in range(len(inputs)):
            facts = {
                "values": {name: column[row] for name, column in values.items()},
                "usual": self._encoder.usual_,
                "past": past[row] if past is not None else None,
                "bounds": {name: column[row] for name, column in bounds.items()},
            }
            reasons_of_rows.append([])
            for number in strongest[row][shares[row, strongest[row]] > 0]:
                subject = table.columns[number]
                value, usual = self._described(subject, inputs[row], facts)
                names = tuple(self._names[feature] for feature in self._subjects[subject])
                share = round(float(shares[row, number]), 4)
                reason = Reason(subject, names, value, usual, float(added[row, number]), share)
                reasons_of_rows[-1].append(reason)
        return reasons_of_rows

    def _decoded(self, inputs: np.ndarray) -> pd.DataFrame:
        """The features that rows were encoded from; the last digits of a float32 mean nothing."""
        values = self._encoder.values(inputs)
        numbers = values[self._encoder.numeric_].round(6) + 0.0
        decoded = pd.concat([numbers, values[list(self._encoder.categories_)]], axis=1)
        return decoded.assign(**self._left_out)

    def _described(
        self, subject: str, inputs: np.ndarray, facts: dict[str, Any]
    ) -> tuple[str, str]:
        """The value of a subject and what is usual."""
        away = np.abs(inputs - self._usual)
        numbers = sorted(self._subjects[subject], key=lambda n: -away[self._columns[n]].max())
        described = []
        for number in numbers:
            parts, describe = self._descriptions[number]
            described.append((DescribedFeature(self._names[number], parts, **facts), describe))
        # Of several figures of one thing, the one that nobody expects says most.
        unusual = (pair for pair in described if pair[0].stands_out)
        feature, describe = next(unusual, described[0])
        return describe(feature)


def _clipped(inputs: np.ndarray, encoder: Encoder) -> dict[str, np.ndarray]:
    """What to say before numbers that the encoder has cut off: name -> (n,) str."""
    if encoder.clip is None:
        return {}
    bounds = np.array(["at most ", "", "at least "])
    return {
        name: bounds[1 + (scaled >= encoder.clip) - (scaled <= -encoder.clip)]
        for name, scaled in zip(encoder.numeric_, inputs.T, strict=False)
    }


def top_transactions(scored: pd.DataFrame, explain, top: int = _EXPLAINED) -> list[dict]:
    """The transactions of highest score with their reasons, as plain data, the highest first.

    scored: a scored frame of n rows. explain: gives the reasons of some rows, (m,) int, as
    `Explainer.reasons` does. Of equal scores, the earlier row comes first.
    """
    rows = np.argsort(-scored["score"].to_numpy(), kind="stable")[:top]
    shown = scored.iloc[rows]
    customers = shown["customer_id"].tolist() if "customer_id" in shown else [None] * len(rows)
    return [
        {
            "transaction_id": transaction,
            "customer_id": customer,
            "timestamp": time.isoformat(),
            "amount": None if np.isnan(amount) else float(amount),
            "is_fraud": None if np.isnan(is_fraud) else int(is_fraud),
            "score": float(score),
            "reasons": [asdict(reason) for reason in reasons_of_rows],
        }
        for transaction, customer, time, amount, is_fraud, score, reasons_of_rows in zip(
            shown["transaction_id"].tolist(),
            customers,
            shown["timestamp"],
            shown["amount"],
            shown["is_fraud"],
            shown["score"],
            explain(rows),
            strict=True,
        )
    ]
