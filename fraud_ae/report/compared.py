"""Experiments beside each other, as a report shows them."""

import pandas as pd

from fraud_ae.sweep.comparison import FIGURES

_BESIDE = ("low", "high", "change")
_TITLES = {"auc": "ROC AUC", "average_precision": "AP"}


def compared(comparison: pd.DataFrame | None) -> dict | None:
    """The rows of `compare_experiments`, None where there is nothing to compare.

    titles: of the figures. rows: facts of each experiment, and its figures, each with interval and
    change. same_rows: whether all figures are of the same validation rows.
    """
    if comparison is None or len(comparison) < 2:
        return None
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
