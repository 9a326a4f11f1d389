"""Average precision by the number of known frauds, as a picture."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.isotonic import isotonic_regression

from benchmarks.comparison_tables import numbers_of
from fraud_ae.errors import UserError

ENDINGS = (".svg", ".png")
_OURS = {
    "fraud_ae calibrated": "#c2410c",
    "fraud_ae reconstruction": "#1d4ed8",
    "fraud_ae mahalanobis": "#0f766e",
}
_INK, _FAINT = "#1f2937", "#9ca3af"
# Others are told apart by their dashes: with labels in the score, and without.
_WITH, _WITHOUT = "solid", (0, (4, 2))
# Least distance of two names, in shares of the axis.
_LINE = 0.042


def check(path: Path, numbers: int) -> None:
    """Raises UserError where no picture could be drawn. numbers: how many of known frauds."""
    if path.suffix not in ENDINGS:
        raise UserError(f"--picture {path}: must end in {' or '.join(ENDINGS)}")
    if numbers < 2:
        raise UserError("--picture needs several numbers of known frauds, such as --known 5,20,all")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError("--picture needs matplotlib: pip install -e '.[bench]'") from None


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Write a line for each method, the mean over windows and seeds, its name at the right end.

    rows: see `comparison_tables`. path: ends in one of ENDINGS. Numbers of known frauds stand side
    by side, whatever lies between them.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    numbers = numbers_of(rows)
    means = rows.pivot_table(
        index="known", columns="method", values="average_precision", sort=False
    ).reindex(numbers)
    with_labels = rows.groupby("method")["uses_labels"].first()
    top = means.max().max() * 1.05
    # Text stays text, in the reader's own font. With a salt and no date the same rows are the same
    # file.
    svg = {"svg.fonttype": "none", "svg.hashsalt": "fraud_ae"}
    with rc_context({**svg, "font.family": "sans-serif", "font.size": 10}):
        figure = Figure(figsize=(8, 4.8), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        ends = {}
        for name in means:
            line = means[name].dropna()
            color, width = (_OURS[name], 2.6) if name in _OURS else (_FAINT, 1.2)
            at = [numbers.index(known) for known in line.index]
            style = _WITH if with_labels[name] else _WITHOUT
            axes.plot(
                at,
                line,
                color=color,
                linewidth=width,
                linestyle=style,
                marker="o",
                ms=4,
                zorder=2 + (name in _OURS),
            )
            if at and at[-1] == len(numbers) - 1:
                ends[name] = line.iloc[-1]
        for name, height in apart(ends, top * _LINE).items():
            axes.annotate(
                name,
                (len(numbers) - 1, ends[name]),
                xytext=(len(numbers) - 0.88, height),
                color=_OURS.get(name, _INK),
                fontweight="bold" if name in _OURS else "normal",
                va="center",
                annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": _FAINT, "linewidth": 0.6},
            )
        axes.set_xticks(range(len(numbers)), [str(known) for known in numbers])
        axes.set_xlim(-0.2, len(numbers) - 0.9)
        axes.set_ylim(0, top)
        axes.set_xlabel("known frauds in training (dashed: score without labels)", color=_INK)
        axes.set_ylabel("average precision", color=_INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(path, dpi=150, bbox_inches="tight", metadata=metadata)


def apart(ends: dict[str, float], least: float) -> dict[str, float]:
    """Heights of the names, in which no two are nearer than `least`, as near to the ends as can be.

    ends: where the lines end, 0 or more. The squared distances are least, which is an isotonic
    regression of what remains once the names stand on one another.
    """
    names = sorted(ends, key=ends.get)
    stacked = least * np.arange(len(names))
    free = isotonic_regression([ends[name] for name in names] - stacked, y_min=0)
    return dict(zip(names, (free + stacked).tolist(), strict=True))
