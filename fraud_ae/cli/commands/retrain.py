"""`fraud-ae retrain`: a challenger on new data, and who is in production after it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fraud_ae.cli.checkout import run_pipeline
from fraud_ae.cli.options import OUTPUTS
from fraud_ae.errors import UserError

EXAMPLES = """Examples:

\b
  fraud-ae retrain data.path=june.csv            settings as for the champion
  fraud-ae retrain data.path=june.csv --labels outcomes.csv
  fraud-ae retrain data.path=june.csv promotion.policy=better
  fraud-ae retrain data.start=2024-03-01 --experiment synthetic
  fraud-ae retrain --rollback                    the version before

Exit code 0 whether the challenger was promoted or not, 2 for an error.
"""


def retrain(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="Settings of the pipeline, such as data.path=FILE.",
            metavar="[KEY=VALUE]...",
            show_default=False,
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            "-e",
            help="Whose model; by default the only one in production below outputs/.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Outcomes that became known later: CSV or Parquet with transaction_id and "
            "is_fraud, or the SQLite file of the service.",
            show_default=False,
        ),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Put the version before into production.")
    ] = False,
) -> None:
    """Train a challenger on new data; promote it unless it is worse than what is in production."""
    told = [*(overrides or [])]
    if rollback:
        if told or labels:
            raise UserError("--rollback trains nothing, so it takes no settings and no --labels")
        _roll_back(experiment or _only_experiment())
        return
    if experiment:
        told.append(f"experiment={experiment}")
    if labels:
        told.append(f"data.labels={labels}")
    try:
        run_pipeline(["mode=retrain", *told])
    except SystemExit as stopped:
        if stopped.code in (None, 0):
            return
        if isinstance(stopped.code, str):
            print(stopped.code, file=sys.stderr)
        raise typer.Exit(2) from None


def _roll_back(experiment: str) -> None:
    from fraud_ae.detector.versions import Versions

    before, now = Versions(OUTPUTS / experiment / "models").rollback()
    print(f"{experiment}: version {now} is in production, {before} was before")


def _only_experiment() -> str:
    there = sorted(path.parents[1].name for path in OUTPUTS.glob("*/models/production"))
    if len(there) == 1:
        return there[0]
    if not there:
        raise UserError(f"no model in {OUTPUTS}/*/models/production: nothing to roll back")
    raise UserError(f"several have one; choose with --experiment: {', '.join(there)}")
