"""What others have run, read from the W&B server."""

import itertools
import math
from dataclasses import dataclass

from fraud_ae.tracking.server import ask_server

# Of a long project the newest are enough.
_MOST_RUNS = 500


@dataclass(frozen=True)
class RemoteRun:
    """A finished run as the server knows it.

    run_id: as in the run store, so that the same run is known again. fingerprint, validation_set:
    of the data that its figures are of. figures: name -> number. user: who ran it.
    """

    run_id: str
    experiment: str
    stage: str
    strategy: str
    fingerprint: str | None
    validation_set: str | None
    user: str
    created: str
    url: str
    figures: dict[str, float]


def read_runs(
    entity: str | None, project: str, filters: dict, seconds: float
) -> tuple[str, list[RemoteRun]]:
    """The path of a project, and its newest finished runs that match.

    entity: None for that of the key. filters: in W&B's own form, such as `{"group": "shop"}`.
    Raises ConnectionError, with the reason, if the server does not give them within so many
    seconds.
    """

    def fetch() -> tuple[str, list[RemoteRun]]:
        import wandb

        api = wandb.Api(timeout=max(1, int(seconds)))
        path = f"{entity or api.default_entity}/{project}"
        runs = api.runs(
            path,
            filters={**filters, "state": "finished"},
            order="-created_at",
            per_page=_MOST_RUNS,
            lazy=False,
        )
        return path, [_remote_run(run) for run in itertools.islice(runs, _MOST_RUNS)]

    return ask_server(seconds, fetch)


def _remote_run(run) -> RemoteRun:
    config, summary = run.config, dict(run.summary)
    data, features = config.get("data", {}), config.get("features", {})
    numbers = {k: float(v) for k, v in summary.items() if isinstance(v, int | float)}
    # A NaN would rank anywhere.
    numbers = {k: v for k, v in numbers.items() if math.isfinite(v)}
    return RemoteRun(
        run_id=run.name,
        experiment=run.group or "",
        stage=run.job_type or "",
        strategy=features.get("name", ""),
        fingerprint=data.get("fingerprint"),
        validation_set=data.get("validation_set"),
        user=run.user.username or "",
        created=run.created_at,
        url=run.url,
        figures={k: v for k, v in numbers.items() if not k.startswith("_")},
    )
