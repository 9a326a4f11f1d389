"""The Optuna study of a sweep, written while the sweep goes on from the results of its jobs."""

import functools
import hashlib
import json
import logging
import math
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_ae.runtime.kept_files import parse_json, read_kept
from fraud_ae.sweeps.candidates import plain_values
from fraud_ae.sweeps.studies.search_space import as_parameter, in_json
from fraud_ae.sweeps.studies.storages import COMBINATION, CONTENT, Studies, SweepStudy

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

log = logging.getLogger("fraud_ae")

_POLL_SECONDS = 0.5


class StudyWriter:
    """Follows the results of a sweep, and adds each to its study as a finished trial.

    A trial is written when its job has ended, so that none is left running by a kill; the same
    sweep started again adds what is missing. A study belongs to one search space, of one stage,
    objective and set of validation rows, and to what else its jobs were told: only then the values
    are comparable, and no two trials have the same parameters.

    folder: of the experiment. studies: where they are kept. results: what jobs left, appended to by
    whoever reads it. space: what the sweep varies.
    """

    def __init__(
        self,
        folder: Path,
        studies: Studies,
        stage: str,
        objective: str,
        results: Sequence[dict],
        space: "Mapping[str, BaseDistribution]",
    ) -> None:
        self._folder = folder
        self._kept = studies
        self._stage = stage
        self._objective = objective
        self._results = results
        self._space = space
        self._written = 0
        self._works = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Begin to follow the results."""
        self._thread.start()

    def close(self) -> None:
        """Write what came last, and end."""
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            if self._works:
                self._write(self._results[self._written :])
        # All, because what has changed is replaced only once.
        self._write(self._results, replace=True)

    def _write(self, results: Sequence[dict], replace: bool = False) -> None:
        try:
            for name, (about, studied) in self._studies(results).items():
                trials = [trial_of(r, self._folder, self._objective, self._space) for r in studied]
                self._kept.add(SweepStudy(name, self._objective, about), trials, replace)
            self._written += len(results)
        except Exception as error:
            # Whatever it is: the sweep is worth more than the record of it. Once more at the end.
            self._works = False
            reason = str(error).strip().partition("\n")[0]
            _warn_once(
                f"{self._kept.where}: no trial can be written ({type(error).__name__}: {reason}). "
                "The sweep goes on; once that is mended, the same command adds the trials"
            )

    def _studies(self, results: Sequence[dict]) -> dict[str, tuple[dict, list[dict]]]:
        """Name -> description and results of each study that results belong to."""
        studies: dict[str, tuple[dict, list[dict]]] = {}
        for result in results:
            values = plain_values(result["overrides"]).items()
            about = {
                "stage": self._stage,
                "objective": self._objective,
                "data": result["data_name"],
                "fingerprint": result["data"],
                "validation_set": result["validation_set"],
                "swept": in_json(self._space),
                "fixed": {key: value for key, value in values if key not in self._space},
            }
            name = f"{self._kept.prefix}{self._stage} {self._objective} {_hash(about)[:8]}"
            studies.setdefault(name, (about, []))[1].append(result)
        return studies


@functools.cache
def _warn_once(message: str) -> None:
    """The stages of a pipeline share the file, so that each would say it again."""
    log.warning(message)


def trial_of(
    result: dict, folder: Path, objective: str, space: "Mapping[str, BaseDistribution]"
) -> "FrozenTrial":
    """The trial of a result; it failed if the job did, or has no value to compare.

    folder: of the experiment. space: what the sweep varies; these are the parameters.
    """
    from optuna.trial import TrialState, create_trial

    value, status, reason = result["objective"], result["status"], result["reason"]
    if status == "finished" and value is None:
        status, reason = "undefined", f"{objective} is undefined on these validation rows"
    figures = {name: v for name, v in result["metrics"].items() if _is_figure(v)}
    seconds = figures.pop("train_seconds", 0.0)
    values = plain_values(result["overrides"])
    parameters = {}
    for key, distribution in space.items():
        try:
            parameters[key] = as_parameter(values.get(key), distribution)
        except KeyError as other:
            # Such as a word that stands for true: told all the same.
            figures[key] = other.args[0]
    attributes = {
        "status": status,
        "reason": reason,
        "run_id": result["run_id"],
        **_links(folder, result["run_id"]),
        "candidate": result["choices"].get("candidate"),
        "seconds": seconds,
        **figures,
    }
    attributes = {name: v for name, v in attributes.items() if v is not None}
    combination = _hash(values)
    content = _hash([combination, value, attributes])
    trial = create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value,
        params=parameters,
        distributions={key: space[key] for key in parameters},
        user_attrs={**attributes, COMBINATION: combination, CONTENT: content},
    )
    trial.datetime_complete = _completed(folder, result["run_id"])
    trial.datetime_start = trial.datetime_complete - timedelta(seconds=seconds)
    return trial


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _hash(values: object) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _links(folder: Path, run_id: str | None) -> dict:
    """Where the run of a trial lies, and where W&B shows it or keeps it."""
    if run_id is None:
        return {}
    run = folder / "runs" / run_id
    tracked = sorted([*run.glob("wandb/offline-run-*"), *run.glob("wandb/run-*")])
    links = {"run": str(run)}
    tracked_online = read_kept(run / "wandb.json", parse_json)
    if tracked_online is not None:
        links["wandb"] = tracked_online["url"]
    elif tracked:
        links["wandb"] = str(tracked[-1])
    return links


def _completed(folder: Path, run_id: str | None) -> datetime:
    """When a run was trained; a job without one has ended just now."""
    metrics = folder / "runs" / str(run_id) / "metrics.json"
    return datetime.fromtimestamp(metrics.stat().st_mtime) if metrics.is_file() else datetime.now()
