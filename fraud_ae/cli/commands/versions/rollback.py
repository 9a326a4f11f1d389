"""`fraud-ae rollback`: the version before, in production again."""

from fraud_ae.cli.options import (
    DEFAULT_OUTPUTS,
    ExperimentOption,
    OutputsOption,
    experiment_in_production,
)

PANEL = "Models"
EXAMPLES = """Examples:

\b
  fraud-ae rollback
  fraud-ae rollback --experiment shop
"""


def rollback(experiment: ExperimentOption = None, outputs: OutputsOption = DEFAULT_OUTPUTS) -> None:
    """Put the version before into production; nothing is trained."""
    from fraud_ae.detector.versions import Versions

    name = experiment_in_production(experiment, outputs)
    before, now = Versions(outputs / name / "models").rollback()
    print(f"{name}: version {now} is in production, {before} was before")
