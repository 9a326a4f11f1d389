"""A Hydra command, run in this process; whatever a user can mend is told in one line."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

import hydra

from fraud_ae.cli.mistakes import explained
from fraud_ae.configuration.command_line import CONF, experiment_name, outputs_folder
from fraud_ae.errors import UserError, exit_on_user_error
from fraud_ae.runtime.storage import storage_error
from fraud_ae.sweeps.plugins import register

# Hydra ends the process with messages of its own unless this asks it to let exceptions pass.
# What Hydra itself may build of a configuration, its own plugins and those of Optuna aside.
_BUILT_BY_HYDRA = [
    "fraud_ae.sweeps.callback.StageCallback",
    "fraud_ae.sweeps.launcher.StackedLauncher",
    "fraud_ae.sweeps.sweeper.BatchSweeper",
]
_FULL_ERROR = "HYDRA_FULL_ERROR"


def _explaining(function: Callable, experiment: Path) -> Callable:
    """The function, which raises UserError for a mistake of a configuration that it composes.

    experiment: the folder that it writes to; it may be read-only, or the disk full.
    """

    @functools.wraps(function)
    def explaining(*arguments: object) -> object:
        try:
            return function(*arguments)
        except Exception as error:
            mistake = explained(error)
            told = UserError(mistake) if mistake else storage_error(error, experiment)
            if told is None:
                raise
            raise told from error

    return explaining


def run_hydra(task: Callable, config_name: str, arguments: list[str]) -> None:
    """Run a Hydra task with arguments as if they had been typed.

    task: takes the composed configuration. arguments: overrides and Hydra's own flags. Raises
    UserError for a mistake of the command line or the configuration.
    """
    register()
    command = hydra.main(
        config_path=str(CONF), config_name=config_name, execution_whitelist=_BUILT_BY_HYDRA
    )
    typed, full_error = sys.argv, os.environ.get(_FULL_ERROR)
    sys.argv = [typed[0], *arguments]
    os.environ[_FULL_ERROR] = "1"
    try:
        experiment = outputs_folder(arguments) / experiment_name(arguments)
        explaining = functools.partial(_explaining, experiment=experiment)
        explaining(command(exit_on_user_error(explaining(task))))()
    finally:
        sys.argv = typed
        if full_error is None:
            del os.environ[_FULL_ERROR]
        else:
            os.environ[_FULL_ERROR] = full_error
