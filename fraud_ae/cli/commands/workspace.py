"""`fraud-ae workspace`: a saved view of a W&B project."""

from typing import Annotated

import typer

from fraud_ae.cli.options import DEFAULT_OUTPUTS, OutputsOption
from fraud_ae.configuration.parts import WandbSettings

PANEL = "Experiments"
EXAMPLES = """Examples:

\b
  fraud-ae workspace --entity my-team
"""
_DEFAULTS = WandbSettings()


def workspace(
    entity: Annotated[
        str | None,
        typer.Option(help="Whose project; by default that of the key.", show_default=False),
    ] = None,
    project: Annotated[str, typer.Option(help="Name of the project.")] = _DEFAULTS.project,
    wait_seconds: Annotated[
        float, typer.Option(help="The most that the server may take.", min=0.1)
    ] = _DEFAULTS.wait_seconds,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Save a W&B view that compares strategies, sweeps and models, and print its address."""
    from fraud_ae.tracking.workspace import save_workspace

    print(save_workspace(entity, project, wait_seconds))
