"""Workers that are tasks of a Ray cluster, https://docs.ray.io/en/latest/ray-core/tasks.html."""

import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from fraud_ae.errors import UserError, WorkerLost
from fraud_ae.runtime.workers.packed import (
    Packed,
    check_surroundings,
    packed,
    run_packed,
    surroundings,
)
from fraud_ae.runtime.workers.ray_connection import connected
from fraud_ae.runtime.workers.workers import Outcome, Submitted, Workers

# What was at a node that is lost, Ray does again elsewhere, as it was: so often.
_RETRIES = 2
_NODE_SECONDS = 120


class RayWorkers(Workers):
    """Hand functions to a Ray cluster, which places them by what they ask for.

    Nodes must see the folders of this machine, and have the same packages.

    address: of the cluster's head, as 10.0.0.1:6379, or `auto` for the one that this machine
    belongs to. cpus: cores of a task, and so its threads. gpus: cards of a task. memory: bytes that
    are set aside for a task, None for no such rule. Raises UserError where there is no such cluster
    or none of its nodes has what a task asks for.
    """

    advice = "hydra.launcher.memory=8GB sets more memory aside for each"

    def __init__(self, address: str, cpus: int, gpus: float, memory: int | None) -> None:
        super().__init__()
        self._asked = {"num_cpus": cpus, "num_gpus": gpus, "memory": memory}
        self._threads = cpus
        self._running: dict[Submitted, Any] = {}
        self._lock = threading.Lock()
        self._are_nodes_checked = False
        self._ray = connected(
            address,
            "hydra/launcher=ray",
            f"hydra.launcher.address={address}: no Ray cluster answers there; begin one by "
            "`ray start --head`, or give the address that it printed",
        )
        self._task = self._ray.remote(run_packed).options(
            **{name: value for name, value in self._asked.items() if value},
            max_retries=_RETRIES,
        )
        self.count = sum(map(self._tasks_of, self._nodes()))
        if not self.count:
            wanted = ", ".join(f"{k.removeprefix('num_')}={v}" for k, v in self._asked.items() if v)
            raise UserError(
                f"hydra/launcher=ray: no node of the cluster has {wanted} for a task; "
                "ask for less by hydra.launcher.cpus, gpus and memory"
            )

    def start(self, folder: Path) -> None:
        """Ask every node whether it sees the folder, and has the versions of this machine."""
        if self._are_nodes_checked:
            return
        folder.mkdir(parents=True, exist_ok=True)
        token = folder.resolve() / f".seen-{uuid.uuid4().hex}"
        token.touch()
        try:
            here = surroundings(token)
            for node, there in self._ask_nodes(token).items():
                check_surroundings(here, there, node)
        finally:
            token.unlink()
        self._are_nodes_checked = True

    def submit(self, function: Callable, *arguments: Any) -> Submitted:
        """Hand it to the cluster, which runs it as soon as a node has what it asks for."""
        submitted = Submitted(function, arguments)
        reference = self._task.remote(self._packed(function, *arguments))
        with self._lock:
            self._running[submitted] = reference
        reference.future().add_done_callback(partial(self._end, submitted))
        return submitted

    def kill(self) -> None:
        """Cancel what waits and what runs."""
        with self._lock:
            running, self._running = self._running, {}
        for submitted, reference in running.items():
            submitted.cancel()
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(reference, force=True)

    def _packed(self, function: Callable, *arguments: Any) -> Packed:
        # A node knows neither who the user is for W&B nor what was switched off.
        variables = {k: v for k, v in os.environ.items() if k.startswith("WANDB_")}
        variables.pop("WANDB_SERVICE", None)
        return packed(function, arguments, self._threads, variables)

    def _end(self, submitted: Submitted, done: "Future[Outcome]") -> None:
        """What Ray says of a task that has ended, in a thread of its own."""
        with self._lock:
            if self._running.pop(submitted, None) is None:
                return
        error = done.exception()
        if error is None:
            submitted.set_result(done.result())
        elif isinstance(error, self._ray.exceptions.RayTaskError):
            submitted.set_exception(error)
        elif isinstance(error, self._ray.exceptions.RayError):
            lost = WorkerLost("a task of the Ray cluster was lost, as with its node or its memory")
            lost.__cause__ = error
            submitted.set_exception(lost)
        else:
            submitted.set_exception(error)

    def _nodes(self) -> list[dict]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _tasks_of(self, node: dict) -> int:
        """How many tasks a node takes at a time."""
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        return min(
            int(node["Resources"].get(names[name], 0) // value)
            for name, value in self._asked.items()
            if value
        )

    def _ask_nodes(self, token: Path) -> dict[str, dict[str, str]]:
        """Name of each node that takes tasks -> its surroundings."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = {}
        for node in filter(self._tasks_of, self._nodes()):
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = self._ray.remote(run_packed).options(num_cpus=0, scheduling_strategy=strategy)
            name = f"node {node['NodeManagerAddress']} ({node['NodeManagerHostname']})"
            asked[name] = task.remote(self._packed(surroundings, token))
        answers = {}
        for name, reference in asked.items():
            try:
                result, _ = self._ray.get(reference, timeout=_NODE_SECONDS)
            except (
                self._ray.exceptions.TaskUnschedulableError,
                self._ray.exceptions.NodeDiedError,
            ):
                # Lost meanwhile: what it would have done is done by others.
                continue
            except self._ray.exceptions.RayError as error:
                raise UserError(
                    f"{name} does not run fraud_ae: {str(error).strip().splitlines()[-1]}"
                ) from error
            if not isinstance(result, dict):
                raise result.error
            answers[name] = result
        return answers
