"""Hydra's sweeper of command lines, for a launcher that takes a sweep as one batch."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

from fraud_ae.sweeps.launcher import StackedLauncher


class BatchSweeper(BasicSweeper):
    """The basic sweeper, without composing each job twice.

    Hydra composes all of them only to see whether that can be done, which takes longer than looking
    up a finished run. The stacked launcher does the same before the first job runs.
    """

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose each job of a batch, where the launcher is going to do so one after another."""
        if not isinstance(self.launcher, StackedLauncher):
            super().validate_batch_is_legal(batch)
