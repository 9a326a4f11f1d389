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

    encoder: fitted. descriptions: how features are told, see `descriptions_of`; what they say is
    about the same thing is one subject, and so are all inputs of a category. score, in its methods:
    of encoded rows, (m, n_inputs) -> (m,); everything between the inputs and the score, so that
    what a value does to the reconstruction of others, or to the latent code, counts as that value's
    doing.
    """

    def __init__(self, encoder: Encoder, descriptions: Sequence[FeatureDescription] = ()) -> None:
        self._encoder = encoder
        self._names = [*encoder.numeric_, *encoder.categories_]
        self._usual = encoder.usual_inputs()
        groups = np.asarray(encoder.input_groups())
        self._columns = [np.flatnonzero(groups == n) for n in range(len(self._names))]
        # The numbers of the features of each subject, and how each feature is told.
        self._members: dict[str, list[int]] = {}
        self._how = []
        for number, name in enumerate(self._names):
            subject, *how = subject_of(name, descriptions)
            self._members.setdefault(subject, []).append(number)
            self._how.append(how)

    def contributions(self, score: Score, inputs: np.ndarray) -> pd.DataFrame:
        """What each subject adds to the score, compared with a usual row.

        inputs: (n, n_inputs). Returns (n, n_subjects) float64, whose rows add up to the score less
        that of `Encoder.usual_inputs`: see `shapley_values`.
        """
        parts = [
            np.concatenate([self._columns[number] for number in members])
            for members in self._members.values()
        ]
        reasons_of_rows = shapley_values(score, inputs, self._usual, parts)
        return pd.DataFrame(reasons_of_rows, columns=list(self._members))

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
        are decoded. past: of each row, so that it can be told what is usual for its customer.
        """
        table = self.contributions(score, inputs)
        added = table.to_numpy()
        raises = np.maximum(added, 0)
        total = raises.sum(axis=1, keepdims=True)
        shares = np.divide(raises, total, out=np.zeros_like(raises), where=total > 0)
        strongest = np.argsort(-shares, axis=1, kind="stable")[:, :top]
        if features is None:
            features, bounds = self._decoded(inputs), _clipped(inputs, self._encoder)
        else:
            bounds = {}
        values = {name: features[name].to_numpy() for name in self._names}
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
                value, usual = self._told(subject, inputs[row], facts)
                names = tuple(self._names[member] for member in self._members[subject])
                share = round(float(shares[row, number]), 4)
                reason = Reason(subject, names, value, usual, float(added[row, number]), share)
                reasons_of_rows[-1].append(reason)
        return reasons_of_rows

    def _decoded(self, inputs: np.ndarray) -> pd.DataFrame:
        """The features that rows were encoded from; the last digits of a float32 mean nothing."""
        values = self._encoder.values(inputs)
        numbers = values[self._encoder.numeric_].round(6) + 0.0
        return pd.concat([numbers, values[list(self._encoder.categories_)]], axis=1)

    def _told(self, subject: str, inputs: np.ndarray, facts: dict[str, Any]) -> tuple[str, str]:
        """The value of a subject and what is usual."""
        away = np.abs(inputs - self._usual)
        members = sorted(
            self._members[subject], key=lambda number: -away[self._columns[number]].max()
        )
        # Of several figures of one thing, the one that nobody expects says most.
        features = [DescribedFeature(self._names[n], self._how[n][0], **facts) for n in members]
        number, feature = next(
            (pair for pair in zip(members, features, strict=True) if pair[1].stands_out),
            (members[0], features[0]),
        )
        return self._how[number][1](feature)


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
