"""How a transaction departs from what its customer and its terminal did before."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fraud_ae.features.baseline import Baseline, with_baseline_columns
from fraud_ae.features.windows import trailing_amounts

FIRST_USES = {
    "device": "new_device",
    "shipping_address": "new_shipping_address",
    "ip_address": "new_ip_address",
    "terminal_id": "new_terminal",
}


class Behavioural(Baseline):
    """The baseline, and trailing windows, deviation from earlier amounts, and first uses.

    `windows_days`: lengths of the trailing windows; deviations are measured against the longest.
    After the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.5, whose terminal risk
    is left out: it needs labels.
    """

    family_columns = ("customer_id", "quantity", *FIRST_USES)
    columns = with_baseline_columns(family_columns)

    def __init__(self, windows_days: Sequence[float] = (1, 7, 30)) -> None:
        self.windows_days = windows_days

    def family_features(self, df: pd.DataFrame) -> dict[str, np.ndarray]:
        """customer_count_7d, terminal_mean_amount_30d, amount_z_customer_30d, new_device, ..."""
        amount = df["amount"].to_numpy(dtype=np.float64)
        features = {}
        if "customer_id" in df:
            features |= self._window_features(df, "customer_id", "customer")
        if "terminal_id" in df:
            features |= self._window_features(df, "terminal_id", "terminal")
        if "quantity" in df:
            features["amount_per_item"] = _ratio(amount, df["quantity"].to_numpy(dtype=np.float64))
        if "customer_id" in df:
            features |= _first_uses(df)
        return features

    def _window_features(self, df: pd.DataFrame, key: str, prefix: str) -> dict[str, np.ndarray]:
        amount = df["amount"].to_numpy(dtype=np.float64)
        trailing = trailing_amounts(df, key, self.windows_days)
        longest = f"{max(self.windows_days):g}d"
        mean, std = trailing.pop("earlier_mean"), trailing.pop("earlier_std")
        features = {f"{prefix}_{name}": values for name, values in trailing.items()}
        if prefix == "customer":
            features[f"amount_z_customer_{longest}"] = _ratio(amount - mean, std)
        features[f"amount_to_{prefix}_mean_{longest}"] = _ratio(amount, mean)
        return features


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
