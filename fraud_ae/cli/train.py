"""`python train.py`: train one configuration, or sweep over many."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fraud_ae.cli.hydra_command import run_hydra
from fraud_ae.configuration.command_line import complete, normalized
from fraud_ae.errors import exit_on_user_error

_COMMANDS = {"audit": "fraud-ae audit [FEATURES]"}


def train(cfg: DictConfig) -> float:
    """One Hydra job; returns the value that a sweep maximises."""
    # torch and all that is heavy comes only after the configuration is known to be right.
    from fraud_ae.configuration.job import Job

    job = Job.of(cfg, HydraConfig.get().runtime.choices)
    if job.stage.name == "production":
        from fraud_ae.production.job import run_production_job

        return run_production_job(job)
    from fraud_ae.sweeps.job import run_single_job, run_sweep_job

    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    return run_sweep_job(job) if is_sweep else run_single_job(job)


def _winner(candidates: Sequence[Path]) -> str:
    # Only here: a command that has nothing to choose need not wait for pandas.
    from fraud_ae.sweeps.winner import choose_winner

    return choose_winner(candidates)


def run_stage(arguments: list[str]) -> None:
    """Run `python train.py ARGUMENTS` within a pipeline, which has torch and the data loaded."""
    arguments = complete(arguments, _winner)
    typed = [a for a in arguments if not a.startswith("hydra.searchpath")]
    print(f"\n$ python train.py {shlex.join(typed)}", flush=True)
    GlobalHydra.instance().clear()
    outer = HydraConfig.instance().cfg
    try:
        run_hydra(train, "train", arguments)
    finally:
        HydraConfig.instance().cfg = outer


@exit_on_user_error
def main() -> None:
    """Complete the command line, print what was added to it, and run it."""
    typed = normalized(sys.argv[1:], _COMMANDS)
    arguments = complete(typed, _winner)
    added = [a for a in arguments if a not in typed and not a.startswith("hydra.searchpath")]
    if added:
        print(f"with {shlex.join(added)}", file=sys.stderr)
    run_hydra(train, "train", arguments)
