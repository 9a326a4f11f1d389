"""The comparison of experiments, as tables for a terminal of any width from 80 columns."""

import pandas as pd
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from fraud_ae.experiments.result_tables import figure, interval

_FIGURES = {
    "validation_auc": "validation\nROC AUC",
    "validation_average_precision": "validation\nAP",
    "test_auc": "test\nROC AUC",
    "test_average_precision": "test\nAP",
}


def print_comparison(experiments: pd.DataFrame, console: Console) -> None:
    """Print the frame of `compare_experiments`: data, winners, figures, models in production."""
    rows = experiments.astype(object).where(experiments.notna(), None).to_dict("records")
    console.print(_data(rows))
    console.print(_winners(rows))
    console.print(_results(rows))
    console.print(_production(rows))
    if experiments["validation_set"].nunique() > 1:
        console.print(
            Padding(
                "Validation sets differ, so a difference between figures may come from the rows "
                "as well as from the model; only those of one set are comparable.",
                (0, 0, 0, 2),
            )
        )


def _table(title: str, *columns: str, right: tuple[int, ...] = (), lines: bool = True) -> Table:
    table = Table(title=title, show_lines=lines)
    for number, column in enumerate(columns):
        # A name of any length is folded, whatever it takes of the other columns.
        justify = "right" if number in right else "left"
        table.add_column(column, overflow="fold", justify=justify, min_width=min(8, len(column)))
    return table


def _data(rows: list[dict]) -> Table:
    columns = ("experiment", "data", "fingerprint", "period", "rows", "fraud\nbefore test")
    table = _table("Data", *columns, right=(4, 5))
    for row in rows:
        period = "" if row["from"] is None else f"{row['from'][:10]}\n{row['to'][:10]}"
        table.add_row(
            row["experiment"],
            row["data"],
            _first(row["fingerprint"], 8),
            period,
            "" if row["rows"] is None else f"{row['rows']:,.0f}",
            "" if row["fraud_ratio"] is None else f"{row['fraud_ratio']:.2%}",
        )
    return table


def _winners(rows: list[dict]) -> Table:
    table = _table("Winners", "experiment", "gate", "strategy, stage", "where they differ")
    for row in rows:
        parameters = "\n".join(row["differing"].split(" "))
        winner = f"{row['strategy']}\n{row['stage']}" if row["stage"] else "no sweep"
        table.add_row(row["experiment"], row["gate"] or "not asked", winner, parameters)
    return table


def _results(rows: list[dict]) -> Table:
    columns = ("experiment", "validation\nset", *_FIGURES.values())
    table = _table("Figures of the winners", *columns, right=(2, 3, 4, 5))
    changes = False
    for row in rows:
        cells = []
        for name in _FIGURES:
            lines = ["" if row[name] is None else figure(row[name])]
            lines += [interval(row[f"{name}_low"], row[f"{name}_high"])]
            if row[f"{name}_change"] is not None:
                changes = True
                lines.append(f"{row[f'{name}_change']:+.4f}")
            cells.append("\n".join(line for line in lines if line))
        table.add_row(row["experiment"], row["validation_set"], *cells)
    if changes:
        table.caption = "Third lines: the difference to the row before of the same data source."
    return table


def _production(rows: list[dict]) -> Table:
    columns = ("experiment", "created", "run", "threshold", "alerts")
    table = _table("In production", *columns, right=(3, 4), lines=False)
    for row in rows:
        if row["in_production"] is None:
            table.add_row(row["experiment"], "a challenger" if row["model"] else "no model")
            continue
        rate = row["alert_rate"]
        table.add_row(
            row["experiment"],
            row["in_production"][:16].replace("T", " "),
            row["run_id"],
            f"{row['threshold']:.4f}",
            "" if rate is None else f"{rate:.2%}",
        )
    return table


def _first(text: str | None, length: int) -> str | None:
    return None if text is None else text[:length]
