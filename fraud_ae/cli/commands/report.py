"""`fraud-ae report`: the HTML report of an experiment, written anew."""

from typing import Annotated

import typer

from fraud_ae.cli.options import DEFAULT_OUTPUTS, OutputsOption

PANEL = "Experiments"
EXAMPLES = """Examples:

\b
  fraud-ae report                        of every experiment
  fraud-ae report --experiment shop
  fraud-ae report --experiment 'shop*'
"""


def report(
    experiment: Annotated[
        str,
        typer.Option("--experiment", "-e", help="A name, or a pattern.", metavar="NAME"),
    ] = "*",
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Write report.html into the folder of an experiment again, from what has been run."""
    from fraud_ae.report.page import write_reports

    write_reports(outputs, [experiment])
