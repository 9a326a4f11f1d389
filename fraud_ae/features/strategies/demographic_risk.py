"""Who pays, from where, and how often such transactions turned out to be fraud."""

from functools import cached_property

import numpy as np
import pandas as pd

from fraud_ae.features.descriptions import (
    DescribedFeature,
    FeatureDescription,
    flag,
    percent,
    readable,
)
from fraud_ae.features.known_rates import KnownCounts, count_by_day, known_rates
from fraud_ae.features.strategies.baseline import (
    ACCOUNT_AGE,
    CUSTOMER_AGE,
    Baseline,
    describe_account_age,
    describe_customer_age,
    with_baseline_columns,
)
from fraud_ae.features.strategy import as_floats

AGE_EDGES = (0, 25, 35, 45, 55, 65, np.inf)
AGE_BANDS = ("<25", "25-34", "35-44", "45-54", "55-64", "65+")
NEW_ACCOUNT_DAYS = 30
RISK_COLUMNS = ("customer_location", "payment_method", "product_category")


class DemographicRisk(Baseline):
    """The baseline, and age band, account age, address mismatch, and learned fraud rates.

    `label_delay_days`: how long after a transaction its label is known; a rate counts nothing
    younger. `smoothing`: the number of transactions that the overall rate weighs in each rate.
    The delay follows the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.5.
    """

    family_columns = (
        "customer_age",
        "account_age_days",
        "shipping_address",
        "billing_address",
        *RISK_COLUMNS,
    )
    columns = with_baseline_columns(family_columns)
    fit_columns = (*Baseline.fit_columns, "is_fraud", "customer_age", *RISK_COLUMNS)

    def __init__(self, label_delay_days: float = 7.0, smoothing: float = 20.0) -> None:
        self.label_delay_days = label_delay_days
        self.smoothing = smoothing

    @property
    def descriptions(self) -> tuple[FeatureDescription, ...]:
        """How the features are described to a reviewer, see `FeatureDescription`."""
        mismatch = flag(
            "shipping address differs from billing address",
            "shipping address is billing address",
        )
        return (
            *super().descriptions,
            FeatureDescription("log_account_age|new_account", ACCOUNT_AGE, describe_account_age),
            FeatureDescription("age_band", CUSTOMER_AGE, describe_customer_age),
            FeatureDescription("address_mismatch", "address mismatch", mismatch),
            FeatureDescription("risk_of_(.+)", r"fraud by \1", _risk),
        )

    def fit_family(self, df: pd.DataFrame) -> None:
        """Learn the frauds of each value by day; nothing if df has no `is_fraud`."""
        self.risk_counts_, self.overall_counts_ = {}, None
        vars(self).pop("_known_risks", None)
        if "is_fraud" not in df:
            return
        df = df[df["is_fraud"].notna()]
        self.overall_counts_ = count_by_day(df["timestamp"], is_fraud=df["is_fraud"])
        self.risk_counts_ = {
            name: count_by_day(df["timestamp"], values, df["is_fraud"])
            for name, values in _risk_values(df).items()
        }

    def family_features(self, df: pd.DataFrame) -> dict[str, np.ndarray | pd.Series]:
        """age_band, log_account_age, new_account, address_mismatch, risk_of_..."""
        features, risk_values = {}, _risk_values(df)
        if "age_band" in risk_values:
            features["age_band"] = risk_values["age_band"]
        if "account_age_days" in df:
            days = as_floats(df["account_age_days"])
            features["log_account_age"] = np.log1p(np.where(days < 0, 0.0, days))
            features["new_account"] = np.where(np.isnan(days), np.nan, days < NEW_ACCOUNT_DAYS)
        if "shipping_address" in df and "billing_address" in df:
            features["address_mismatch"] = _mismatch(df["shipping_address"], df["billing_address"])
        if self.risk_counts_:
            arguments = (df["timestamp"], risk_values, self.label_delay_days, self.smoothing)
            rates = known_rates(*self._known_risks, *arguments)
            features |= {f"risk_of_{name}": rate for name, rate in rates.items()}
        return features

    @cached_property
    def _known_risks(self) -> tuple[dict[str, KnownCounts], KnownCounts]:
        counts = {name: KnownCounts(table) for name, table in self.risk_counts_.items()}
        return counts, KnownCounts(self.overall_counts_)


def age_band(age: pd.Series) -> pd.Series:
    """The age in years as one of AGE_BANDS (str); NaN for an unknown or a negative age."""
    bands = np.searchsorted(AGE_EDGES, as_floats(age), side="right") - 1
    bands[bands == len(AGE_BANDS)] = -1
    names = pd.array(AGE_BANDS, dtype="str").take(bands, allow_fill=True)
    return pd.Series(names, index=age.index, name=age.name)


def _risk(feature: DescribedFeature) -> tuple[str, str]:
    column = feature.parts[0]
    of = "location" if column == "customer_location" else readable(column)
    if feature.is_missing:
        return f"fraud in this {of} unknown", "usually known"
    held = (feature.past and feature.past.value(column)) or feature.values.get(column)
    which = f" {held}" if isinstance(held, str) and not held.startswith("<") else ""
    return f"{feature.shown(percent)} fraud so far in this {of}{which}", feature.range(percent)


def _risk_values(df: pd.DataFrame) -> dict[str, pd.Series]:
    values = {name: df[name] for name in RISK_COLUMNS if name in df}
    if "customer_age" in df:
        values["age_band"] = age_band(df["customer_age"])
    return values


def _mismatch(shipping: pd.Series, billing: pd.Series) -> np.ndarray:
    known = shipping.notna().to_numpy() & billing.notna().to_numpy()
    return np.where(known, (shipping != billing).to_numpy(dtype=np.float64), np.nan)
