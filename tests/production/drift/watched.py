"""A model for production with its reference, checked against drawn or shifted transactions."""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from fraud_ae.data.simulation.synthetic import generate_transactions, simulate
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.production.drift.check import check_period
from fraud_ae.production.drift.period import Period
from fraud_ae.production.drift.reference import load_reference

_SIMULATED = inspect.signature(simulate).parameters


class Watched:
    """A model with its reference, and the data that it was made of."""

    def __init__(self, folder: Path) -> None:
        self.detector, self.reference = FraudDetector.load(folder), load_reference(folder)
        info = yaml.safe_load((folder / MODEL_INFO).read_text())
        settings = info["configuration"]["data"]
        self.settings = {k: v for k, v in settings.items() if k in _SIMULATED}
        self.transactions = generate_transactions(**self.settings)
        parts = info["data"]["split"]
        times = self.transactions["timestamp"]
        self.parts = {
            name: self.transactions[
                (times >= pd.Timestamp(part["start"])) & (times < pd.Timestamp(part["end"]))
            ]
            for name, part in parts.items()
        }

    def fresh(self, seed: int) -> pd.DataFrame:
        """Transactions of another marketplace of the same kind."""
        return generate_transactions(**{**self.settings, "seed": seed})

    def check(self, file: pd.DataFrame, history: pd.DataFrame | None = None) -> dict:
        """What a check finds."""
        source, columns = self.detector.source_format, self.reference["columns"]
        period = Period.of(file, source, columns, history=history)
        return check_period(self.detector, self.reference, period)


def shift(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frame with one column shifted by half of its standard deviation."""
    if column == "log_amount":
        logs = np.log1p(frame["amount"])
        return frame.assign(amount=np.expm1(logs + 0.5 * logs.std()))
    return frame.assign(**{column: frame[column] + 0.5 * frame[column].std()})
