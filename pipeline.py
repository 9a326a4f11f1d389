"""All stages one after another, with the gate: `python pipeline.py --help`."""

import shlex
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from fraud_ae.configuration import schemas as config
from fraud_ae.configuration.checks import checked_settings
from fraud_ae.configuration.command_line import check_experiment, complete_retraining
from fraud_ae.errors import exit_on_user_error

config.register()
CONF = str(Path(__file__).resolve().parent / "conf")


@hydra.main(config_path=CONF, config_name="pipeline", execution_whitelist=["fraud_ae.*"])
@exit_on_user_error
def pipeline(cfg: DictConfig) -> None:
    """Run the stages that are asked for, audit the strategies, or show the results."""
    settings = checked_settings(cfg)
    if cfg.audit:
        from fraud_ae.pipeline.audit import audit_strategies

        audit_strategies(settings, list(HydraConfig.get().overrides.task))
        return
    if cfg.workspace:
        from fraud_ae.tracking.workspace import save_workspace

        wandb = settings["wandb"]
        print(save_workspace(wandb["entity"], wandb["project"], wandb["wait_seconds"]))
        return
    if cfg.mode == "rollback":
        from fraud_ae.configuration.command_line import OUTPUTS
        from fraud_ae.detector.versions import Versions

        before, now = Versions(OUTPUTS / cfg.experiment / "models").rollback()
        print(f"{cfg.experiment}: version {now} is in production, {before} was before")
        return
    patterns = _patterns(cfg.experiments or cfg.experiment)
    if cfg.mode == "retrain" and not cfg.summary and not cfg.report:
        _retrain(settings)
        return
    if not cfg.summary and not cfg.report:
        from fraud_ae.pipeline.stages import run_stages

        run_stages(settings, list(HydraConfig.get().overrides.task))
    if cfg.summary or not cfg.report:
        from fraud_ae.pipeline.summary import print_summary

        print_summary(patterns, settings)
    # Last, so that whatever keeps it from being written, all else is there and has been said.
    if cfg.report or not cfg.summary:
        from fraud_ae.report.page import write_reports

        write_reports(patterns)


def _retrain(settings: dict) -> None:
    """A retraining, its summary, both reports, and at the end what was decided."""
    from fraud_ae.configuration.command_line import OUTPUTS
    from fraud_ae.detector.versions import Versions
    from fraud_ae.pipeline.summary import print_summary
    from fraud_ae.pipeline.version_tables import explain
    from fraud_ae.production.retraining import retrain
    from fraud_ae.report.page import write_reports

    found = retrain(settings, list(HydraConfig.get().overrides.task))
    name = settings["experiment"]
    print_summary([name], settings)
    # A challenger whose folder has been cleared away has no report any more.
    write_reports([each for each in found.experiments if (OUTPUTS / each / "runs").is_dir()])
    print(f"\n{explain(found.decision, Versions(OUTPUTS / name / 'models'))}")


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
