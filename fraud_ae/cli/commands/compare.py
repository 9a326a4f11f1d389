"""`fraud-ae compare`: experiments side by side."""

from typing import Annotated

import typer

from fraud_ae.cli.options import DEFAULT_OUTPUTS, OutputsOption

PANEL = "Experiments"
EXAMPLES = """Examples:

\b
  fraud-ae compare                       all experiments
  fraud-ae compare shop shop-0002        these
  fraud-ae compare 'shop*'
"""


def compare(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of experiments, or patterns.",
            metavar="[NAME | PATTERN]...",
            show_default=False,
        ),
    ] = None,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Show a summary of each experiment, and all of them side by side."""
    from fraud_ae.pipeline.summary import print_summary

    print_summary(outputs, experiments or ["*"])
