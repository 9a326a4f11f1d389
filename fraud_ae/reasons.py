"""Why a transaction scores high: the features that add most to its score, in words and figures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from fraud_ae.features.encoder import MISSING, UNSEEN, Encoder
from fraud_ae.scorers.scorer import Scorer
from fraud_ae.scorers.signals import Signals

# So many of a run's highest scores are explained.
_EXPLAINED = 25


@dataclass(frozen=True)
class Reason:
    """One feature of one transaction. value, usual: as text.

    share: of all that makes the score higher than usual, from 0 to 1.
    """

    feature: str
    value: str
    usual: str
    share: float

    def __str__(self) -> str:
        return f"{self.feature} {self.value} ({self.usual})"


def reasons(signals: Signals, encoder: Encoder, scorer: Scorer, top: int = 3) -> list[list[Reason]]:
    """For each of n transactions, at most `top` features that raise its score, the strongest first.

    One-hot parts of a category are one feature. What belongs to no single feature, such as the
    latent code, is part of the whole that shares are shares of, and is no reason.
    """
    raises = np.maximum(scorer.contributions(signals), 0)
    total = raises.sum(axis=1, keepdims=True)
    shares = np.divide(raises, total, out=np.zeros_like(raises), where=total > 0)[:, :-1]
    strongest = np.argsort(-shares, axis=1, kind="stable")[:, :top]
    values = encoder.values(signals.inputs)

    def reason(row: int, number: int) -> Reason:
        feature, value = values.columns[number], values.iat[row, number]
        usual = encoder.usual_[feature]
        if isinstance(value, str):
            shown, told = _category(value, usual)
        else:
            # Numbers are the first inputs, one each.
            shown = _beyond(signals.inputs[row, number], encoder.clip) + _number(value)
            told = _share(usual, shown) if isinstance(usual, dict) else _range(usual)
        return Reason(feature, shown, told, round(float(shares[row, number]), 4))

    return [
        [reason(row, number) for number in strongest[row] if shares[row, number] > 0]
        for row in range(len(signals))
    ]


def _beyond(scaled: float, clip: float | None) -> str:
    """What to say before a number that the encoder has cut off."""
    if clip is None or abs(scaled) < clip:
        return ""
    return "at least " if scaled > 0 else "at most "


def _category(value: str, shares: dict[str, float]) -> tuple[str, str]:
    if value == MISSING:
        return "missing", "usually there"
    if value == UNSEEN:
        return "rare or new", "usually " + ", ".join(sorted(shares, key=shares.get)[:-4:-1])
    return value, _share(shares, value)


def _share(shares: dict[str, float], value: str) -> str:
    """How many transactions have a value; one that training never saw has none."""
    return f"in {shares.get(value, 0.0):.1%} of transactions"


def _range(usual: Sequence[float] | None) -> str:
    if usual is None:
        return "usually missing"
    low, high = map(_number, usual)
    return f"usually {low}" if low == high else f"usually {low} to {high}"


def _number(value: float) -> str:
    if np.isnan(value):
        return "missing"
    # Encoded numbers have the digits of a float32, of which the last mean nothing.
    value = float(f"{round(value, 6) + 0.0:.6g}")
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


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
