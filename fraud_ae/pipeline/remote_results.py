"""What others have run, as the summary shows it and the gate takes it into account."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from fraud_ae.configuration.job import Job
from fraud_ae.tracking.remote_runs import RemoteRun, read_runs

log = logging.getLogger("fraud_ae")
_MOST_SHOWN = 10


@dataclass(frozen=True)
class RemoteResults:
    """Finished runs of a W&B project. project: its path, None where it could not be read."""

    project: str | None
    runs: tuple[RemoteRun, ...]


def read_remote_results(job: Job, filters: dict) -> RemoteResults | None:
    """The runs of the project that match, or None where `wandb.read` does not ask for them.

    filters: in W&B's own form. Where the server does not give them, a warning
    says so, and there are none.
    """
    if not job.wandb.read:
        return None
    server = job.known_server
    if server is not None and not server.answers():
        # It has been waited for, and that has been said.
        return RemoteResults(None, ())
    try:
        path, runs = read_runs(job.wandb.entity, job.wandb.project, filters, job.wandb.wait_seconds)
    except ConnectionError as error:
        log.warning("W&B cannot be read (%s): only what was run here is known", error)
        return RemoteResults(None, ())
    return RemoteResults(path, tuple(runs))


def print_remote_results(
    results: RemoteResults, local_ids: Sequence[str], console: Console
) -> None:
    """Print the best runs of others. local_ids: of the runs that are in the folder itself."""
    others = [run for run in results.runs if run.run_id not in local_ids]
    console.print(
        f"from W&B, {results.project}: {len(results.runs)} finished runs, {len(others)} of "
        "them not here; all other figures are of runs here",
        soft_wrap=True,
    )
    best = sorted(others, key=lambda run: -run.figures.get("final_auc", float("-inf")))
    if not best:
        return
    table = Table("stage", "strategy", "final_auc", "AP", "by", "on", "run", title="Run elsewhere")
    for column in table.columns[2:4]:
        column.justify = "right"
    for run in best[:_MOST_SHOWN]:
        figures = (run.figures.get(name) for name in ("final_auc", "average_precision"))
        cells = ("" if value is None else f"{value:.4f}" for value in figures)
        table.add_row(run.stage, run.strategy, *cells, run.user, run.created[:10], run.run_id[:7])
    console.print(table)
    if len(best) > _MOST_SHOWN:
        console.print(f"  and {len(best) - _MOST_SHOWN} more")
