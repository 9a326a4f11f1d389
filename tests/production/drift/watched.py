"""A model for production with its reference, checked against drawn or shifted transactions."""

from pathlib import Path

import numpy as np
import pandas as pd

from fraud_ae.data.simulation.synthetic import generate_transactions
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.production.drift.check import check_period
from fraud_ae.production.drift.period import Period
from fraud_ae.production.drift.reference import load_reference

SIMULATED = {"n_transactions": 6_000, "days": 90, "fraud_ratio": 0.06}


class Watched:
    """A model with its reference, the rows of its test period, and all earlier ones."""

    def __init__(self, folder: Path, test_start: str) -> None:
        self.detector, self.reference = FraudDetector.load(folder), load_reference(folder)
        transactions = generate_transactions(**SIMULATED)
        is_newest = transactions["timestamp"] >= pd.Timestamp(test_start)
        self.newest, self.earlier = transactions[is_newest], transactions[~is_newest]

    def check(self, file: pd.DataFrame, history: pd.DataFrame | None = None) -> dict:
        """The result of a check."""
        source, columns = self.detector.source_format, self.reference["columns"]
        period = Period.of(file, source, columns, history=history)
        return check_period(self.detector, self.reference, period)


def shift(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frame with one column shifted by half of its standard deviation."""
    if column == "log_amount":
        logs = np.log1p(frame["amount"])
        return frame.assign(amount=np.expm1(logs + 0.5 * logs.std()))
    return frame.assign(**{column: frame[column] + 0.5 * frame[column].std()})
