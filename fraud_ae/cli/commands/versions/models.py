"""`fraud-ae models`: the versions that there are, and which of them are in production."""

from fraud_ae.cli.options import DEFAULT_OUTPUTS, ExperimentOption, OutputsOption
from fraud_ae.errors import UserError

PANEL = "Models"
EXAMPLES = """Examples:

\b
  fraud-ae models                        of all experiments
  fraud-ae models --experiment shop
"""


def models(experiment: ExperimentOption = None, outputs: OutputsOption = DEFAULT_OUTPUTS) -> None:
    """Show the versions of each model, what decided on them, and what is in production."""
    from rich.console import Console

    from fraud_ae.detector.versions import Versions
    from fraud_ae.pipeline.version_tables import print_versions

    folders = [
        path.parent
        for path in sorted(outputs.glob("*/models"))
        if experiment in (None, path.parent.name) and Versions(path).numbers
    ]
    if not folders:
        place = outputs / (experiment or "*") / "models"
        raise UserError(f"{place}: no model; make one: python pipeline.py")
    console = Console(highlight=False)
    for folder in folders:
        console.print(f"[bold]{folder.name}[/bold]")
        print_versions(folder, console)
