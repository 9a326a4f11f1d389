"""The workers of a launcher: which of `hydra/launcher` was chosen, and with which settings.

What each kind needs is imported in the functions: a command that trains nothing does without it.
"""

import functools
import json
from collections.abc import Mapping
from typing import Any

from fraud_ae.errors import UserError
from fraud_ae.runtime.sizes import size_in_bytes
from fraud_ae.runtime.workers.local import shared_workers
from fraud_ae.runtime.workers.workers import Workers

# Least values of the settings of `hydra/launcher`.
_LEAST = {"workers": 1, "stack_size": 1, "cpus": 1, "gpus": 0, "jobs": 1, "minutes": 1}


def workers_with(settings: Mapping[str, Any]) -> Workers:
    """Workers with the settings of a launcher, the same for all that ask.

    settings: as `hydra.launcher` has them; those of Hydra's own launchers have no kind, and then
    the workers are this machine's. Raises UserError for a setting that cannot be used, and where a
    cluster or the package for it is not there.
    """
    for name, least in _LEAST.items():
        value = settings.get(name)
        if value is not None and value < least:
            bound = f"at least {least}" if least == 0 else f"greater than {least - 1}"
            raise UserError(f"hydra.launcher.{name}={value}: must be {bound}")
    kind = settings.get("kind", "local")
    if kind not in _KINDS:
        raise UserError(f"hydra.launcher.kind={kind}: must be one of {', '.join(_KINDS)}")
    return _made(kind, json.dumps(settings))


@functools.cache
def _made(kind: str, settings: str) -> Workers:
    return _KINDS[kind](json.loads(settings))


def _local(settings: Mapping[str, Any]) -> Workers:
    return shared_workers(settings.get("workers"))


def _ray(settings: Mapping[str, Any]) -> Workers:
    from fraud_ae.runtime.workers.ray_cluster import RayWorkers

    return RayWorkers(
        settings["address"],
        settings["cpus"],
        settings["gpus"],
        size_in_bytes("hydra.launcher.memory", settings["memory"]),
    )


def _slurm(settings: Mapping[str, Any]) -> Workers:
    from fraud_ae.runtime.workers.slurm import SlurmJobs, SlurmWorkers

    names = ("cluster", "jobs", "cpus", "gpus", "minutes", "partition", "options")
    asked = {name: settings[name] for name in names}
    return SlurmWorkers(
        SlurmJobs(**asked, memory=size_in_bytes("hydra.launcher.memory", settings["memory"]))
    )


_KINDS = {"local": _local, "ray": _ray, "slurm": _slurm}
