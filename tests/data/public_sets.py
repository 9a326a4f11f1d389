"""Small generated files in the shapes of public fraud data sets."""

from collections.abc import Callable

import numpy as np
import pandas as pd

ROWS = 3_000


def _base(seed: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Chance, labels (n,) bool of 5 % frauds, and amounts (n,) that are higher for frauds."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(ROWS) < 0.05
    return rng, fraud, (rng.lognormal(3, 0.6, ROWS) * np.where(fraud, 4, 1)).round(2)


def _often(rng: np.random.Generator, fraud: np.ndarray) -> np.ndarray:
    """Rows (n,) bool of a category that all frauds have, and some of the others."""
    return fraud | (rng.random(ROWS) < 0.3)


def paysim() -> pd.DataFrame:
    """Mobile money, times in hours."""
    rng, fraud, amount = _base(1)
    return pd.DataFrame(
        {
            "step": np.sort(rng.integers(1, 2000, ROWS)),
            "type": np.where(
                _often(rng, fraud), "TRANSFER", rng.choice(["PAYMENT", "CASH_IN"], ROWS)
            ),
            "amount": amount,
            "nameOrig": [f"C{n}" for n in rng.integers(0, 200, ROWS)],
            "oldbalanceOrg": rng.lognormal(6, 1, ROWS).round(2),
            "newbalanceOrig": 0.0,
            "nameDest": [f"M{n}" for n in rng.integers(0, 50, ROWS)],
            "oldbalanceDest": rng.lognormal(6, 1, ROWS).round(2),
            "newbalanceDest": 0.0,
            "isFraud": fraud.astype(int),
            "isFlaggedFraud": 0,
        }
    )


def sparkov() -> pd.DataFrame:
    """Simulated cards, with an unnamed first column and dates of birth."""
    rng, fraud, amount = _base(2)
    times = pd.Timestamp("2019-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 15e6, ROWS)), "s")
    return pd.DataFrame(
        {
            "": range(ROWS),
            "trans_date_trans_time": times.strftime("%Y-%m-%d %H:%M:%S"),
            "cc_num": rng.choice([4_613_314_721_966_000_000 + n for n in range(100)], ROWS),
            "merchant": rng.choice(["fraud_Rippin, Kub", "fraud_Heller"], ROWS),
            "category": np.where(
                _often(rng, fraud), "shopping_net", rng.choice(["food", "home"], ROWS)
            ),
            "amt": amount,
            "gender": rng.choice(["M", "F"], ROWS),
            "state": rng.choice(["NC", "WA", "NA"], ROWS),
            "lat": rng.normal(38, 5, ROWS).round(4),
            "long": rng.normal(-90, 9, ROWS).round(4),
            "city_pop": rng.integers(100, 100_000, ROWS),
            "dob": pd.to_datetime(rng.integers(-1e9, 9e8, ROWS), unit="s").strftime("%Y-%m-%d"),
            "trans_num": [f"{n:032x}" for n in range(ROWS)],
            "unix_time": range(ROWS),
            "merch_lat": rng.normal(38, 5, ROWS).round(4),
            "merch_long": rng.normal(-90, 9, ROWS).round(4),
            "is_fraud": fraud.astype(int),
        }
    )


def tabformer() -> pd.DataFrame:
    """Simulated cards: times in four columns, dollars with a sign, refunds, Yes and No."""
    rng, fraud, amount = _base(3)
    amount = amount * np.where(~fraud & (rng.random(ROWS) < 0.05), -1, 1)
    minutes = np.sort(rng.integers(0, 300 * 24 * 60, ROWS))
    times = pd.Timestamp("2018-01-01") + pd.to_timedelta(minutes, "min")
    return pd.DataFrame(
        {
            "User": rng.integers(0, 60, ROWS),
            "Card": rng.integers(0, 3, ROWS),
            "Year": times.year,
            "Month": times.month,
            "Day": times.day,
            "Time": times.strftime("%H:%M"),
            "Amount": [f"${a:.2f}" if a >= 0 else f"$-{-a:.2f}" for a in amount],
            "Use Chip": np.where(_often(rng, fraud), "Online Transaction", "Swipe Transaction"),
            "Merchant Name": rng.choice([-399254917511699756, 536291202887979487], ROWS),
            "Merchant City": "La Verne",
            "Merchant State": rng.choice(["CA", "NY", ""], ROWS),
            "Zip": rng.choice([63564.0, 81925.0, np.nan], ROWS),
            "MCC": rng.choice([4829, 5411], ROWS),
            "Errors?": "",
            "Is Fraud?": np.where(fraud, "Yes", "No"),
        }
    )


def ieee_cis() -> pd.DataFrame:
    """Card payments: whole numbers with gaps written 325.0, columns by pattern."""
    rng, fraud, amount = _base(4)
    gaps = rng.random(ROWS) < 0.3
    return pd.DataFrame(
        {
            "TransactionID": np.arange(2_987_000, 2_987_000 + ROWS),
            "isFraud": fraud.astype(int),
            "TransactionDT": np.sort(rng.integers(86_400, 15_000_000, ROWS)),
            "TransactionAmt": amount,
            "ProductCD": np.where(_often(rng, fraud), "C", rng.choice(["W", "H"], ROWS)),
            "card1": rng.integers(1000, 1100, ROWS),
            "card4": rng.choice(["visa", "mastercard"], ROWS),
            "card6": rng.choice(["debit", "credit"], ROWS),
            "addr1": np.where(gaps, np.nan, rng.choice([325.0, 299.0], ROWS)),
            "dist1": np.where(gaps, np.nan, rng.integers(0, 90, ROWS)),
            "P_emaildomain": rng.choice(["gmail.com", ""], ROWS),
            "R_emaildomain": "",
            "C1": rng.integers(0, 9, ROWS),
            "D1": rng.integers(0, 90, ROWS),
            "M1": rng.choice(["T", "F", ""], ROWS),
            "V1": rng.normal(size=ROWS).round(4),
            "V2": np.where(gaps, np.nan, rng.normal(size=ROWS).round(4)),
        }
    )


def baf() -> pd.DataFrame:
    """Applications for accounts, by month, -1 for missing amounts."""
    rng, fraud, amount = _base(5)
    return pd.DataFrame(
        {
            "fraud_bool": fraud.astype(int),
            "income": rng.choice([0.3, 0.5, 0.9], ROWS),
            "customer_age": rng.choice([20, 40, 60], ROWS),
            "intended_balcon_amount": np.where(rng.random(ROWS) < 0.5, -1.0, amount),
            "payment_type": rng.choice(["AA", "AB"], ROWS),
            "velocity_6h": rng.normal(5000, 900, ROWS),
            "employment_status": np.where(_often(rng, fraud), "CC", rng.choice(["CA", "CB"], ROWS)),
            "housing_status": rng.choice(["BA", "BB"], ROWS),
            "source": "INTERNET",
            "device_os": rng.choice(["linux", "other"], ROWS),
            "device_fraud_count": 0,
            "month": np.sort(rng.integers(0, 8, ROWS)),
        }
    )


def elliptic() -> pd.DataFrame:
    """Transactions without amounts and customers; most of them are not labelled."""
    rng, fraud, amount = _base(6)
    unknown = rng.random(ROWS) < 0.6
    return pd.DataFrame(
        {
            "txId": np.arange(230_000_000, 230_000_000 + ROWS),
            "Time step": np.sort(rng.integers(1, 50, ROWS)),
            "Local_feature_1": np.log(amount),
            "Aggregate_feature_1": rng.normal(size=ROWS),
            "class": np.where(unknown, "unknown", np.where(fraud, "1", "2")),
        }
    )


PUBLIC_SETS: dict[str, Callable[[], pd.DataFrame]] = {
    "paysim": paysim,
    "sparkov": sparkov,
    "tabformer": tabformer,
    "ieee_cis": ieee_cis,
    "baf": baf,
    "elliptic": elliptic,
}
