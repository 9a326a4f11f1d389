"""Where the partitions are computed: in this process one after another, or as tasks of Ray."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from fraud_ae.errors import UserError
from fraud_ae.runtime.workers.ray_connection import connected


def run_all(engine: str, function: Callable[..., None], tasks: Sequence[tuple]) -> None:
    """Call a function of this package with each of some arguments; raises what a call raises."""
    if engine == "ray":
        _run_on_ray(function, tasks)
        return
    for arguments in tasks:
        function(*arguments)


def _run_on_ray(function: Callable[..., None], tasks: Sequence[tuple]) -> None:
    imported = sys.modules.get("ray")
    was_connected = imported is not None and imported.is_initialized()
    address = os.environ.get("RAY_ADDRESS") or None
    ray = connected(
        address,
        "features.engine=ray",
        f"features.engine=ray: no Ray cluster answers at RAY_ADDRESS={address}; begin one by `ray "
        "start --head`, or leave RAY_ADDRESS away for one of this machine",
    )
    # A task that is tried again would not find what it has taken away.
    remote = ray.remote(max_retries=0)(function)
    waiting = [remote.remote(*arguments) for arguments in tasks]
    try:
        while waiting:
            done, waiting = ray.wait(waiting)
            ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise _cause(error) from None
    except ray.exceptions.RayError as error:
        raise UserError(
            f"features.engine=ray: a task was lost ({type(error).__name__}); its node may have "
            "ended or run out of memory. The same command computes the features again"
        ) from error
    finally:
        for task in waiting:
            ray.cancel(task, force=True)
        for task in waiting:
            # Otherwise Ray prints at the end what nobody has read.
            with suppress(ray.exceptions.RayError):
                ray.get(task)
        # A sweep may ask for another cluster afterwards.
        if not was_connected:
            ray.shutdown()


def _cause(error: Any) -> BaseException:
    """What a task raised; a file that is not there lies where its node does not see it."""
    cause = error.cause
    if isinstance(cause, FileNotFoundError):
        return UserError(
            f"features.engine=ray: a node does not see {cause.filename}; outputs_dir must be a "
            "folder that all nodes share"
        )
    return cause
