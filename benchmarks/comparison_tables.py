"""The tables and the picture of the detection benchmark, of the rows of a comparison.

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
    for name, own in board.groupby("method", sort=False):
        cells = [_spread(own[figure].astype("float64")) for figure in FIGURES]
        uses = "yes" if own["uses_labels"].iloc[0] else "no"
        shown.add_row(name, uses, *cells, f"{own['seconds'].median():.1f}")
    shown.caption = _caption(protocol, board, known)
    return shown


def _caption(protocol: Protocol, board: pd.DataFrame, known: int | str) -> str:
    finals = protocol.finals
    tested = sum(int(task.test.sum()) for task in finals)
    frauds = sum(int(task.labels[task.test].sum()) for task in finals)
    windows = f"{len(finals)} windows x " if len(finals) > 1 else ""
    trained = sum(int(task.train.sum()) for task in finals) // len(finals)
    of_training = sum(int(task.labels[task.train].sum()) for task in finals) // len(finals)
    told = "all" if known == ALL else f"{known}"
    return (
        f"{windows}{board['seed'].nunique()} seeds, mean ± standard deviation; {tested:,} test "
        f"rows, {frauds:,} frauds; {trained:,} training rows, of whose {of_training:,} frauds "
        f"{told} are known. labels: whether the score learns from the known frauds; all others are "
        "fitted on the rows not known to be fraud."
    )


def by_known(rows: pd.DataFrame, figure: str) -> Table:
    """The mean of a figure, a key of BY_KNOWN, by method and number of known frauds."""
    shown = Table("method", "labels", box=SIMPLE, pad_edge=False)
    shown.title = f"{figure}, by the number of known frauds in training"
    numbers = list(dict.fromkeys(rows["known"]))
    for known in numbers:
        shown.add_column(str(known), justify="right")
    for name, own in rows.groupby("method", sort=False):
        means = own.groupby("known")[BY_KNOWN[figure]].mean()
        cells = [_short(means[known]) if known in means else "-" for known in numbers]
        shown.add_row(name, "yes" if own["uses_labels"].iloc[0] else "no", *cells)
    return shown


def choice(settings: dict) -> str:
    """What was chosen for a method, in words."""
    if "network" in settings:
        return ours.described(settings["network"])
    return " ".join(f"{key}={value}" for key, value in settings.items())


def _spread(figures: pd.Series) -> str:
    if figures.isna().all():
        return "-"
    return f"{_short(figures.mean())} ±{_short(figures.std(ddof=0))}"


def _short(figure: float) -> str:
    return f"{figure:.3f}".removeprefix("0")
