"""What this process has trained, so that no job trains it again."""

from fraud_ae.errors import UserError
from fraud_ae.experiments.run_store import Run


class TrainedRuns:
    """Runs that were trained, and those whose training failed.

    failed: run id -> why, a TrainingDiverged or a WorkerLost.
    """

    def __init__(self) -> None:
        self.failed: dict[str, UserError] = {}
        self._ids: set[str] = set()
        self._unreported: set[str] = set()

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, run: Run) -> None:
        """A run has just been trained, and no job has told of it yet."""
        self._ids.add(run.id)
        self._unreported.add(run.id)

    def reusable(self, run: Run, retrain: bool) -> bool:
        """Whether a finished run need not be trained; with `retrain` only one of this process."""
        return run.finished and (run.id in self._ids or not retrain)

    def report(self, run: Run) -> bool:
        """Whether the run was trained for whoever asks: true for the first only."""
        is_new = run.id in self._unreported
        self._unreported.discard(run.id)
        return is_new
