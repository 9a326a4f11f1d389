"""Why a transaction scores high: what adds most to its score, in the words of a reviewer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from fraud_ae.features.encoder import Encoder
from fraud_ae.features.past import Past
from fraud_ae.features.wording import Told, Words, subject_of
from fraud_ae.scorers.scorer import Scorer
from fraud_ae.scorers.signals import Signals

# So many of a run's highest scores are explained.
_EXPLAINED = 25

# What belongs to no subject, such as the latent code.
REST = "rest"


@dataclass(frozen=True)
class Reason:
    """What one subject adds to the score of one transaction.

    subject: what it is about, such as "amount". features: all features that tell of it. value: in
    words, such as "amount 812.40". usual: what is usual, in words; may be empty. contribution: of
    all its features together, in the unit of the scorer, see `Scorer.contributions`. share: of all
    that makes the score higher than usual, from 0 to 1.
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


def by_subject(contributions: np.ndarray, names: Sequence[str], words: Sequence[Words]):
    """Contributions of features that tell of the same thing, added up.

    contributions: (n, n_features + 1), see `Scorer.contributions`. names: of the features. words:
    see `subject_of`. Returns a frame (n, n_subjects + 1): a column for each subject, in the order
    of its first feature, and REST; the rows add up to what they did.
    """
    subjects = [subject_of(name, words)[0] for name in names]
    return pd.DataFrame(
        {
            subject: contributions[:, numbers].sum(axis=1)
            for subject, numbers in (*_members(subjects).items(), (REST, [len(names)]))
        }
    )


def reasons(
    signals: Signals,
    encoder: Encoder,
    scorer: Scorer,
    top: int = 3,
    words: Sequence[Words] = (),
    features: pd.DataFrame | None = None,
    past: Sequence[Past] | None = None,
) -> list[list[Reason]]:
    """For each of n transactions, at most `top` subjects that raise its score, the strongest first.

    words: how features are told, see `words_of`. features: (n, n_features), as they were encoded;
    without them values are decoded. past: of each transaction, so that it can be told what is usual
    for its customer. What belongs to no single feature, such as the latent code, is part of the
    whole that shares are shares of, and is no reason.
    """
    names = [*encoder.numeric_, *encoder.categories_]
    contributions = scorer.contributions(signals)
    table = by_subject(contributions, names, words)
    added = table.to_numpy()
    raises = np.maximum(added, 0)
    total = raises.sum(axis=1, keepdims=True)
    shares = np.divide(raises, total, out=np.zeros_like(raises), where=total > 0)[:, :-1]
    strongest = np.argsort(-shares, axis=1, kind="stable")[:, :top]
    how = {name: subject_of(name, words) for name in names}
    members = _members([how[name][0] for name in names])
    shown = encoder.values(signals.inputs) if features is None else features
    columns = {name: shown[name].to_numpy() for name in names}
    clipped = _clipped(signals.inputs, encoder) if features is None else {}

    def reason(row: int, number: int) -> Reason:
        subject = table.columns[number]
        values = {name: column[row] for name, column in columns.items()}
        bounds = {name: column[row] for name, column in clipped.items()}
        own = [names[member] for member in members[subject]]
        candidates = [
            Told(name, how[name][1], values, encoder.usual_, past and past[row], bounds)
            for name in sorted(own, key=lambda name: -contributions[row, names.index(name)])
            if contributions[row, names.index(name)] > 0
        ]
        # A network expects one value because of another: what is unusual itself says more.
        told = next((each for each in candidates if each.stands_out), candidates[0])
        value, usual = how[told.name][2](told)
        share = round(float(shares[row, number]), 4)
        return Reason(subject, tuple(own), value, usual, float(added[row, number]), share)

    return [
        [reason(row, number) for number in strongest[row] if shares[row, number] > 0]
        for row in range(len(signals))
    ]


def _members(subjects: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the features of each subject."""
    members: dict[str, list[int]] = {}
    for number, subject in enumerate(subjects):
        members.setdefault(subject, []).append(number)
    return members


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
