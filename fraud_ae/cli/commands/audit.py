"""`fraud-ae audit`: whether features look ahead."""

import sys
from typing import Annotated

import typer

from fraud_ae.cli.checkout import run_pipeline

EXAMPLES = """Examples:

\b
  fraud-ae audit                        every strategy that the data have columns for
  fraud-ae audit combined payday        these
  fraud-ae audit payday data=custom data.path=shop.csv

Exit code 0 where all checks are passed, 1 where a feature leaks or something is wrong.
"""


def audit(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            help="Feature strategies, and settings of the pipeline.",
            metavar="[FEATURES | KEY=VALUE]...",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look for features that see the future or give the label away; nothing is trained."""
    told = arguments or []
    overrides = ["audit=true", *(a for a in told if "=" in a or a.startswith("~"))]
    strategies = [a for a in told if a not in overrides]
    failed = False
    for chosen in [[f"features={name}"] for name in strategies] or [[]]:
        try:
            run_pipeline([*overrides, *chosen])
        except SystemExit as stopped:
            failed |= stopped.code not in (None, 0)
            if isinstance(stopped.code, str):
                print(stopped.code, file=sys.stderr, flush=True)
    if failed:
        raise typer.Exit(1)
