"""Experiments beside each other, as a report shows them."""

import pandas as pd

_FIGURES = {
    "validation_auc": "validation ROC AUC",
    "validation_average_precision": "validation AP",
    "test_auc": "test ROC AUC",
    "test_average_precision": "test AP",
}


def compared(comparison: pd.DataFrame | None) -> dict | None:
    """The rows of `compare_experiments`, None where there is nothing to compare.

    figures: their titles. rows: facts of each experiment, figures with their intervals, and
    `changes`, the differences to the row before of the same data source.
    """
    if comparison is None or len(comparison) < 2:
        return None
    known = comparison.astype(object).where(comparison.notna(), None)
    rows: list[dict] = []
    for row in known.to_dict("records"):
        figures = [
            {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
            for name in _FIGURES
        ]
        same = rows and rows[-1]["data"] == row["data"]
        changes = [
            after["value"] - before["value"]
            if same and None not in (after["value"], before["value"])
            else None
            for before, after in zip(rows[-1]["figures"] if rows else figures, figures, strict=True)
        ]
        rows.append({**row, "figures": figures, "changes": changes})
    one_set = known["validation_set"].nunique() <= 1
    return {"figures": list(_FIGURES.values()), "rows": rows, "same_rows": one_set}
