"""A Hydra launcher for which a sweep is one batch of work.

What reads data is imported in the functions: `--help` answers without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from fraud_ae.configuration.checks import check_devices
from fraud_ae.errors import exit_on_user_error
from fraud_ae.runtime.workers.workers import Workers
from fraud_ae.sweeps.composed_jobs import ComposedJobs
from fraud_ae.sweeps.workers import workers_with


class StackedLauncher(Launcher):
    """Trains what the jobs need first, together where it can, then runs each job.

    stack_size: most networks in one loop. workers: which train them, and what they ask for; see
    `workers_of`.
    """

    def __init__(self, stack_size: int = 6, **workers: Any) -> None:
        self.stack_size = stack_size
        self.workers = workers

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra calls it once, before the first batch."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    @exit_on_user_error
    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch of jobs; their returns come in the order of their overrides.

        Ends the command with a message if what it was told cannot be used.
        """
        from fraud_ae.configuration.job import experiment_folder

        begin_workers(experiment_folder(self.config), self.config.hydra.launcher)
        setup_globals()
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        composed = ComposedJobs(self.hydra_context.config_loader, self.config)
        configs = [
            composed.config(list(overrides), initial_job_idx + number)
            for number, overrides in enumerate(job_overrides)
        ]
        returns: dict[int, JobReturn] = {}
        for number in self._in_order_of_readiness(configs, folder):
            returns[number] = self._run(configs[number])
        return [returns[number] for number in range(len(configs))]

    def _in_order_of_readiness(self, configs: list[DictConfig], folder: Path) -> Iterator[int]:
        # What is wrong with any of them is said at once, before hours of training.
        from fraud_ae.configuration.job import Job

        jobs = [Job.of(config, config.hydra.runtime.choices) for config in configs]
        from fraud_ae.sweeps.job import check_candidate, check_classes, is_ready, trained

        for job in jobs:
            check_devices(asdict(job.trainer), "a sweep")
            check_candidate(job)
        for job in {(job.source.node, job.split): job for job in jobs}.values():
            check_classes(job)
        ready = [is_ready(job) for job in jobs]
        waiting = [number for number, is_there in enumerate(ready) if not is_there]
        if waiting:
            workers = workers_of(self.config.hydra.launcher)
            workers.start(jobs[0].folder)
        yield from (number for number, is_there in enumerate(ready) if is_there)
        if waiting:
            # What trains takes long to import: here, while the workers begin.
            from fraud_ae.sweeps.training.prefetched import PrefetchedTrainings

            left = [jobs[number] for number in waiting]
            trainings = PrefetchedTrainings(left, folder, trained, workers, self.stack_size)
            yield from (waiting[position] for position in trainings.ready())

    def _run(self, config: DictConfig) -> JobReturn:
        returned = run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        whitelist = self.hydra_context.execution_whitelist
        hydra = self.config.hydra
        configure_log(hydra.hydra_logging, hydra.verbose, execution_whitelist=whitelist)
        return returned


def workers_of(launcher: DictConfig) -> Workers:
    """The workers of a launcher, see `workers_with`. launcher: the node `hydra.launcher`."""
    return workers_with(OmegaConf.to_container(launcher, resolve=True))


def begin_workers(experiment: Path, launcher: DictConfig) -> None:
    """Begin what takes a worker seconds, if an experiment is new: something is to be trained.

    experiment: its folder. launcher: the node `hydra.launcher`. Raises UserError for a setting of
    it that cannot be used.
    """
    workers = workers_of(launcher)
    if not (experiment / "runs").is_dir():
        workers.start(experiment)
