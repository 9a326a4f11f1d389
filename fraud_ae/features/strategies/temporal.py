"""When a customer pays, and how long after the payment before."""

import numpy as np
import pandas as pd

from fraud_ae.features.customer_history import usual_hours
from fraud_ae.features.descriptions import (
    DescribedFeature,
    FeatureDescription,
    clock,
    duration,
    ordinal,
    percent,
    usually,
    within,
)
from fraud_ae.features.event_time import DAY_US, microseconds
from fraud_ae.features.history import History
from fraud_ae.features.strategies.baseline import Baseline, with_baseline_columns
from fraud_ae.features.windows import key_codes, seconds_since_previous

HOUR_US = DAY_US // 24
LAST_NIGHT_HOUR = 6
SATURDAY = 5
WEEKDAY_OF_EPOCH = 3  # 1970-01-01 was a Thursday.
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

PACE = "pace of purchases"


class Temporal(Baseline):
    """The baseline, and hour, weekday, night, weekend, and time since the last transaction.

    Night (hour <= 6) and weekend are those of the Fraud Detection Handbook (Le Borgne et al.,
    2022), chapter 3.5; hours are UTC.
    """

    family_columns = ("timestamp", "customer_id")
    columns = with_baseline_columns(family_columns)
    needs_time = True
    history = History(previous=True)

    def fit_family(self, df: pd.DataFrame) -> None:
        """Learn the hours at which most pay, for descriptions; no feature is made of them."""
        self.usual_hours_ = usual_hours(microseconds(df["timestamp"])) if len(df) else None

    @property
    def descriptions(self) -> tuple[FeatureDescription, ...]:
        """How the features are described to a reviewer, see `FeatureDescription`."""
        return (
            *super().descriptions,
            FeatureDescription("hour_(?:sin|cos)|night", "time of day", self._time_of_day),
            FeatureDescription("weekday_(?:sin|cos)|weekend", "weekday", _weekday),
            FeatureDescription("log_seconds_since_previous", PACE, _gap),
        )

    def _time_of_day(self, feature: DescribedFeature) -> tuple[str, str]:
        if feature.past:
            time = feature.past.time
            hour, text = time.hour + time.minute / 60, f"{time:%H:%M}"
        else:
            hour = _on_circle(feature, "hour", 24)
            minutes = round(hour * 60) % (24 * 60)
            text = f"{minutes // 60:02d}:{minutes % 60:02d}"
        customer_usual = feature.past.usual_hours() if feature.past else None
        if customer_usual is not None and not within(hour, customer_usual):
            return f"at {text} UTC", f"{usually(customer_usual, clock)} for this customer"
        # A class of one's own that fits something else has not learned any.
        general = getattr(self, "usual_hours_", None)
        return f"at {text} UTC", usually(general, clock) if general else ""

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
            seconds = seconds_since_previous(us, key_codes(df["customer_id"]))
            features["log_seconds_since_previous"] = np.log1p(seconds)
        return features


def _on_circle(feature: DescribedFeature, name: str, period: int) -> float:
    """The number from 0 to the period whose sine and cosine are features."""
    sine, cosine = (float(feature.values[f"{name}_{part}"]) for part in ("sin", "cos"))
    return float(np.arctan2(sine, cosine) / (2 * np.pi) * period % period)


def _weekday(feature: DescribedFeature) -> tuple[str, str]:
    if feature.past:
        day = feature.past.time.weekday()
    else:
        day = round(_on_circle(feature, "weekday", 7)) % 7
    usual = feature.usual["weekend"]
    if not isinstance(usual, dict):
        return f"on a {DAYS[day]}", ""
    days, key = ("weekends", "1") if day >= SATURDAY else ("weekdays", "0")
    return f"on a {DAYS[day]}", f"{days} have {percent(usual[key])} of transactions"


def _gap(feature: DescribedFeature) -> tuple[str, str]:
    if feature.is_missing:
        return "no earlier purchase of this customer is known", ""
    usual = usual_gaps(feature)
    burst = feature.past.burst() if feature.past else None
    if burst:
        return burst_text(burst), usual
    return f"{feature.shown(_seconds)} after the previous purchase", usual


def burst_text(burst: tuple[int, int]) -> str:
    """Many purchases in a short time: the number, in how many seconds."""
    return f"{ordinal(burst[0])} purchase within {duration(burst[1])}"


def usual_gaps(feature: DescribedFeature) -> str:
    """How far apart the purchases of this customer, or of all, are."""
    customer_usual = feature.past.usual_gaps() if feature.past else None
    if customer_usual is not None:
        return f"{usually(customer_usual, duration)} apart for this customer"
    return f"{feature.range(_seconds, 'log_seconds_since_previous')} apart"


def _seconds(log_seconds: float) -> str:
    return duration(float(np.expm1(log_seconds)))
