"""Experiments side by side, as a report shows them."""

import pandas as pd

from fraud_ae.pipeline.comparison import FIGURES, differing
from fraud_ae.report.results import plain

_TITLES = {"auc": "ROC AUC", "average_precision": "AP"}


def compared_experiments(comparison: pd.DataFrame | None, name: str) -> dict | None:
    """The rows of `compare_experiments` that have the data source of an experiment.

    name: of the experiment. None where it is the only one: what else lies in the folder is nothing
    to whoever gets the report. titles: of the figures. rows: facts of each experiment, and its
    figures, each with interval and change. same_rows: whether all figures are of the same
    validation rows.
    """
    if comparison is None:
        return None
    data_name = comparison.loc[comparison["experiment"] == name, "data"]
    comparison = comparison[comparison["data"].isin(data_name.dropna())]
    if len(comparison) < 2:
        return None
    rows = plain(
        comparison.assign(differing=differing(comparison["parameters"])).to_dict("records")
    )
    for row in rows:
        row["figures"] = [
            {"value": row[name]} | {end: row[f"{name}_{end}"] for end in ("low", "high", "change")}
            for name in FIGURES
        ]
    titles = [f"{part} {_TITLES[name]}" for part, _, name in (f.partition("_") for f in FIGURES)]
    same_rows = comparison["validation_set"].nunique() <= 1
    return {"titles": titles, "rows": rows, "same_rows": same_rows}
