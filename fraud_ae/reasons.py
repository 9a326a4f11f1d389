"""Why a transaction scores high: what adds most to its score, in the words of a reviewer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from fraud_ae.attribution import shapley_values
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.past import Past
from fraud_ae.features.wording import Told, Words, subject_of

# So many of a run's highest scores are explained.
_EXPLAINED = 25


@dataclass(frozen=True)
class Reason:
    """What one subject adds to the score of one transaction.

    subject: what it is about, such as "amount". features: all features that tell of it. value: in
    words, such as "amount 812.40". usual: what is usual, in words; may be empty. contribution: of
    all its features together, in the unit of `Scorer.additive_score`, see `contributions`. share:
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


def sentence(found: Sequence[Reason]) -> str:
    """The reasons of one transaction as one line of text."""
    return "; ".join(map(str, found))


def contributions(
    score: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    encoder: Encoder,
    words: Sequence[Words] = (),
) -> pd.DataFrame:
    """What each subject adds to the scores of encoded rows, compared with a usual row.

    score: of encoded rows, (m, n_inputs) -> (m,); everything between the inputs and the score, so
    that what a value does to the reconstruction of others, or to the latent code, counts as that
    value's doing. inputs: (n, n_inputs). words: see `subject_of`; what they say is about the same
    thing is one part, and so are all inputs of a category. Returns (n, n_subjects) float64, whose
    rows add up to the score less that of `Encoder.usual_inputs`: see `shapley_values`.
    """
    groups = np.asarray(encoder.input_groups())
    members = _members(encoder, words)
    parts = [np.flatnonzero(np.isin(groups, numbers)) for numbers in members.values()]
    found = shapley_values(score, inputs, encoder.usual_inputs(), parts)
    return pd.DataFrame(found, columns=list(members))


def reasons(
    score: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    encoder: Encoder,
    words: Sequence[Words] = (),
    top: int = 3,
    *,
    features: pd.DataFrame | None = None,
    past: Sequence[Past] | None = None,
) -> list[list[Reason]]:
    """For each of n encoded rows, at most `top` subjects that raise its score, strongest first.

    score, inputs, words: see `contributions`. features: (n, n_features), as they were encoded;
    without them values are decoded. past: of each row, so that it can be told what is usual for
    its customer.
    """
    table = contributions(score, inputs, encoder, words)
    added = table.to_numpy()
    raises = np.maximum(added, 0)
    total = raises.sum(axis=1, keepdims=True)
    shares = np.divide(raises, total, out=np.zeros_like(raises), where=total > 0)
    strongest = np.argsort(-shares, axis=1, kind="stable")[:, :top]
    names = _names(encoder)
    how = {name: subject_of(name, words) for name in names}
    members = _members(encoder, words)
    distance = _distance(inputs, encoder)
    shown = encoder.values(inputs) if features is None else features
    columns = {name: shown[name].to_numpy() for name in names}
    clipped = _clipped(inputs, encoder) if features is None else {}

    def reason(row: int, subject: str, contribution: float, share: float) -> Reason:
        values = {name: column[row] for name, column in columns.items()}
        bounds = {name: column[row] for name, column in clipped.items()}
        own = sorted(members[subject], key=lambda number: -distance[row, number])
        told = [
            Told(names[n], how[names[n]][1], values, encoder.usual_, past and past[row], bounds)
            for n in own
        ]
        # Of several figures of one thing, the one that nobody expects says most.
        first = next((each for each in told if each.stands_out), told[0])
        value, usual = how[first.name][2](first)
        features_ = tuple(names[number] for number in members[subject])
        return Reason(subject, features_, value, usual, contribution, share)

    return [
        [
            reason(row, table.columns[n], float(added[row, n]), round(float(shares[row, n]), 4))
            for n in strongest[row]
            if shares[row, n] > 0
        ]
        for row in range(len(inputs))
    ]


def _names(encoder: Encoder) -> list[str]:
    return [*encoder.numeric_, *encoder.categories_]


def _members(encoder: Encoder, words: Sequence[Words]) -> dict[str, list[int]]:
    """The numbers of the features of each subject."""
    members: dict[str, list[int]] = {}
    for number, name in enumerate(_names(encoder)):
        members.setdefault(subject_of(name, words)[0], []).append(number)
    return members


def _distance(inputs: np.ndarray, encoder: Encoder) -> np.ndarray:
    """How far each feature is from a usual row: (n, n_features)."""
    groups = np.asarray(encoder.input_groups())
    away = np.abs(inputs - encoder.usual_inputs())
    return np.column_stack(
        [away[:, groups == number].max(axis=1) for number in range(groups.max() + 1)]
    )


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
    `reasons` does. Of equal scores, the earlier row comes first.
    """
    rows = np.argsort(-scored["score"].to_numpy(), kind="stable")[:top]
    shown = scored.iloc[rows]
    customers = shown["customer_id"].tolist() if "customer_id" in shown else [None] * len(rows)
    return [
        {
            "transaction_id": transaction,
            "customer_id": customer,
            "timestamp": time.isoformat(),
            "amount": float(amount),
            "is_fraud": int(is_fraud),
            "score": float(score),
            "reasons": [asdict(reason) for reason in found],
        }
        for transaction, customer, time, amount, is_fraud, score, found in zip(
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
