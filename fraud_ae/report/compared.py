"""Experiments beside each other, as a report shows them."""

import pandas as pd

from fraud_ae.pipeline.comparison import FIGURES, differing

_BESIDE = ("low", "high", "change")
_TITLES = {"auc": "ROC AUC", "average_precision": "AP"}


def compared(comparison: pd.DataFrame | None, name: str) -> dict | None:
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
    comparison = comparison.assign(differing=differing(comparison["parameters"]))
    known = comparison.astype(object).where(comparison.notna(), None)
    rows = [
        {
            **row,
            "figures": [
                {"value": row[name]} | {end: row[f"{name}_{end}"] for end in _BESIDE}
                for name in FIGURES
            ],
        }
        for row in known.to_dict("records")
    ]
    titles = [f"{part} {_TITLES[name]}" for part, _, name in (f.partition("_") for f in FIGURES)]
    return {
        "titles": titles,
        "rows": rows,
        "same_rows": comparison["validation_set"].nunique() <= 1,
    }
