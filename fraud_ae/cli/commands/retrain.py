"""`fraud-ae retrain`: a challenger on new data, and who is in production after it."""

from pathlib import Path
from typing import Annotated

import typer

from fraud_ae.cli.options import (
    DEFAULT_OUTPUTS,
    ConfigDirOption,
    ExperimentOption,
    OutputsOption,
    SettingsArgument,
    pipeline_arguments,
)

PANEL = "Models"
EXAMPLES = """Examples:

\b
  fraud-ae retrain data.path=june.csv            settings as for the champion
  fraud-ae retrain data.path=june.csv --labels outcomes.csv
  fraud-ae retrain data.path=june.csv promotion.policy=better
  fraud-ae retrain data.start=2024-03-01 --experiment synthetic

Exit code 0 whether the challenger was promoted or not, 2 for an error.
"""


def retrain(
    settings: SettingsArgument = None,
    experiment: ExperimentOption = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Outcomes that became known later: CSV or Parquet with transaction_id and "
            "is_fraud, or the SQLite file of the service.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    allow_unmatched: Annotated[
        bool,
        typer.Option(
            "--allow-unmatched", help="Take outcomes that are mostly of other transactions."
        ),
    ] = False,
    config_dir: ConfigDirOption = None,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Train a challenger on new data; promote it unless it is worse than what is in production."""
    import shlex
    import sys

    from fraud_ae.cli.hydra_command import run_hydra
    from fraud_ae.configuration.command_line import (
        check_experiment,
        complete_retraining,
        config_flags,
        normalized,
        quoted,
    )

    given = normalized(pipeline_arguments(settings, outputs, config_dir), {})
    if experiment:
        given.append(f"experiment={quoted(experiment)}")
    if labels:
        given.append(f"data.labels={quoted(str(labels))}")
    if allow_unmatched:
        given.append("data.allow_unmatched=true")
    arguments = complete_retraining(given)
    added = [argument for argument in arguments if argument not in given]
    if added:
        print(f"with {shlex.join(added)}", file=sys.stderr)
    check_experiment(arguments)
    run_hydra(lambda cfg: _retrain(cfg, config_flags(arguments)), "pipeline", arguments)


def _retrain(cfg, flags: list[str]) -> None:
    """A retraining, its summary, both reports, and at the end what was decided."""
    from hydra.core.hydra_config import HydraConfig

    from fraud_ae.cli.train import run_stage
    from fraud_ae.configuration.pipeline_job import PipelineJob
    from fraud_ae.detector.versions import Versions
    from fraud_ae.pipeline.summary import print_summary
    from fraud_ae.pipeline.version_tables import explain
    from fraud_ae.production.retraining import retrain as run_retraining
    from fraud_ae.report.page import write_reports

    job = PipelineJob.of(cfg, HydraConfig.get().runtime.choices)
    retraining = run_retraining(job, [*HydraConfig.get().overrides.task, *flags], run_stage)
    print_summary(job.outputs, [job.experiment], job)
    # A challenger whose folder has been cleared away has no report any more.
    names = [name for name in retraining.experiments if (job.outputs / name / "runs").is_dir()]
    write_reports(job.outputs, names)
    print(f"\n{explain(retraining.decision, Versions(job.folder / 'models'))}")
