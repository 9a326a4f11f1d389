"""`fraud-ae explain`: why transactions of a file score as they do."""

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

PANEL = "Scoring"
EXAMPLES = """Examples:

\b
  fraud-ae explain new.csv                      the ten highest scores
  fraud-ae explain new.csv --id 4711 --id 4712 --top 5
  fraud-ae explain new.csv --most 100 -o explained.json
"""


def explain(
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet file of transactions.", show_default=False)
    ],
    model: ModelOption = None,
    history: HistoryOption = None,
    ids: Annotated[
        list[str] | None,
        typer.Option("--id", help="Only the transactions of these ids.", show_default=False),
    ] = None,
    most: Annotated[int, typer.Option(help="So many of the highest scores.", min=1)] = 10,
    top: Annotated[int, typer.Option(help="Reasons of each, at most.", min=1)] = 3,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="JSON file to write them to as well, with contributions.",
            show_default=False,
        ),
    ] = None,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Show why the highest scores of a file, or some transactions, score as they do."""
    from fraud_ae.cli.progress import row_progress
    from fraud_ae.detector.detector import FraudDetector
    from fraud_ae.detector.explaining_files import explain_file, print_explained
    from fraud_ae.detector.scoring_files import transactions_to_score
    from fraud_ae.runtime.atomic_files import write_json

    detector = FraudDetector.load(model_folder(model, outputs))
    with (
        row_progress() as progress,
        transactions_to_score(detector, file, history, progress("read")) as read,
    ):
        scored = progress("scored", read.rows)
        explained = explain_file(detector, read, ids or (), most=most, top=top, report=scored)
    print_explained(explained, detector.threshold)
    if out is not None:
        write_json(out, [transaction.to_dict() for transaction in explained])
        print(out)
