"""How a transaction departs from what its customer and its terminal did before."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fraud_ae.features.baseline import Baseline, with_baseline_columns
from fraud_ae.features.history import History
from fraud_ae.features.windows import delayed_rates, earlier_amounts, trailing_amounts
from fraud_ae.side_by_side import side_by_side

_LOGGER = logging.getLogger("fraud_ae")

FIRST_USES = {
    "device": "new_device",
    "shipping_address": "new_shipping_address",
    "ip_address": "new_ip_address",
    "terminal_id": "new_terminal",
}


class Behavioural(Baseline):
    """The baseline, and windows, deviation from earlier amounts, and first uses.

    `windows_days`: lengths of the windows. A customer's end with the transaction, a terminal's
    `label_delay_days` before it; deviations are measured against the longest.

    Labels are read for the terminals' fraud rates alone, when features are made: those in
    `is_fraud` of transactions at least `label_delay_days` old, never those of the row itself or
    of its instant. They may be missing (NaN) in some rows; without `is_fraud` the rates are NaN.
    The windows are those of the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.5.
    """

    family_columns = ("customer_id", "quantity", *FIRST_USES, "timestamp", "is_fraud")
    columns = with_baseline_columns(family_columns)

    def __init__(
        self, windows_days: Sequence[float] = (1, 7, 30), label_delay_days: float = 7.0
    ) -> None:
        self.windows_days = windows_days
        self.label_delay_days = label_delay_days

    @property
    def history(self) -> History:
        """The windows of customers, those of terminals with the delay, and all first uses."""
        longest = float(max(self.windows_days))
        return History(longest, longest + self.label_delay_days, False, tuple(FIRST_USES))

    def family_features(self, df: pd.DataFrame) -> dict[str, np.ndarray]:
        """customer_count_7d, terminal_delayed_fraud_rate_7d, amount_z_customer_30d, ..."""
        amount = df["amount"].to_numpy(dtype=np.float64)
        families = []
        if "customer_id" in df:
            families.append(lambda: self._customer_features(df, amount))
        if "terminal_id" in df:
            families.append(lambda: self._terminal_features(df, amount))
        if "quantity" in df:
            families.append(lambda: _amount_per_item(df, amount))
        if "customer_id" in df:
            families.append(lambda: _first_uses(df))
        return {name: v for family in side_by_side(*families) for name, v in family.items()}

    def _customer_features(self, df: pd.DataFrame, amount: np.ndarray) -> dict[str, np.ndarray]:
        trailing = trailing_amounts(df, "customer_id", self.windows_days)
        longest = max(self.windows_days)
        earlier = earlier_amounts(df, "customer_id", longest)
        return {
            **{f"customer_{name}": values for name, values in trailing.items()},
            f"amount_z_customer_{longest:g}d": _ratio(amount - earlier["mean"], earlier["std"]),
            f"amount_to_customer_mean_{longest:g}d": _ratio(amount, earlier["mean"]),
        }

    def _terminal_features(self, df: pd.DataFrame, amount: np.ndarray) -> dict[str, np.ndarray]:
        delayed = delayed_rates(df, "terminal_id", self.windows_days, self.label_delay_days)
        features = {f"terminal_{name}": values for name, values in delayed.items()}
        if "is_fraud" not in df and df["terminal_id"].notna().any():
            _warn_of_unknown_rates([name for name in features if "fraud_rate" in name])
        longest = max(self.windows_days)
        earlier = earlier_amounts(df, "terminal_id", longest)
        features[f"amount_to_terminal_mean_{longest:g}d"] = _ratio(amount, earlier["mean"])
        return features


def _amount_per_item(df: pd.DataFrame, amount: np.ndarray) -> dict[str, np.ndarray]:
    return {"amount_per_item": _ratio(amount, df["quantity"].to_numpy(dtype=np.float64))}


def _warn_of_unknown_rates(names: list[str]) -> None:
    _LOGGER.warning(
        "%s are unknown: these transactions have no is_fraud; add the older transactions of the "
        "same terminals, with the labels that are known by now in is_fraud",
        ", ".join(names),
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is missing, zero or negative."""
    ratio = np.full(len(numerator), np.nan)
    return np.divide(numerator, denominator, out=ratio, where=denominator > 0)


def _first_uses(df: pd.DataFrame) -> dict[str, np.ndarray]:
    """1.0 where a customer with earlier transactions has none with this value, else 0.0."""
    customer, _ = pd.factorize(df["customer_id"])
    returning = pd.Series(customer).duplicated().to_numpy()
    features = {}
    for column, name in FIRST_USES.items():
        if column not in df:
            continue
        value, distinct = pd.factorize(df[column])
        # A missing value is -1: one more step keeps it apart from the customer before.
        pair = customer.astype(np.int64) * (len(distinct) + 1) + value
        first = ~pd.Series(pair).duplicated().to_numpy()
        known = (customer >= 0) & (value >= 0)
        features[name] = np.where(known, (returning & first).astype(np.float64), np.nan)
    return features
