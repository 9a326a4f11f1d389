"""Hydra's sweeper of command lines, for a launcher that takes a sweep as one batch."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from fraud_ae.errors import UserError, exit_on_user_error
from fraud_ae.sweeps.launcher import StackedLauncher


class BatchSweeper(Sweeper):
    """Runs every combination of the values that a sweep names, those of the last key fastest.

    Hydra's own basic sweeper does the same, but lies in a private module, and takes a sweep over
    nothing for done.

    max_batch_size: jobs that the launcher is given at a time; null for all of them. params:
    overrides that the command line stands above.
    """

    def __init__(
        self, max_batch_size: int | None = None, params: dict[str, str] | None = None
    ) -> None:
        self.max_batch_size = max_batch_size
        self.params = params or {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra calls it once, before the sweep."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    @exit_on_user_error
    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run the jobs; their returns, by batch.

        Ends the command with a message if what it was told cannot be used.
        """
        overrides = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        loader = self.hydra_context.config_loader
        jobs = combinations(OverridesParser.create(config_loader=loader).parse_overrides(overrides))
        size = len(jobs) if self.max_batch_size is None else self.max_batch_size
        if size < 1:
            raise UserError(f"hydra.sweeper.max_batch_size={size}: must be greater than 0")
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        returns = []
        for start in range(0, len(jobs), size):
            batch = jobs[start : start + size]
            self.validate_batch_is_legal(batch)
            results = self.launcher.launch(batch, initial_job_idx=start)
            for result in results:
                # To ask for it raises the error of a job that failed.
                _ = result.return_value
            returns.append(results)
        return returns

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose each job of a batch, where the launcher is not going to do so beforehand.

        To compose all of them twice takes longer than looking up a finished run.
        """
        if not isinstance(self.launcher, StackedLauncher):
            super().validate_batch_is_legal(batch)


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """The overrides of each job of a sweep; of a key that is given twice the last value counts.

    Raises UserError where a sweep is an interval.
    """
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise UserError(
                f"{override.input_line}: an interval has no list of values; name them, as in "
                f"{key}=choice(1,2), or take another sweeper"
            )
    return [list(job) for job in itertools.product(*values.values())]


def check_values(overrides: Iterable[Override]) -> None:
    """Refuse a sweep over nothing, such as a pattern that no option matches, for any sweeper.

    Raises UserError naming the options that there are.
    """
    for override in overrides:
        if override.is_discrete_sweep() and not list(override.sweep_iterator()):
            raise UserError(_no_value(override))


def _no_value(override: Override) -> str:
    loader: ConfigLoader | None = override.config_loader
    options = loader.get_group_options(override.key_or_group) if loader else []
    if not options:
        return f"{override.input_line}: there is no value to sweep over"
    return f"{override.input_line} matches none of {', '.join(options)}"
