"""When a customer pays, and how long after the payment before."""

import numpy as np
import pandas as pd
import polars as pl

from fraud_ae.features.baseline import Baseline, with_baseline_columns
from fraud_ae.features.event_time import DAY_US, microseconds
from fraud_ae.features.history import History

HOUR_US = DAY_US // 24
LAST_NIGHT_HOUR = 6
SATURDAY = 5
WEEKDAY_OF_EPOCH = 3  # 1970-01-01 was a Thursday.


class Temporal(Baseline):
    """The baseline, and hour, weekday, night, weekend, and time since the last transaction.

    Night (hour <= 6) and weekend are those of the Fraud Detection Handbook (Le Borgne et al.,
    2022), chapter 3.5; hours are UTC.
    """

    family_columns = ("timestamp", "customer_id")
    columns = with_baseline_columns(family_columns)
    history = History(previous=True)

    def family_features(self, df: pd.DataFrame) -> dict[str, np.ndarray]:
        """hour and weekday as cycles, night, weekend, log_seconds_since_previous."""
        us = microseconds(df["timestamp"])
        hour = us % DAY_US / HOUR_US
        weekday = (us // DAY_US + WEEKDAY_OF_EPOCH) % 7
        features = {
            "hour_sin": np.sin(2 * np.pi * hour / 24),
            "hour_cos": np.cos(2 * np.pi * hour / 24),
            "weekday_sin": np.sin(2 * np.pi * weekday / 7),
            "weekday_cos": np.cos(2 * np.pi * weekday / 7),
            "night": (np.floor(hour) <= LAST_NIGHT_HOUR).astype(np.float64),
            "weekend": (weekday >= SATURDAY).astype(np.float64),
        }
        if "customer_id" in df:
            seconds = _seconds_since_previous(us, df["customer_id"])
            features["log_seconds_since_previous"] = np.log1p(seconds)
        return features


def _seconds_since_previous(us: np.ndarray, customer: pd.Series) -> np.ndarray:
    frame = pl.DataFrame({"us": us, "customer": pd.factorize(customer)[0]})
    gap = frame.select(pl.col("us").diff().over("customer"))["us"].cast(pl.Float64)
    seconds = gap.fill_null(np.nan).to_numpy() / 1e6
    return np.where(customer.isna(), np.nan, seconds)
