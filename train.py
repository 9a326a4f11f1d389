"""Train one configuration, or sweep over many: `python train.py --help`."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fraud_ae.configuration.command_line import complete
from fraud_ae.errors import exit_on_user_error
from fraud_ae.sweeps.plugins import register

register()
CONF = str(Path(__file__).resolve().parent / "conf")


@hydra.main(config_path=CONF, config_name="train", execution_whitelist=["fraud_ae.*"])
@exit_on_user_error
def train(cfg: DictConfig) -> float | None:
    """One Hydra job; returns the value that a sweep maximises."""
    # Here, as `--help` does without pandas.
    from fraud_ae.configuration.job import Job

    job = Job.of(cfg, HydraConfig.get().runtime.choices)
    # torch and all that is heavy comes only after the configuration is known to be right.
    if job.stage.name == "production":
        from fraud_ae.production.job import run_production_job

        return run_production_job(job)
    from fraud_ae.sweeps.job import run_single_job, run_sweep_job

    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    return run_sweep_job(job) if is_sweep else run_single_job(job)


def run(arguments: list[str]) -> None:
    """Run a completed command as if it had been typed after `python train.py`."""
    sys.argv = ["train.py", *arguments]
    train()


@exit_on_user_error
def main() -> None:
    """Complete the command line, say with what, and run it."""
    arguments = complete(sys.argv[1:])
    added = [a for a in arguments if a not in sys.argv and not a.startswith("hydra.searchpath")]
    if added:
        print(f"with {' '.join(added)}", file=sys.stderr)
    run(arguments)


if __name__ == "__main__":
    main()
