"""The tables of the detection benchmark, of the rows of a comparison.

A row has method, week, seed, known, roc_auc, average_precision, card_precision_at_100, uses_labels
and seconds.
"""

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table

from benchmarks import ours
from benchmarks.comparison import ALL, FIGURES
from benchmarks.protocols import Protocol

BY_KNOWN = {"average precision": "average_precision", "ROC AUC": "roc_auc"}


def of_methods(protocol: Protocol, rows: pd.DataFrame, known: int | str) -> Table:
    """All figures of each method with so many known frauds.

    Means over windows and seeds, standard deviations behind them, and median seconds.
    """
    board = rows[rows["known"] == known]
    shown = Table("method", "labels", "ROC AUC", "AP", "CP@100", "sec", box=SIMPLE, pad_edge=False)
    shown.title = protocol.description
    for column in shown.columns[2:]:
        column.justify = "right"
    for name, of_method in board.groupby("method", sort=False):
        cells = [_spread(of_method[figure].astype("float64")) for figure in FIGURES]
        uses = "yes" if of_method["uses_labels"].iloc[0] else "no"
        shown.add_row(name, uses, *cells, f"{of_method['seconds'].median():.1f}")
    shown.caption = _caption(protocol, board, known)
    return shown


def _caption(protocol: Protocol, board: pd.DataFrame, known: int | str) -> str:
    finals = protocol.finals
    tested = sum(int(task.test.sum()) for task in finals)
    frauds = sum(int(task.labels[task.test].sum()) for task in finals)
    windows = f"{len(finals)} windows x " if len(finals) > 1 else ""
    trained = sum(int(task.train.sum()) for task in finals) // len(finals)
    of_training = sum(int(task.labels[task.train].sum()) for task in finals) // len(finals)
    count = board["seed"].nunique()
    seeds = f"{count} seeds" if count > 1 else "1 seed"
    return (
        f"{windows}{seeds}, mean ± standard deviation; {tested:,} test rows, {frauds:,} frauds; "
        f"{trained:,} training rows, of whose {of_training:,} frauds {known} are known. "
        "labels: whether the score learns from the known frauds; all others "
        "are fitted on the rows not known to be fraud."
    )


def by_known(rows: pd.DataFrame, figure: str) -> Table:
    """The mean of a figure, a key of BY_KNOWN, by method and number of known frauds."""
    shown = Table("method", "labels", box=SIMPLE, pad_edge=False)
    shown.title = f"{figure}, by the number of known frauds in training"
    numbers = numbers_of(rows)
    for known in numbers:
        shown.add_column(str(known), justify="right")
    for name, of_method in rows.groupby("method", sort=False):
        means = of_method.groupby("known")[BY_KNOWN[figure]].mean()
        cells = [_short(means[known]) if known in means else "-" for known in numbers]
        shown.add_row(name, "yes" if of_method["uses_labels"].iloc[0] else "no", *cells)
    return shown


def numbers_of(rows: pd.DataFrame) -> list[int | str]:
    """The numbers of known frauds from the smallest up, ALL last."""
    return sorted(rows["known"].unique(), key=lambda known: (known == ALL, known))


def choice(settings: dict) -> str:
    """What was chosen for a method, in words."""
    words = [
        ours.described(value) if key == "network" else f"{key}={value}"
        for key, value in settings.items()
    ]
    return " ".join(words)


def _spread(figures: pd.Series) -> str:
    if figures.isna().all():
        return "-"
    return f"{_short(figures.mean())} ±{_short(figures.std(ddof=0))}"


def _short(figure: float) -> str:
    return f"{figure:.3f}".removeprefix("0")
