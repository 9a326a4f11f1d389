"""The Optuna study of a sweep, written while the sweep goes on from the results of its jobs."""

import functools
import hashlib
import json
import logging
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from fraud_ae.sweep.study_file import STUDIES, StudyFile, Trial

log = logging.getLogger("fraud_ae")

_POLL_SECONDS = 0.5
# Its value belongs to the stage, unless the command itself names it.
_OF_THE_STAGE = "trainer.max_epochs"


class StudyWriter:
    """Follows the results of a sweep, and adds each to its study as a finished trial.

    A trial is written when its job has ended, so that none is left running by a kill; the same
    sweep started again adds what is missing. There is a study for each stage, objective and set of
    validation rows, because only values of the same are comparable.

    folder: of the experiment. results: what jobs left, appended to by whoever reads it. swept: keys
    that the sweep varies, and their values as far as they are known.
    """

    def __init__(
        self,
        folder: Path,
        stage: str,
        objective: str,
        results: Sequence[dict],
        swept: Mapping[str, Sequence],
    ) -> None:
        self._folder = folder
        self._stage = stage
        self._objective = objective
        self._results = results
        self._swept = swept
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
                self._write()
        self._write()

    def _write(self) -> None:
        new = self._results[self._written :]
        if not new:
            return
        path = self._folder / STUDIES
        try:
            for name, about, results in self._studies(new):
                trials = [trial_of(r, self._folder, self._objective, self._swept) for r in results]
                StudyFile(path, name, self._objective, about).add(trials, self._swept)
            self._written += len(new)
        except Exception as error:
            # Whatever it is: the sweep is worth more than the record of it. Once more at the end.
            self._works = False
            reason = str(error).strip().partition("\n")[0]
            _warn_once(
                f"{path}: no trial can be written ({type(error).__name__}: {reason}). The sweep "
                "goes on; once that is mended, the same command adds the trials"
            )

    def _studies(self, results: list[dict]) -> list[tuple[str, dict, list[dict]]]:
        """Name and description of each study that results belong to, with those results."""
        studies: dict[str, tuple[dict, list[dict]]] = {}
        for result in results:
            name = f"{self._stage} {self._objective} {result['validation_set']}"
            about = {
                "stage": self._stage,
                "objective": self._objective,
                "data": result["data_name"],
                "fingerprint": result["data"],
                "validation_set": result["validation_set"],
            }
            studies.setdefault(name, (about, []))[1].append(result)
        return [(name, about, own) for name, (about, own) in studies.items()]


@functools.cache
def _warn_once(message: str) -> None:
    """The stages of a pipeline share the file, so that each would say it again."""
    log.warning(message)


def trial_of(result: dict, folder: Path, objective: str, swept: Iterable[str]) -> Trial:
    """The trial of a result; it failed if the job did, or has no value to compare.

    folder: of the experiment. swept: keys that the sweep varies; they are parameters, and so are
    all values that the job or its candidate was given.
    """
    metrics, status, reason = result["metrics"], result["status"], result["reason"]
    if status == "finished" and result["objective"] is None:
        status, reason = "undefined", f"{objective} is undefined on these validation rows"
    figures = {name: v for name, v in metrics.items() if _is_figure(v)}
    seconds = figures.pop("train_seconds", 0.0)
    attributes = {
        "status": status,
        "reason": reason,
        "run_id": result["run_id"],
        **_links(folder, result["run_id"]),
        "seconds": seconds,
        **figures,
    }
    completed = _completed(folder, result["run_id"])
    return Trial(
        key=_key(result),
        value=result["objective"],
        parameters=_parameters(result, swept),
        attributes={name: v for name, v in attributes.items() if v is not None},
        started=completed - timedelta(seconds=seconds),
        completed=completed,
    )


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _key(result: dict) -> str:
    """The same for the same combination: what it was told, and the run that came of it.

    The name of a candidate is no part of it, because the next sweep gives it to another.
    """
    text = json.dumps([result["run_id"], result["overrides"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parameters(result: dict, swept: Iterable[str]) -> dict:
    given = dict(result["overrides"])
    options = {
        group.removeprefix("override /"): option
        for entry in given.pop("defaults", [])
        for group, option in entry.items()
    }
    values = _flat(given)
    if _OF_THE_STAGE not in result["parameters"]:
        values.pop(_OF_THE_STAGE, None)
    groups = {name: option for name, option in options.items() if name in swept}
    chosen = {name: result["choices"].get(name) for name in ("candidate", "features")}
    return {**{k: v for k, v in chosen.items() if v is not None}, **groups, **values}


def _flat(values: dict, before: str = "") -> dict:
    flat: dict = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[before + key] = category(value)
    return flat


def category(value: object) -> object:
    """A value as a parameter of Optuna, which takes no lists."""
    return value if isinstance(value, int | float | str | None) else json.dumps(value)


def _links(folder: Path, run_id: str | None) -> dict:
    """Where the run of a trial lies, and where W&B shows it or keeps it."""
    if run_id is None:
        return {}
    run = folder / "runs" / run_id
    kept = sorted([*run.glob("wandb/offline-run-*"), *run.glob("wandb/run-*")])
    links = {"run": str(run)}
    if (run / "wandb.json").is_file():
        links["wandb"] = json.loads((run / "wandb.json").read_text())["url"]
    elif kept:
        links["wandb"] = str(kept[-1])
    return links


def _completed(folder: Path, run_id: str | None) -> datetime:
    """When a run was trained; a job without one has ended just now."""
    metrics = folder / "runs" / str(run_id) / "metrics.json"
    return datetime.fromtimestamp(metrics.stat().st_mtime) if metrics.is_file() else datetime.now()
