"""The transaction as it stands: what every other strategy is compared with."""

from collections.abc import Iterable
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype, is_string_dtype

from fraud_ae.data.columns import CANONICAL, NUMERIC
from fraud_ae.errors import UserError
from fraud_ae.features.descriptions import (
    DAY,
    DescribedFeature,
    FeatureDescription,
    about,
    duration,
    money,
    percent,
    plain,
    usually,
)
from fraud_ae.features.history import History
from fraud_ae.features.known_rates import KnownCounts, count_by_day, known_share
from fraud_ae.features.strategy import FeatureStrategy, as_floats

CATEGORIES = ("payment_method", "product_category", "device")

# Subjects of several features.
AMOUNT, ACCOUNT_AGE, CUSTOMER_AGE = "amount", "account age", "customer age"


class Baseline(FeatureStrategy):
    """Amount, categories, rarity of the location, and all numeric columns of the data.

    The other built-in strategies extend it: they override `fit_family` and `family_features`, so
    that what they add can be told from what the baseline already has.
    """

    family_columns: tuple[str, ...] = ()
    # What `fit` reads, if it is there; of a class of one's own that extends this it may be more.
    fit_columns: tuple[str, ...] = ("amount", "timestamp", "customer_location")
    columns = ("amount", *NUMERIC, *CATEGORIES, "timestamp", "customer_location")
    history = History()

    @property
    def descriptions(self) -> tuple[FeatureDescription, ...]:
        """How the features are described to a reviewer, see `FeatureDescription`."""
        return (
            FeatureDescription("(?:log_)?amount|refund", AMOUNT, describe_amount),
            FeatureDescription("account_age_days", ACCOUNT_AGE, describe_account_age),
            FeatureDescription("customer_age", CUSTOMER_AGE, describe_customer_age),
            FeatureDescription("location_rarity", "location", _location),
        )

    def fit(self, df: pd.DataFrame) -> Self:
        """Learn how often each location occurred by which day (None without locations)."""
        self.has_refunds_ = "amount" in df and bool((as_floats(df["amount"]) < 0).any())
        self.location_counts_ = self.transaction_counts_ = None
        vars(self).pop("_known_locations", None)
        if "customer_location" in df:
            self.location_counts_ = count_by_day(df["timestamp"], df["customer_location"])
            self.transaction_counts_ = count_by_day(df["timestamp"])
        self.fit_family(df)
        return self

    def generate_features(self, df: pd.DataFrame) -> pd.DataFrame:
        """Features of shape (n, n_features) with df's index. Raises UserError if not fitted."""
        shared = pd.DataFrame(self._shared_features(df), index=df.index, copy=False)
        family = pd.DataFrame(self.family_features(df), index=df.index, copy=False)
        return pd.concat([shared, family], axis=1)

    def fit_family(self, df: pd.DataFrame) -> None:
        """Learn what the features beyond the baseline need."""

    def family_features(self, df: pd.DataFrame) -> dict[str, np.ndarray | pd.Series]:
        """The features beyond the baseline: name -> values of shape (n,)."""
        return {}

    def _shared_features(self, df: pd.DataFrame) -> dict[str, np.ndarray | pd.Series]:
        if not hasattr(self, "location_counts_"):
            raise UserError(
                f"{type(self).__name__} is not fitted; call fit(transactions) before "
                "generate_features"
            )
        features: dict[str, np.ndarray | pd.Series] = {}
        if "amount" in df:
            amount = as_floats(df["amount"])
            features = {"amount": amount, "log_amount": signed_log(amount)}
            if self.has_refunds_:
                features["refund"] = (amount < 0).astype(np.float64)
        features |= {name: as_floats(df[name]) for name in NUMERIC if name in df}
        features |= {name: df[name].astype("str") for name in CATEGORIES if name in df}
        if self.location_counts_ is not None and "customer_location" in df:
            share = known_share(*self._known_locations, df["timestamp"], df["customer_location"])
            features["location_rarity"] = -np.log(share)
        extra = [name for name in df.columns if name not in CANONICAL]
        numbers = [name for name in extra if is_numeric_dtype(df[name].dtype)]
        texts = [name for name in extra if is_string_dtype(df[name].dtype)]
        taken = [name for name in (*numbers, *texts) if name in features]
        if taken:
            raise UserError(
                f"data.extra_columns: {taken[0]} is the name of a feature; rename the column"
            )
        features |= {name: as_floats(df[name]) for name in numbers}
        return features | {name: df[name].astype("str") for name in texts}

    @cached_property
    def _known_locations(self) -> tuple[KnownCounts, KnownCounts]:
        return KnownCounts(self.location_counts_), KnownCounts(self.transaction_counts_)


def amount_text(feature: DescribedFeature) -> str:
    """The amount of the transaction itself, whatever feature is described."""
    amount = money(feature.past.amount) if feature.past else feature.shown(money, "amount")
    return f"amount {amount}"


def describe_amount(feature: DescribedFeature) -> tuple[str, str]:
    """The amount, and what this customer usually pays, or all pay."""
    customer_usual = feature.past.usual_amounts() if feature.past else None
    if customer_usual is not None:
        return amount_text(feature), f"{usually(customer_usual, about)} for this customer"
    return amount_text(feature), feature.range(about, "amount")


def describe_account_age(feature: DescribedFeature) -> tuple[str, str]:
    """How old the account is, whatever feature is described."""
    name = "account_age_days"
    if np.isnan(feature.values.get(name, np.nan)):
        return "account age missing", "usually there"

    def age(days: float) -> str:
        return duration(days * DAY) if days >= 1 else "less than 1 day"

    return f"account {feature.shown(age, name)} old", feature.range(age, name)


def describe_customer_age(feature: DescribedFeature) -> tuple[str, str]:
    """How old the customer is, whatever feature is described."""
    if "customer_age" not in feature.values or feature.is_missing:
        return plain(feature)
    name, years = "customer_age", "{:.0f}".format
    return f"customer {feature.shown(years, name)} years old", feature.range(years, name)


def _location(feature: DescribedFeature) -> tuple[str, str]:
    if feature.is_missing:
        return plain(feature)

    def share(rarity: float) -> str:
        return percent(float(np.exp(-rarity)))

    usual = feature.usual[feature.name]
    name = feature.past.value("customer_location") if feature.past else None
    value = f"location{f' {name}' if name else ''} in {share(feature.value)} of transactions so far"
    # The rarer, the higher.
    return value, usually(usual[::-1], share) if isinstance(usual, list) else ""


def signed_log(amount: np.ndarray) -> np.ndarray:
    """log(1 + amount); a refund mirrors the payment of the same size."""
    return np.sign(amount) * np.log1p(np.abs(amount))


def with_baseline_columns(family_columns: Iterable[str]) -> tuple[str, ...]:
    """The columns of the baseline and of a family, each once."""
    return tuple(dict.fromkeys((*Baseline.columns, *family_columns)))
