"""`python pipeline.py`: all stages one after another, with the gate."""

import sys
from functools import partial

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fraud_ae.cli.hydra_command import run_hydra
from fraud_ae.cli.train import run_stage
from fraud_ae.configuration.command_line import (
    check_experiment,
    config_flags,
    named_experiment,
    normalized,
    only_shows,
    only_sums_up,
)
from fraud_ae.errors import exit_on_user_error

_COMMANDS = {
    "mode=retrain": "fraud-ae retrain",
    "mode=rollback": "fraud-ae rollback",
    "mode": "fraud-ae retrain or fraud-ae rollback",
    "audit": "fraud-ae audit",
    "report": "fraud-ae report",
    "workspace": "fraud-ae workspace",
    "experiments": "fraud-ae compare [NAME_OR_PATTERN]...",
}


def pipeline(cfg: DictConfig, flags: list[str]) -> None:
    """Run the stages that are asked for, and show the results; flags: of the command line."""
    from fraud_ae.configuration.pipeline_job import PipelineJob
    from fraud_ae.pipeline.summary import print_summary

    job = PipelineJob.of(cfg, HydraConfig.get().runtime.choices)
    if not cfg.summary:
        from fraud_ae.pipeline.stages import run_stages

        run_stages(job, [*HydraConfig.get().overrides.task, *flags], run_stage)
    print_summary(job.outputs, [job.experiment], job)
    if not cfg.summary:
        from fraud_ae.report.page import write_reports

        # Last, so that whatever keeps it from being written, all else is there and has been said.
        write_reports(job.outputs, [job.experiment])


@exit_on_user_error
def main() -> None:
    """Check what Hydra would act on before the configuration can be checked, and run."""
    arguments = normalized(sys.argv[1:], _COMMANDS)
    if only_sums_up(arguments):
        named_experiment(arguments)
        # Hydra makes a folder for each command. This one may be about an experiment that lies
        # where nothing can be written.
        arguments = [*arguments, "hydra.run.dir=.", "hydra.output_subdir=null"]
    elif not only_shows(arguments):
        check_experiment(arguments)
    run_hydra(partial(pipeline, flags=config_flags(arguments)), "pipeline", arguments)
