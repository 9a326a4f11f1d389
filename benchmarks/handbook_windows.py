"""Our windows beside the handbook's own: `python -m benchmarks.handbook_windows FILE`.

The functions of the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.5, are run with
pandas on its transactions, and so is the strategy `behavioural`. `equal` is the share of rows in
which a feature agrees to 1e-9; `of the others tied` is the share of the other rows that have
another transaction of the same customer or terminal at the same second. The book counts those of
them that stand above in the file, we count none: that order means nothing.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.measuring import parser, show, write
from benchmarks.protocols import CONF
from fraud_ae.data.sources import from_file
from fraud_ae.features import Behavioural
from fraud_ae.features.strategy import compute_features

WINDOWS = (1, 7, 30)
DELAY_DAYS = 7


def customer_windows(rows: pd.DataFrame) -> pd.DataFrame:
    """`get_customer_spending_behaviour_features` of the book, of one customer's rows."""
    amounts = rows.set_index("timestamp")["amount"]
    features = {}
    for days in WINDOWS:
        count = amounts.rolling(f"{days}D").count()
        features[f"customer_count_{days}d"] = count
        features[f"customer_mean_amount_{days}d"] = amounts.rolling(f"{days}D").sum() / count
    return pd.DataFrame(features).set_index(rows.index)


def terminal_windows(rows: pd.DataFrame) -> pd.DataFrame:
    """`get_count_risk_rolling_window` of the book, of one terminal's rows."""
    frauds = rows.set_index("timestamp")["is_fraud"]
    delayed = frauds.rolling(f"{DELAY_DAYS}D")
    features = {}
    for days in WINDOWS:
        both = frauds.rolling(f"{DELAY_DAYS + days}D")
        count = both.count() - delayed.count()
        caught = both.sum() - delayed.sum()
        features[f"terminal_delayed_count_{days}d"] = count
        features[f"terminal_delayed_fraud_rate_{days}d"] = (caught / count).fillna(0.0)
    return pd.DataFrame(features).set_index(rows.index)


def compared(transactions: pd.DataFrame) -> list[dict]:
    """A row for each feature: feature, rows, equal, of the others tied."""
    ours = compute_features(Behavioural(WINDOWS, DELAY_DAYS).fit(transactions), transactions)
    rows = []
    for key, windows in (("customer_id", customer_windows), ("terminal_id", terminal_windows)):
        parts = [windows(part) for _, part in transactions.groupby(key)]
        theirs = pd.concat(parts).sort_index()
        tied = transactions.duplicated([key, "timestamp"], keep=False).to_numpy()
        for name in theirs:
            equal = np.isclose(theirs[name], ours[name], rtol=1e-9, atol=1e-9)
            rows.append(
                {
                    "feature": name,
                    "rows": len(equal),
                    "equal": f"{equal.mean():.4%}",
                    "of the others tied": f"{tied[~equal].mean():.0%}" if (~equal).any() else "-",
                }
            )
    return rows


def main() -> None:
    """Compute both, print a table and write JSON."""
    options = parser(__doc__)
    options.add_argument("file", type=Path, help="transactions of the handbook")
    chosen = options.parse_args()
    dataset = from_file(
        str(chosen.file), columns=yaml.safe_load((CONF / "handbook.yaml").read_text())["columns"]
    )
    rows = compared(dataset.transactions)
    show("windows beside the handbook's", rows, "to 1e-9; differences are transactions of a second")
    write(chosen.json, windows=rows)


if __name__ == "__main__":
    main()
