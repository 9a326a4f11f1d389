"""Generated transactions with what makes features go wrong: ties, gaps and missing values."""

import numpy as np
import pandas as pd
import pytest

MISSING_SHARE = 0.05


def make_transactions(n_rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Every canonical column and V1, V2; hours on a coarse grid over 20 days, some days empty."""
    rng = np.random.default_rng(seed)
    days = rng.choice([0, 1, 2, 3, 7, 8, 9, 14, 15, 19], n_rows)
    hours = rng.choice([0, 6, 7, 12, 23], n_rows)
    elapsed = pd.to_timedelta(np.sort(days * 24 + hours), unit="h")
    labels = rng.random(n_rows) < 0.2

    def text(prefix: str, n_values: int) -> pd.Series:
        values = pd.Series([f"{prefix}{i}" for i in rng.integers(0, n_values, n_rows)], dtype="str")
        return values.mask(rng.random(n_rows) < MISSING_SHARE)

    def number(low: float, high: float) -> pd.Series:
        values = pd.Series(rng.integers(low, high, n_rows).astype("float64"))
        return values.mask(rng.random(n_rows) < MISSING_SHARE)

    return pd.DataFrame(
        {
            "transaction_id": [f"t{i}" for i in range(n_rows)],
            "customer_id": text("customer", 25),
            "timestamp": (pd.Timestamp("2024-03-01", tz="UTC") + elapsed).as_unit("us"),
            "amount": rng.lognormal(3, 1, n_rows).round(2),
            "is_fraud": labels.astype("int8"),
            "quantity": number(0, 4),
            "customer_age": number(17, 90),
            "account_age_days": number(0, 200),
            "payment_method": text("method", 3),
            "product_category": text("category", 4),
            "device": text("device", 3),
            "customer_location": text("location", 8),
            "shipping_address": text("street", 4),
            "billing_address": text("street", 4),
            "ip_address": text("ip", 30),
            "terminal_id": text("terminal", 8),
            "V1": rng.normal(size=n_rows),
            "V2": rng.normal(size=n_rows),
        }
    )


@pytest.fixture(scope="session")
def transactions() -> pd.DataFrame:
    return make_transactions()


@pytest.fixture(scope="session")
def anonymous(transactions: pd.DataFrame) -> pd.DataFrame:
    """As data sets without customers are: time, amount, label and unnamed components."""
    components = pd.DataFrame(
        np.random.default_rng(1).normal(size=(len(transactions), 5)),
        columns=[f"V{i}" for i in range(1, 6)],
    )
    return transactions[["timestamp", "amount", "is_fraud"]].join(components)
