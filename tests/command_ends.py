"""To which end command lines lead, found in this process: as far as they read no data."""

import sys

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from fraud_ae.cli.app import app
from fraud_ae.cli.app import main as fraud_ae
from fraud_ae.cli.hydra_command import run_hydra
from fraud_ae.configuration.command_line import complete, normalized, only_shows
from fraud_ae.configuration.job import Job
from fraud_ae.configuration.pipeline_job import PipelineJob
from fraud_ae.errors import UserError

JOBS = {"train": Job, "pipeline": PipelineJob}


def composed(name: str, arguments: list[str]) -> None:
    """Everything that `train.py` or `pipeline.py` does before it reads data."""
    taken = complete(normalized(arguments, {}))
    if not only_shows(taken):
        choices = HydraConfig.get
        run_hydra(lambda cfg: JOBS[name].of(cfg, choices().runtime.choices), name, taken)


def end_of(name: str, arguments: list[str]) -> object:
    """The exit code that a command line leads to, or what else is raised.

    A mistake is told on stderr, as the command itself does.
    """
    try:
        composed(name, arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as ended:
        return ended.code
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        GlobalHydra.instance().clear()
    return 0


def end_of_verb(arguments: list[str]) -> object:
    """The exit code of `fraud-ae ARGUMENTS`, or what else is raised."""
    typed = sys.argv
    sys.argv = ["fraud-ae", *arguments]
    # Every start registers them.
    app.registered_commands.clear()
    try:
        fraud_ae()
    except SystemExit as ended:
        return ended.code
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        sys.argv = typed
        GlobalHydra.instance().clear()
    return None
