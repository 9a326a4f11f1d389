"""Train one configuration, or sweep over many: `python train.py --help`."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from fraud_ae.configuration import schemas as config
from fraud_ae.configuration.checks import checked_settings
from fraud_ae.configuration.command_line import complete
from fraud_ae.errors import exit_on_user_error

config.register()
CONF = str(Path(__file__).resolve().parent / "conf")


@hydra.main(config_path=CONF, config_name="train", execution_whitelist=["fraud_ae.*"])
@exit_on_user_error
def train(cfg: DictConfig) -> float | None:
    """One Hydra job; returns the value that a sweep maximises, None of an audit."""
    settings = checked_settings(cfg)
    if cfg.audit:
        from fraud_ae.pipeline.audit import audit_strategy

        return audit_strategy(settings)
    # torch and all that is heavy comes only after the configuration is known to be right.
    from fraud_ae.sweeps.job import run_job

    return run_job(cfg, settings)


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
