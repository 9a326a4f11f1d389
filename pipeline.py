"""All stages one after another, with the gate: `python pipeline.py --help`."""

import shlex
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from fraud_ae.configuration.command_line import check_experiment, complete_retraining
from fraud_ae.errors import exit_on_user_error
from fraud_ae.sweeps.plugins import register

register()
CONF = str(Path(__file__).resolve().parent / "conf")


@hydra.main(config_path=CONF, config_name="pipeline", execution_whitelist=["fraud_ae.*"])
@exit_on_user_error
def pipeline(cfg: DictConfig) -> None:
    """Run the stages that are asked for, audit the strategies, or show the results."""
    # Here, as `--help` does without pandas.
    from fraud_ae.configuration.job import PipelineJob

    job = PipelineJob.of(cfg, HydraConfig.get().runtime.choices)
    if cfg.audit:
        from fraud_ae.pipeline.audit import audit_strategies
        from fraud_ae.pipeline.stages import usable_strategies

        overrides = list(HydraConfig.get().overrides.task)
        if any(override.startswith("features=") for override in overrides):
            audit_strategies({job.choices["features"]: job})
        else:
            audit_strategies(usable_strategies(overrides))
        return
    if cfg.workspace:
        from fraud_ae.tracking.workspace import save_workspace

        print(save_workspace(job.wandb.entity, job.wandb.project, job.wandb.wait_seconds))
        return
    if cfg.mode == "rollback":
        from fraud_ae.detector.versions import Versions

        before, now = Versions(job.folder / "models").rollback()
        print(f"{cfg.experiment}: version {now} is in production, {before} was before")
        return
    patterns = _patterns(cfg.experiments or cfg.experiment)
    if cfg.mode == "retrain" and not cfg.summary and not cfg.report:
        _retrain(job)
        return
    if not cfg.summary and not cfg.report:
        from fraud_ae.pipeline.stages import run_stages

        run_stages(job, list(HydraConfig.get().overrides.task))
    if cfg.summary or not cfg.report:
        from fraud_ae.pipeline.summary import print_summary

        print_summary(job.outputs, patterns, job)
    # Last, so that whatever keeps it from being written, all else is there and has been said.
    if cfg.report or not cfg.summary:
        from fraud_ae.report.page import write_reports

        write_reports(job.outputs, patterns)


def _retrain(job) -> None:
    """A retraining, its summary, both reports, and at the end what was decided."""
    from fraud_ae.detector.versions import Versions
    from fraud_ae.pipeline.summary import print_summary
    from fraud_ae.pipeline.version_tables import explain
    from fraud_ae.production.retraining import retrain
    from fraud_ae.report.page import write_reports

    found = retrain(job, list(HydraConfig.get().overrides.task))
    print_summary(job.outputs, [job.experiment], job)
    # A challenger whose folder has been cleared away has no report any more.
    finished = [name for name in found.experiments if (job.outputs / name / "runs").is_dir()]
    write_reports(job.outputs, finished)
    print(f"\n{explain(found.decision, Versions(job.folder / 'models'))}")


def _patterns(experiments: str | ListConfig) -> list[str]:
    """One name or pattern, or several."""
    return [experiments] if isinstance(experiments, str) else list(map(str, experiments))


@exit_on_user_error
def main() -> None:
    """Check what Hydra would act on before the configuration can be checked, and run."""
    arguments = complete_retraining(sys.argv[1:])
    added = [a for a in arguments if a not in sys.argv]
    if added:
        print(f"with {shlex.join(added)}", file=sys.stderr)
    check_experiment(arguments)
    sys.argv = [sys.argv[0], *arguments]
    pipeline()


if __name__ == "__main__":
    main()
