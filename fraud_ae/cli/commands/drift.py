"""`fraud-ae drift`: whether later transactions are like those that a model was made of."""

from pathlib import Path
from typing import Annotated

import typer

from fraud_ae.cli.options import ModelArgument
from fraud_ae.errors import UserError

DRIFTED = 1

EXAMPLES = """Exit code 0: stable, 1: drift, 2: error.

Examples:

\b
  fraud-ae drift MODEL june.csv --history may.csv
  fraud-ae drift MODEL all.parquet --days 7 --json drift.json --html drift.html
"""


def drift(
    model: ModelArgument,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet file of later transactions, labels in it where they are known.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    history: Annotated[
        Path | None,
        typer.Option(help="File with the transactions before them.", show_default=False),
    ] = None,
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
    json: Annotated[
        Path | None, typer.Option(help="Write all figures as JSON.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with pictures.", show_default=False)
    ] = None,
) -> None:
    """Compare later transactions, their scores and labels with those at training."""
    from fraud_ae.production.drift.check import check_drift
    from fraud_ae.production.drift.tables import show
    from fraud_ae.report.drift import drift_page
    from fraud_ae.runtime.atomic_files import write_json, write_whole

    checked = check_drift(model, file, history=history, days=days, alpha=alpha)
    try:
        if json is not None:
            write_json(json, checked)
        if html is not None:
            write_whole(html, drift_page(checked), encoding="utf-8")
    except OSError as error:
        raise UserError(f"the result cannot be written ({error})") from error
    show(checked)
    if checked["drift"]:
        raise typer.Exit(DRIFTED)
