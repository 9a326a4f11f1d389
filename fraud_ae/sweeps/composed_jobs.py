"""The configurations of the jobs of a sweep."""

import pickle

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write


class ComposedJobs:
    """Composes a job from its overrides.

    Hydra reads all files anew for each job, which takes longer than looking up a finished run. Jobs
    that differ in nothing but values share that: the first is composed, the others are copies.
    """

    def __init__(self, loader: ConfigLoader, sweep: DictConfig) -> None:
        self._loader = loader
        self._sweep = sweep
        self._parser = OverridesParser.create(config_loader=loader)
        self._first: dict[tuple, bytes] = {}

    def config(self, overrides: list[str], number: int) -> DictConfig:
        """The configuration of a job. number: of the job in the sweep."""
        parsed = self._parser.parse_overrides(overrides)
        values = {o.key_or_group: o for o in parsed if _is_value(o)}
        # Everything but the values themselves.
        alike = (*values, *(o.input_line for o in parsed if not _is_value(o)))
        if alike not in self._first:
            composed = self._loader.load_sweep_config(self._sweep, overrides)
            self._first[alike] = pickle.dumps(composed)
        # The same as a deep copy, several times as fast; of what this process has made itself.
        config = pickle.loads(self._first[alike])  # noqa: S301
        with read_write(config), open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(number), number
            config.hydra.overrides.task = overrides
        for key, override in values.items():
            OmegaConf.update(config, key, override.value(), merge=False)
        return config


def _is_value(override: Override) -> bool:
    """`model.latent_dim=8`, whose dot says that it is no option of a group."""
    is_plain = not (override.is_add() or override.is_delete() or override.package)
    return (
        is_plain and "." in override.key_or_group and not override.key_or_group.startswith("hydra.")
    )
