"""How hard the default data are: `python -m benchmarks.synthetic`.

Each raw column by itself, and gradient boosting on the features of each strategy. The boosting is
fitted on the training rows with their labels, and measured on the validation rows; the test rows
are not looked at.
"""

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from benchmarks.detectors import combined
from fraud_ae.data.sources import synthetic
from fraud_ae.data.split import split_by_time
from fraud_ae.features import Baseline, compute_features, fit_strategy

STRATEGIES = {"baseline": Baseline(), **combined().parts, "combined": combined()}
# A column of more values than this names rows rather than groups them: its frequency is used.
MOST_VALUES = 1000


def raw_column_aucs(transactions: pd.DataFrame) -> dict[str, float]:
    """ROC AUC of each raw column, the better direction; text by its own in-sample fraud rate."""
    labels = transactions["is_fraud"]
    columns = transactions.drop(columns=["is_fraud", "transaction_id", "timestamp"])
    columns["hour"] = transactions["timestamp"].dt.hour.astype(str)
    columns["weekday"] = transactions["timestamp"].dt.day_of_week.astype(str)
    columns["time"] = transactions["timestamp"].astype("int64").astype("float64")
    aucs = {}
    for name, column in columns.items():
        if column.dtype != "float64":
            if column.nunique() <= MOST_VALUES:
                column = labels.groupby(column).transform("mean")
            else:
                column = column.map(column.value_counts())
        auc = roc_auc_score(labels, column.astype("float64").fillna(column.median()))
        aucs[name] = max(auc, 1 - auc)
    return aucs


def boosting_auc(strategy: object, transactions: pd.DataFrame, train, validation) -> float:
    """ROC AUC on validation rows of gradient boosting fitted on training rows and labels."""
    fit_strategy(strategy, transactions[train].reset_index(drop=True))
    features = compute_features(strategy, transactions)
    encoder = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            make_column_selector(dtype_exclude=np.number),
        ),
        remainder="passthrough",
    )
    model = make_pipeline(encoder, HistGradientBoostingClassifier(random_state=0))
    labels = transactions["is_fraud"].to_numpy()
    model.fit(features[train], labels[train])
    return roc_auc_score(labels[validation], model.predict_proba(features[validation])[:, 1])


def main() -> None:
    """Measure, and print two tables."""
    transactions = synthetic().transactions
    split = split_by_time(transactions["timestamp"])
    known = transactions[split.before_test(transactions)].reset_index(drop=True)
    console = Console()
    console.print(
        f"{len(transactions):,} transactions of {transactions['customer_id'].nunique():,} "
        f"customers, {transactions['is_fraud'].mean():.2%} fraud"
    )
    raw = Table("raw column", "ROC AUC")
    for name, auc in sorted(raw_column_aucs(known).items(), key=lambda item: -item[1]):
        raw.add_row(name, f"{auc:.3f}")
    console.print(raw)
    boosting = Table("strategy", "gradient boosting, validation ROC AUC")
    train, validation = split.train(known), split.validation(known)
    for name, strategy in STRATEGIES.items():
        boosting.add_row(name, f"{boosting_auc(strategy, known, train, validation):.3f}")
    console.print(boosting)


if __name__ == "__main__":
    main()
