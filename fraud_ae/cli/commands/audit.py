"""`fraud-ae audit`: whether features look ahead."""

from typing import Annotated

import typer

from fraud_ae.cli.options import (
    DEFAULT_OUTPUTS,
    ConfigDirOption,
    OutputsOption,
    pipeline_arguments,
)

PANEL = "Experiments"
EXAMPLES = """Examples:

\b
  fraud-ae audit                        every strategy that the data have columns for
  fraud-ae audit combined payday        these
  fraud-ae audit payday data=custom data.path=shop.csv

Exit code 0 where all checks are passed, 1 where a feature leaks, 2 for an error.
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
    config_dir: ConfigDirOption = None,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Look for features that see the future or give the label away; nothing is trained."""
    from fraud_ae.cli.hydra_command import run_hydra
    from fraud_ae.configuration.command_line import check_experiment, normalized

    given = arguments or []
    strategies = [a for a in given if "=" not in a and not a.startswith("~")]
    settings = [a for a in given if a not in strategies]
    settings = normalized(pipeline_arguments(settings, outputs, config_dir), {})
    check_experiment(settings)
    run_hydra(lambda cfg: _audit(cfg, strategies), "pipeline", settings)


def _audit(cfg, strategies: list[str]) -> None:
    from hydra import compose
    from hydra.core.hydra_config import HydraConfig

    from fraud_ae.configuration.pipeline_job import PipelineJob
    from fraud_ae.pipeline.audit import audit_strategies
    from fraud_ae.pipeline.stages import usable_strategies

    overrides = list(HydraConfig.get().overrides.task)
    chosen = [o.partition("=")[2] for o in overrides if o.startswith("features=")]
    names = strategies or chosen
    if not names:
        audit_strategies(usable_strategies(overrides))
        return
    jobs = {}
    for name in names:
        strategy = compose(config_name="pipeline", overrides=[*overrides, f"features={name}"])
        jobs[name] = PipelineJob.of(strategy, {"features": name})
    audit_strategies(jobs)
