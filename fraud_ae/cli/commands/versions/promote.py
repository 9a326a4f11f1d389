"""`fraud-ae promote`: a version that is kept, put into production."""

from typing import Annotated

import typer

from fraud_ae.cli.options import (
    DEFAULT_OUTPUTS,
    ExperimentOption,
    OutputsOption,
    experiment_in_production,
)

PANEL = "Models"
EXAMPLES = """Examples:

\b
  fraud-ae models                         shows the versions
  fraud-ae promote 0002
  fraud-ae promote 0002 --experiment shop

`fraud-ae rollback` puts the version before into production again.
"""


def promote(
    version: Annotated[str, typer.Argument(help="Its number, such as 0002.", metavar="VERSION")],
    experiment: ExperimentOption = None,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Put a version into production; nothing is trained, and nothing compared."""
    from fraud_ae.detector.manifest import SIGNATURE, digest
    from fraud_ae.detector.versions import Versions

    name = experiment_in_production(experiment, outputs)
    versions = Versions(outputs / name / "models")
    before = versions.promote(version)
    was = "as before" if before == version else f"{before} was before"
    print(f"{name}: version {version} is in production, {was}")
    folder = versions.version(version)
    signed = "" if (folder / SIGNATURE).is_file() else ", not signed"
    print(f"digest {digest(folder)}{signed}")
