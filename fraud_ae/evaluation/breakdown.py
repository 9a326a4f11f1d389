"""For which frauds a detector works: by scenario, by amount and by month."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from fraud_ae.evaluation.alerting import value_caught
from fraud_ae.evaluation.labelled import labelled
from fraud_ae.evaluation.metrics import alert_metrics, ranking_metrics
from fraud_ae.evaluation.threshold import utc_days

COLUMNS = (
    "by",
    "group",
    "rows",
    "frauds",
    "auc",
    "average_precision",
    "recall",
    "precision",
    "value_caught",
)
# Shares of the normal transactions, in percent: most are small, and the large ones matter.
_BANDS = (50, 90, 99)


def breakdown(scored: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Figures of parts of the transactions, one row for each part.

    scored: n rows with timestamp (datetime64[us, UTC]), amount, is_fraud (0 or 1), score (higher
    is more anomalous) and, if known, fraud_scenario (a label of each fraud). threshold: scores
    above it are alerts.

    `by` is one of
    - `scenario`: the frauds of one scenario and all normal rows; frauds without a label are in no
      such part;
    - `amount band`: up to the 50 %, 90 % and 99 % quantile of the normal rows' amounts, and above;
    - `month`: YYYY-MM, in UTC.

    auc is the ROC AUC; value_caught the share of the frauds' summed amounts that is alerted on.
    NaN where a figure is undefined, such as a recall without frauds. Parts without rows are left
    out.
    """
    scored = labelled(scored)
    needed = scored[["amount", "is_fraud", "score"]]
    parts = [
        {"by": by, "group": group, **_figures(needed[rows], threshold)}
        for by, groups in (
            ("scenario", _scenarios(scored)),
            ("amount band", _amount_bands(scored)),
            ("month", _months(scored)),
        )
        for group, rows in groups
        if rows.any()
    ]
    figures = dict.fromkeys(COLUMNS[4:], "float64")
    types = {"by": "str", "group": "str", "rows": "int64", "frauds": "int64", **figures}
    return pd.DataFrame(parts, columns=list(COLUMNS)).astype(types)


def _scenarios(scored: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    if "fraud_scenario" not in scored:
        return
    is_fraud = scored["is_fraud"].to_numpy() == 1
    scenario = scored["fraud_scenario"]
    for name in sorted(scenario[is_fraud].dropna().unique()):
        yield name, ~is_fraud | (scenario == name).to_numpy(dtype=bool, na_value=False)


def _amount_bands(scored: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    normal = scored["amount"][scored["is_fraud"] == 0].dropna()
    if len(normal) == 0:
        return
    # Amounts that occur, so that the text shows the very edge.
    edges = np.percentile(normal, _BANDS, method="inverted_cdf")
    band = np.searchsorted(edges, scored["amount"].to_numpy())
    low, middle, high = (f"{edge:,.2f}" for edge in edges)
    names = (f"to {low}", f"{low} to {middle}", f"{middle} to {high}", f"over {high}")
    for number, name in enumerate(names):
        yield name, band == number


def _months(scored: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    month = utc_days(scored["timestamp"]).astype("datetime64[M]")
    for name in np.unique(month):
        yield str(name), month == name


def _figures(scored: pd.DataFrame, threshold: float) -> dict[str, float | int | None]:
    is_fraud = scored["is_fraud"].to_numpy() == 1
    scores = scored["score"].to_numpy()
    of_alerts = alert_metrics(is_fraud, scores, threshold)
    return {
        "rows": len(scored),
        "frauds": np.count_nonzero(is_fraud),
        **ranking_metrics(is_fraud, scores),
        "recall": of_alerts["recall"],
        "precision": of_alerts["precision"],
        "value_caught": value_caught(scored, threshold),
    }
