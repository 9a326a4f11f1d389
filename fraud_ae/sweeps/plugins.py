"""Hydra's launcher and sweeper of this package, and the schemas of the configuration."""

import functools

from hydra.core.plugins import Plugins

from fraud_ae.configuration.registration import register_schemas
from fraud_ae.sweeps.launcher import StackedLauncher
from fraud_ae.sweeps.sweeper import BatchSweeper


@functools.cache
def register() -> None:
    """Make them known to Hydra, before a configuration is composed."""
    Plugins.instance().register(StackedLauncher)
    Plugins.instance().register(BatchSweeper)
    register_schemas()
