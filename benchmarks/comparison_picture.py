"""The picture of the detection benchmark: average precision over the number of known frauds."""

from pathlib import Path

import pandas as pd

from benchmarks.comparison import ALL

OURS = "fraud_ae"


def draw(rows: pd.DataFrame, path: Path) -> None:
    """A line for each method, of means over windows and seeds; ours are thick.

    rows: see `comparison_tables`. path: its suffix says the format, such as .svg or .png.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    numbers = list(dict.fromkeys(rows["known"]))
    places = {known: place for place, known in enumerate(numbers)}
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for method, of_method in rows.groupby("method", sort=False):
        means = of_method.groupby("known", sort=False)["average_precision"].mean()
        ours = str(method).startswith(OURS)
        style = {"linewidth": 3, "marker": "o"} if ours else {"linewidth": 1, "marker": "."}
        axes.plot([places[known] for known in means.index], means, label=method, **style)
    axes.set_xticks(range(len(numbers)), [str(known) for known in numbers])
    axes.set_xlabel("all frauds known" if numbers == [ALL] else "known frauds in training")
    axes.set_ylabel("average precision")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Text that can be searched, and the same file for the same figures.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": OURS}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
