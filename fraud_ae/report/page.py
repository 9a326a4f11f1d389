"""The page: an experiment's content as one HTML file that needs nothing beside it."""

import base64
import functools
import gzip
import importlib.util
import math
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fraud_ae.errors import UserError
from fraud_ae.pipeline.comparison import compare_experiments
from fraud_ae.pipeline.summary import experiment_folders
from fraud_ae.report.content import report_content
from fraud_ae.report.formats import figure, number, percent
from fraud_ae.report.rendering import page_template
from fraud_ae.runtime.atomic_files import write_whole

REPORT = "report.html"
# What the charts are drawn from; everything else is in the tables already.
_DRAWN = ("broad", "training", "curves", "reliability", "explorer")


def write_report(folder: Path, comparison: pd.DataFrame | None = None) -> Path:
    """Write `report.html` into the folder of an experiment, and return its path.

    comparison: as `compare_experiments` gives it. Raises StorageError where the file cannot be
    written.
    """
    path = folder / REPORT
    # The page says that it is in UTF-8, whatever the locale is.
    write_whole(path, render(report_content(folder, comparison)), encoding="utf-8")
    return path


def write_reports(outputs: Path, patterns: Sequence[str]) -> None:
    """Write the report of every experiment whose name matches one of some patterns, and say where.

    Raises UserError if there is none, or one cannot be written.
    """
    folders = experiment_folders(outputs, patterns)
    try:
        comparison = compare_experiments(outputs)
    except UserError as error:
        # What is wrong with another experiment is no fault of this one.
        print(f"report without other experiments: {error}")
        comparison = None
    for folder in folders:
        print(f"report: {write_report(folder, comparison)}", flush=True)


def render(content: dict) -> str:
    """The page of a report's content, see `report_content`."""
    drawn = {name: content[name] for name in _DRAWN}
    overrides = content["provenance"]["overrides"]

    def pipeline_command(*further: str) -> str:
        return shlex.join(["python", "pipeline.py", *overrides, *further])

    return page_template("page.html.jinja").render(
        **content,
        drawn=drawn,
        plotly=_packed_plotly() if any(drawn.values()) else None,
        axis=_strategy_axis(content["strategies"]),
        start=_figures_at_start(content["explorer"]),
        pipeline_command=pipeline_command,
    )


@functools.cache
def _packed_plotly() -> str:
    """The drawing library, compressed; the browser unpacks it after the text is on the screen.

    Without importing Plotly, which takes longer than writing the whole report.
    """
    folder = Path(importlib.util.find_spec("plotly").origin).parent
    path = folder / "package_data" / "plotly.min.js"
    return base64.b64encode(gzip.compress(path.read_bytes(), 6, mtime=0)).decode()


def _figures_at_start(explorer: dict | None) -> dict[str, dict[str, str]] | None:
    """Part -> figure at the chosen threshold, as `page.js` writes it when the slider moves."""
    if explorer is None:
        return None
    place = explorer["start"]
    figures_of_parts = {}
    for name, part in explorer["parts"].items():
        # Only rows with a label say whether an alert was right.
        alerts, caught = part["labelled_alerts"][place], part["caught"][place]
        frauds = part["frauds"]
        amount, all_amount = part["caught_amount"][place], part["fraud_amount"]
        figures_of_parts[name] = {
            "alerts_per_day": f"{part['alerts'][place] / part['days']:.1f}",
            "precision": percent(caught / alerts if alerts and frauds else None),
            "recall": percent(caught / frauds if frauds else None),
            "f1": figure(2 * caught / (alerts + frauds) if frauds else None),
            "value": percent(amount / all_amount if all_amount else None),
            "true_positives": number(caught),
            "false_positives": number(alerts - caught),
            "false_negatives": number(frauds - caught),
            "true_negatives": number(part["labelled"] - alerts - frauds + caught),
        }
    return figures_of_parts


def _strategy_axis(strategies: dict | None) -> dict | None:
    """The range of the strategies' chart, and round numbers in it."""
    rows = strategies["rows"] if strategies else []
    columns = [f"{strategies['auc']}{end}" for end in ("", "_low", "_high")] if rows else []
    known = [row[column] for row in rows for column in columns if row[column] is not None]
    if not known:
        return None
    step = next(s for s in (0.02, 0.05, 0.1, 0.2) if max(known) - min(known) <= 5 * s or s == 0.2)
    # Rounded first, so that 0.7 / 0.1 does not come out below 7.
    low = math.floor(round(min(known) / step, 9)) * step
    high = math.ceil(round(max(known) / step, 9)) * step
    high = high if high > low else low + step
    ticks = [low + step * n for n in range(round((high - low) / step) + 1)]
    return {"low": low, "high": high, "ticks": [round(tick, 4) for tick in ticks]}
