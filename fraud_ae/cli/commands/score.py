"""`fraud-ae score`: a file of transactions in, a file of scores, alerts and reasons out."""

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
  fraud-ae score new.csv -o scores.csv
  fraud-ae score new.parquet -o scores.parquet --history last_two_months.parquet
  fraud-ae score new.csv -o scores.csv --model outputs/shop/models/production
"""


def score(
    file: Annotated[
        Path,
        typer.Argument(help="File, directory or glob of transactions.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="CSV or Parquet file to write.", show_default=False),
    ],
    model: ModelOption = None,
    history: HistoryOption = None,
    top: Annotated[int, typer.Option(help="Reasons of an alert, at most.", min=0)] = 3,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Score a file of any length: transaction_id, score, alert, and the reasons of alerts."""
    import sys
    import time

    from fraud_ae.cli.progress import row_progress
    from fraud_ae.detector.detector import FraudDetector
    from fraud_ae.detector.scoring_files import check_output, score_file, transactions_to_score
    from fraud_ae.detector.usual_shares import warning

    check_output(out, file, history)
    detector = FraudDetector.load(model_folder(model, outputs))
    remembered = detector.history
    if remembered is not None:
        print(f"history: {len(remembered):,} transactions of the model, {remembered.period}")
    started = time.perf_counter()
    with (
        row_progress() as progress,
        transactions_to_score(detector, file, history, progress("read")) as read,
    ):
        scored = progress("scored", read.rows)
        counts = score_file(detector, read, out, top=top, report=scored)
    rate = counts.rows / (time.perf_counter() - started)
    print(
        f"{out}: {counts.rows:,} scores, {counts.alerts:,} alerts "
        f"({counts.alerts / counts.rows:.2%}), {rate:,.0f} rows/s"
    )
    if detector.usual is not None:
        note = warning(
            counts.alerts,
            counts.new_customers,
            counts.rows,
            detector.usual,
            f"fraud-ae drift {file} looks further"
            + ("" if history else "; --history FILE adds earlier transactions"),
        )
        if note is not None:
            print(f"warning: {note}", file=sys.stderr)
