"""How a transaction departs from what its customer and its terminal did before."""

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fraud_ae.features.descriptions import (
    DAY,
    DescribedFeature,
    FeatureDescription,
    about,
    duration,
    flag,
    money,
    number,
    ordinal,
    percent,
    plain,
    times,
    window,
)
from fraud_ae.features.event_time import microseconds
from fraud_ae.features.history import History
from fraud_ae.features.strategies.baseline import (
    AMOUNT,
    Baseline,
    amount_text,
    describe_amount,
    with_baseline_columns,
)
from fraud_ae.features.strategies.temporal import PACE, burst_text
from fraud_ae.features.strategy import as_floats
from fraud_ae.features.windows import (
    amounts,
    delayed_rates,
    is_first_use,
    key_codes,
    longest_window,
)
from fraud_ae.runtime.threads import side_by_side

_LOGGER = logging.getLogger("fraud_ae")

# Column -> the feature of its first use by a customer, and the word for it.
FIRST_USES = {
    "device": ("new_device", "device"),
    "shipping_address": ("new_shipping_address", "shipping address"),
    "ip_address": ("new_ip_address", "IP address"),
    "terminal_id": ("new_terminal", "merchant"),
}
_WHO = {"customer": "customer", "terminal": "merchant"}
# The length of a window in days, as a feature's name has it.
_DAYS = r"([\d.e+-]+)d"


class Behavioural(Baseline):
    """The baseline, and windows, deviation from earlier amounts, and first uses.

    `windows_days`: lengths of the windows. A customer's end with the transaction, a terminal's
    `label_delay_days` before it; deviations are measured against the longest.

    Labels are read for the terminals' fraud rates alone, when features are made: those in
    `is_fraud` of transactions at least `label_delay_days` old, never those of the row itself or
    of its instant. They may be missing (NaN) in some rows; without `is_fraud` the rates are NaN,
    and fitted without any label there are none.
    The windows are those of the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.5.
    """

    family_columns = ("customer_id", "quantity", *FIRST_USES, "timestamp", "is_fraud")
    columns = with_baseline_columns(family_columns)
    needs_time = True
    fit_columns = (*Baseline.fit_columns, "is_fraud")
    terminal_features = "terminal_.*|amount_to_terminal_.*"

    def __init__(
        self, windows_days: Sequence[float] = (1, 7, 30), label_delay_days: float = 7.0
    ) -> None:
        self.windows_days = windows_days
        self.label_delay_days = label_delay_days

    @property
    def descriptions(self) -> tuple[FeatureDescription, ...]:
        """How the features are described to a reviewer, see `FeatureDescription`."""
        return (
            *super().descriptions,
            FeatureDescription(f"customer_count_{_DAYS}", PACE, _count),
            FeatureDescription(f"customer_mean_amount_{_DAYS}", AMOUNT, _mean_amount),
            FeatureDescription(
                f"amount_(?:z|to)_(customer|terminal)(?:_mean)?_{_DAYS}", AMOUNT, _to_average
            ),
            FeatureDescription("amount_per_item", AMOUNT, _per_item),
            FeatureDescription(
                f"terminal_delayed_fraud_rate_{_DAYS}", "fraud at merchant", self._fraud_rate
            ),
            FeatureDescription(f"terminal_delayed_count_{_DAYS}", "sales of merchant", self._sales),
            *(
                FeatureDescription(name, f"new {word}", flag(f"new {word}", f"known {word}"))
                for name, word in FIRST_USES.values()
            ),
        )

    def _fraud_rate(self, feature: DescribedFeature) -> tuple[str, str]:
        if feature.is_missing:
            return "fraud at this merchant unknown", "usually known"
        value = f"{feature.shown(percent)} fraud at this merchant in {self._until(feature)}"
        return value, feature.range(percent)

    def _sales(self, feature: DescribedFeature) -> tuple[str, str]:
        if feature.is_missing:
            return "merchant unknown", "usually known"
        noun = "sale" if feature.value == 1 else "sales"
        value = f"{feature.shown(number)} {noun} of this merchant in {self._until(feature)}"
        return value, feature.range(number)

    def _until(self, feature: DescribedFeature) -> str:
        days, delay = window(feature.parts[0]), duration(self.label_delay_days * DAY)
        return f"{days} (up to {delay} ago)" if self.label_delay_days else days

    @property
    def history(self) -> History:
        """The windows of customers, those of terminals with the delay, and all first uses."""
        longest = float(longest_window(self.windows_days))
        return History(longest, longest + self.label_delay_days, False, tuple(FIRST_USES))

    def fit_family(self, df: pd.DataFrame) -> None:
        """Learn whether there are labels, without which there are no fraud rates."""
        self.has_labels_ = "is_fraud" in df

    def family_features(self, df: pd.DataFrame) -> dict[str, np.ndarray]:
        """customer_count_7d, terminal_delayed_fraud_rate_7d, amount_z_customer_30d, ..."""
        keys = [name for name in ("customer_id", *FIRST_USES) if name in df]
        coded = side_by_side(*(partial(key_codes, df[name]) for name in keys), rows=len(df))
        codes = dict(zip(keys, coded, strict=True))
        families = []
        if "customer_id" in df:
            families.append(lambda: self._customer_features(df, codes["customer_id"]))
        if "terminal_id" in df:
            families.append(lambda: self._terminal_features(df, codes["terminal_id"]))
        if "quantity" in df and "amount" in df:
            families.append(lambda: {"amount_per_item": _ratio(df["amount"], df["quantity"])})
        if "customer_id" in df:
            families.append(lambda: _first_uses(microseconds(df["timestamp"]), codes))
        computed = side_by_side(*families, rows=len(df))
        return {name: values for family in computed for name, values in family.items()}

    def _customer_features(self, df: pd.DataFrame, customer: np.ndarray) -> dict[str, np.ndarray]:
        days = longest_window(self.windows_days)
        longest = f"{days:g}d"
        statistics = amounts(df, customer, self.windows_days, [days])
        mean = statistics.pop(f"earlier_mean_{longest}")
        std = statistics.pop(f"earlier_std_{longest}")
        features = {f"customer_{name}": values for name, values in statistics.items()}
        if "amount" in df:
            amount = as_floats(df["amount"])
            features[f"amount_z_customer_{longest}"] = _ratio(amount - mean, std)
            features[f"amount_to_customer_mean_{longest}"] = _ratio(amount, mean)
        return features

    def _terminal_features(self, df: pd.DataFrame, terminal: np.ndarray) -> dict[str, np.ndarray]:
        delayed = delayed_rates(df, terminal, self.windows_days, self.label_delay_days)
        features = {
            f"terminal_{name}": values
            for name, values in delayed.items()
            if self.has_labels_ or "fraud_rate" not in name
        }
        if self.has_labels_ and "is_fraud" not in df and (terminal >= 0).any():
            _LOGGER.warning(
                "%s are unknown: these transactions have no is_fraud; add the older transactions "
                "of the same terminals, with the labels that are known by now in is_fraud",
                ", ".join(name for name in features if "fraud_rate" in name),
            )
        if "amount" in df:
            days = longest_window(self.windows_days)
            mean = amounts(df, terminal, earlier_days=[days])[f"earlier_mean_{days:g}d"]
            features[f"amount_to_terminal_mean_{days:g}d"] = _ratio(df["amount"], mean)
        return features


def _count(feature: DescribedFeature) -> tuple[str, str]:
    if feature.is_missing:
        return plain(feature)
    burst = feature.past.burst() if feature.past else None
    usual, days = feature.range(number), window(feature.parts[0])
    if burst:
        return burst_text(burst), f"{usual} within {days}"
    return f"{feature.shown(ordinal)} purchase within {days}", usual


def _breaks_habit(feature: DescribedFeature) -> bool:
    """Whether the amount is beyond what this customer usually pays, which says all there is."""
    customer_usual = feature.past.usual_amounts() if feature.past else None
    return (
        customer_usual is not None
        and not customer_usual[0] <= feature.past.amount <= customer_usual[1]
    )


def _mean_amount(feature: DescribedFeature) -> tuple[str, str]:
    if feature.is_missing or _breaks_habit(feature):
        return describe_amount(feature)
    average = f"this customer's average of {window(feature.parts[0])} is {feature.shown(money)}"
    return f"{amount_text(feature)}, {average}", feature.range(about)


def _to_average(feature: DescribedFeature) -> tuple[str, str]:
    who, days = feature.parts
    name = f"amount_to_{who}_mean_{days}d"
    ratio = feature.values.get(name, float("nan"))
    if ratio != ratio or _breaks_habit(feature):
        return describe_amount(feature)
    average = f"this {_WHO[who]}'s average of {window(days)}"
    value = f"{amount_text(feature)}, {feature.shown(times, name)} {average}"
    return value, feature.range(about, "amount")


def _per_item(feature: DescribedFeature) -> tuple[str, str]:
    if feature.is_missing or feature.values.get("quantity") == 1 or _breaks_habit(feature):
        return describe_amount(feature)
    return f"{amount_text(feature)}, {feature.shown(money)} per item", feature.range(about)


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """NaN where the denominator is missing, zero or negative; infinite beyond all numbers."""
    above, below = (np.asarray(values, dtype=np.float64) for values in (numerator, denominator))
    with np.errstate(over="ignore"):
        return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def _first_uses(us: np.ndarray, codes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """1.0 where a customer with earlier transactions has none with this value, else 0.0."""
    customer = codes["customer_id"]
    is_returning = ~is_first_use(us, customer)
    features = {}
    for column, (name, _) in FIRST_USES.items():
        if column not in codes:
            continue
        value = codes[column]
        # A missing value is -1: one more step keeps it apart from the customer before.
        pair = customer.astype(np.int64) * (int(value.max(initial=-1)) + 2) + value
        is_new = is_returning & is_first_use(us, key_codes(pd.Series(pair)))
        known = (customer >= 0) & (value >= 0)
        features[name] = np.where(known, is_new.astype(np.float64), np.nan)
    return features
