"""`fraud-ae drift`: whether later transactions are like those that a model was made of."""

from pathlib import Path
from typing import Annotated

import typer

from fraud_ae.cli.options import (
    DEFAULT_OUTPUTS,
    HistoryOption,
    ModelOption,
    OutputsOption,
    model_folder,
)
from fraud_ae.errors import UserError

DRIFTED = 1

PANEL = "Models"
EXAMPLES = """Exit code 0: stable, 1: drift, 2: error.

Examples:

\b
  fraud-ae drift june.csv --history may.csv
  fraud-ae drift all.parquet --days 7 -o drift.json -o drift.html
"""


def drift(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet file of later transactions, labels in it where they are known.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    model: ModelOption = None,
    history: HistoryOption = None,
    days: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Judge so many newest days of FILE; the rest of it is history.",
            show_default=False,
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="How likely a false alarm may be.")
    ] = 0.05,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write to: .json for all figures, .html for a page with pictures; "
            "may be given twice.",
            show_default=False,
        ),
    ] = None,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Compare later transactions, their scores and labels with those at training."""
    from fraud_ae.production.drift.check import check_drift
    from fraud_ae.production.drift.tables import show
    from fraud_ae.report.drift import drift_page
    from fraud_ae.runtime.atomic_files import write_json, write_whole

    files = out or []
    for path in files:
        if path.suffix not in (".json", ".html"):
            raise UserError(f"--out {path}: must end in .json or .html")
    folder = model_folder(model, outputs)
    checked = check_drift(folder, file, history=history, days=days, alpha=alpha)
    for path in files:
        if path.suffix == ".json":
            write_json(path, checked)
        else:
            write_whole(path, drift_page(checked), encoding="utf-8")
    show(checked)
    if checked["drift"]:
        raise typer.Exit(DRIFTED)
