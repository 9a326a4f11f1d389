"""Workers that are jobs of SLURM, by submitit, https://github.com/facebookincubator/submitit."""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fraud_ae.errors import UserError, WorkerLost
from fraud_ae.runtime.stopping import undone_when_stopped
from fraud_ae.runtime.workers.packed import Lease, packed, run_packed
from fraud_ae.runtime.workers.workers import Submitted, Workers

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class SlurmJobs:
    """What each job asks SLURM for.

    cluster: `slurm`, or `local` for processes of this machine in place of jobs. jobs: of an array
    that run at a time. cpus: cores, and so threads. gpus: cards. memory: bytes, None for SLURM's
    usual. minutes: after which SLURM ends it. partition: None for SLURM's usual. options: of
    sbatch, such as account or qos.
    """

    cluster: str
    jobs: int
    cpus: int
    gpus: int
    memory: int | None
    minutes: int
    partition: str | None
    options: Mapping[str, Any] = field(default_factory=dict)


class SlurmWorkers(Workers):
    """Hand functions to SLURM: all that are submitted until one is waited for are a job array.

    Nodes must see the folders of this machine, and its Python with all packages.
    """

    advice = "hydra.launcher.memory=8GB and hydra.launcher.minutes=240 ask for more"

    def __init__(self, asked: SlurmJobs, lease_seconds: float = 300) -> None:
        super().__init__()
        self._lease_seconds = lease_seconds
        self.count = asked.jobs
        self._asked = asked
        self._submitit = _submitit()
        self._executor: Any = None
        self._unsent: list[Submitted] = []
        self._running: dict[Submitted, Any] = {}
        self._when_stopped = ExitStack()

    def start(self, folder: Path) -> None:
        """Begin to send jobs; what they print is kept in `slurm` of the experiment's folder."""
        if self._executor is not None:
            return
        asked, folder = self._asked, folder.resolve() / "slurm"
        folder.mkdir(parents=True, exist_ok=True)
        self._lease = Lease(folder / f"{uuid.uuid4().hex}.lease", self._lease_seconds)
        try:
            executor = self._submitit.AutoExecutor(folder=folder, cluster=asked.cluster)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"hydra.launcher.cluster={asked.cluster}: {error}") from error
        executor.update_parameters(
            name="fraud_ae",
            timeout_min=asked.minutes,
            cpus_per_task=asked.cpus,
            gpus_per_node=asked.gpus,
            **({"mem_gb": asked.memory / 10**9} if asked.memory else {}),
            slurm_array_parallelism=asked.jobs,
            **({"slurm_partition": asked.partition} if asked.partition else {}),
            **({"slurm_additional_parameters": dict(asked.options)} if asked.options else {}),
        )
        self._executor = executor

    def submit(self, function: Callable, *arguments: Any) -> Submitted:
        """Run it in a job of the next array."""
        submitted = Submitted(function, arguments)
        self._unsent.append(submitted)
        return submitted

    def ended(self, futures: Iterable[Future]) -> set[Future]:
        """Those of some futures that have ended; sends what waits, and waits until one has."""
        self._send()
        waited_for = set(futures)
        while True:
            for submitted in [s for s, job in self._running.items() if job.done()]:
                self._end(submitted, self._running.pop(submitted))
            if not self._running:
                self._when_stopped.close()
            if ended := {future for future in waited_for if future.done()}:
                return ended
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """Cancel what waits and what runs."""
        for submitted in [*self._unsent, *self._running]:
            submitted.cancel()
        for job in self._running.values():
            job.cancel(check=False)
        self._unsent.clear()
        self._running.clear()
        self._when_stopped.close()

    def _send(self) -> None:
        if not self._unsent:
            return
        if not self._running:
            # A command that is stopped cancels its jobs; those of one that is killed end alone.
            self._when_stopped.enter_context(undone_when_stopped(self._cancel))
            self._when_stopped.enter_context(self._leased())
        try:
            with self._executor.batch():
                jobs = [
                    self._executor.submit(
                        run_packed,
                        packed(s.function, s.arguments, self._asked.cpus, lease=self._lease),
                    )
                    for s in self._unsent
                ]
        except self._submitit.core.utils.FailedSubmissionError as error:
            raise UserError(
                f"hydra/launcher=slurm: SLURM takes no jobs: {str(error).strip().splitlines()[-1]}"
            ) from error
        self._running.update(zip(self._unsent, jobs, strict=True))
        self._unsent = []

    @contextmanager
    def _leased(self) -> Iterator[None]:
        ended = threading.Event()
        self._lease.file.touch()
        keeper = threading.Thread(target=self._lease.kept, args=(ended,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()

    def _cancel(self) -> None:
        for job in list(self._running.values()):
            job.cancel(check=False)

    def _end(self, submitted: Submitted, job: Any) -> None:
        utils = self._submitit.core.utils
        try:
            result = job.result()
        except utils.FailedJobError as error:
            submitted.set_exception(
                UserError(f"a job of SLURM failed, see {job.paths.stderr}: {error}")
            )
        except utils.UncompletedJobError as error:
            lost = WorkerLost(
                f"job {job.job_id} of SLURM ended early ({job.state}), as one does that is "
                f"cancelled or has not enough time or memory; it printed {job.paths.stderr}"
            )
            lost.__cause__ = error
            submitted.set_exception(lost)
        else:
            submitted.set_result(result)


def _submitit() -> Any:
    """The package. Raises UserError where it is not installed."""
    try:
        import submitit
    except ImportError:
        raise UserError(
            "hydra/launcher=slurm: submitit is not installed; pip install 'fraud_ae[slurm]'"
        ) from None
    return submitit
