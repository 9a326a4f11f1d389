"""Versions of an experiment's model: none is ever changed, and one of them is in production.

    models/versions/0001/            a whole model, to which an ONNX file of it may be added
    models/production -> versions/0001
    models/decisions/0001.json       why that version is in production, or is not
    models/decisions/history.json    what has been in production, in order

A decision is written first, then its version, then the history, and the link last. Each is written
whole or not at all, and `settle` makes up for what a kill left out, so that whatever is read in
between is a whole model.
"""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock

from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.detector.package_files import copy_model, hashes, info_of, mend
from fraud_ae.errors import UserError
from fraud_ae.runtime.atomic_files import to_disk, write_folder
from fraud_ae.runtime.kept_files import (
    DamagedFile,
    parse_json,
    read_checked,
    read_kept,
    warn_once,
    write_kept_json,
)

PRODUCTION = "production"
_VERSIONS, _DECISIONS = "versions", "decisions"
_ROLLBACK, _PROMOTE = "rollback", "promote"


@dataclass(frozen=True)
class Versions:
    """The versions of one experiment. folder: its `models`."""

    folder: Path

    @property
    def numbers(self) -> list[str]:
        """Of the saved versions, such as `0001`, the oldest first."""
        return sorted(p.name for p in (self.folder / _VERSIONS).glob("[0-9]*") if p.is_dir())

    @property
    def in_production(self) -> str | None:
        """The version that `production` points to, None before there is one."""
        link = self.folder / PRODUCTION
        return Path(os.readlink(link)).name if link.is_symlink() else None

    @property
    def history(self) -> list[dict]:
        """What has been in production, in order: time, version, because, decided (its time)."""
        kept = read_kept(self._history_file, parse_json)
        return kept["events"] if kept else []

    @property
    def _history_file(self) -> Path:
        return self.folder / _DECISIONS / "history.json"

    def version(self, number: str) -> Path:
        """The folder of a version."""
        return self.folder / _VERSIONS / number

    def info(self, number: str) -> dict:
        """What the `model_info.yaml` of a version says. Raises DamagedFile."""
        return read_checked(self.version(number) / MODEL_INFO, info_of)

    def decision_file(self, number: str) -> Path:
        """The file of the decision on a version."""
        return self.folder / _DECISIONS / f"{number}.json"

    def decisions(self) -> dict[str, dict]:
        """Version -> the last decision on it; a number may have one and no version.

        A damaged one is told, and left out.
        """
        paths = sorted((self.folder / _DECISIONS).glob("[0-9]*.json"))
        read = {path.stem: read_kept(path, parse_json) for path in paths}
        return {number: decision for number, decision in read.items() if decision is not None}

    def next_number(self) -> str:
        """The number of the next version: no version has it, and no retraining."""
        retrained = [n for n, decision in self.decisions().items() if decision["kind"] == "retrain"]
        used = [int(number) for number in (*self.numbers, *retrained)]
        return f"{max(used, default=0) + 1:04d}"

    def same_as(self, package: Path) -> str | None:
        """The version with the files of a package, but for those that only describe the model.

        A version that cannot be compared is told, and left out. Raises DamagedFile where it is the
        package.
        """
        wanted = hashes(package)
        for number in self.numbers:
            try:
                if hashes(self.version(number)) == wanted:
                    return number
            except DamagedFile as error:
                warn_once(str(error))
        return None

    def is_for_production(self, package: Path) -> bool:
        """Whether a package is in production, or will be once published; a damaged one is told."""
        current = self.in_production
        try:
            return current is None or self.same_as(package) == current
        except DamagedFile as error:
            warn_once(str(error))
            return False

    def lock(self) -> FileLock:
        """Held while versions are decided on; the operating system releases it with a process."""
        locks = self.folder.parent / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        return FileLock(locks / "versions.lock")

    def decide(self, number: str, decision: dict, fill: Callable[[Path], None] | None) -> dict:
        """Write a decision and its version, and switch where it says so; returns the decision.

        decision: with `kind` (pipeline, retrain or change) and `promoted`. fill: writes the model
        into the folder that it is given, where there is no such version yet; None where the
        decision is about no model.
        """
        decision = {"version": number, "time": _now(), **decision}
        write_kept_json(self.decision_file(number), decision)
        if fill is not None and number not in self.numbers:
            write_folder(self.version(number), fill)
        self.settle()
        return decision

    def settle(self) -> None:
        """Carry out what has been decided and is not done, as after a kill."""
        if self.in_production is not None and read_kept(self._history_file, parse_json) is None:
            self._write_history(self._history_of_decisions())
        events = self.history
        done = {(event["version"], event["decided"]) for event in events}
        numbers = set(self.numbers)
        # In the order of their numbers, as the clock of a machine may jump back.
        for number, decision in self.decisions().items():
            is_done = (number, decision["time"]) in done
            if not decision["promoted"] or number not in numbers or is_done:
                continue
            self._add_event(decision["version"], decision["kind"], decided=decision["time"])
        wanted = self.stack()
        if wanted and wanted[-1] != self.in_production:
            self._point_to(wanted[-1])

    def stack(self) -> list[str]:
        """What is in production, last, and what rollbacks would bring back one after another."""
        stack: list[str] = []
        for event in self.history:
            if event["because"] == _ROLLBACK:
                stack.pop()
            else:
                stack.append(event["version"])
        return stack

    def promote(self, number: str) -> str:
        """Put a version into production; returns the one that was, which may be the same.

        The version is loaded, and so checked, before the switch. Raises UserError where there is no
        such version, or it is not whole.
        """
        from fraud_ae.detector.detector import FraudDetector

        with self.lock():
            self.settle()
            before = self.in_production
            if number not in self.numbers:
                there = ", ".join(self.numbers) or "none"
                raise UserError(f"{self.folder}: no version {number!r} (versions: {there})")
            if number != before:
                FraudDetector.load(self.version(number))
                self._add_event(number, _PROMOTE, decided=None)
                self._point_to(number)
            return before

    def rollback(self) -> tuple[str, str]:
        """Put the version before into production; returns the version that was, and that is.

        The version is loaded, and so checked, before the switch. Where a rollback was killed, it
        is that one which is finished. Raises UserError where there is no version before, or it is
        not whole.
        """
        from fraud_ae.detector.detector import FraudDetector

        with self.lock():
            before, history = self.in_production, self.history
            unfinished = history and history[-1]["because"] == _ROLLBACK
            self.settle()
            stack = self.stack()
            if not stack:
                raise UserError(f"{self.folder}: no model is in production; python pipeline.py")
            if unfinished and before != stack[-1]:
                return before, stack[-1]
            if len(stack) < 2:
                raise UserError(
                    f"{self.folder}: version {stack[-1]} is in production, and none was before it"
                )
            FraudDetector.load(self.version(stack[-2]))
            self._add_event(stack[-2], _ROLLBACK, decided=None)
            self._point_to(stack[-2])
            return stack[-1], stack[-2]

    def rows(self) -> list[dict]:
        """Of each version what a table shows: its model, its figures, and the decision on it.

        Keys: version, in_production, created, from, to, fitted_on, auc and average_precision (of
        the test rows of its data), decision (None where there is none). A damaged version is told,
        and left out.
        """
        decisions, current = self.decisions(), self.in_production
        rows = []
        for number in self.numbers:
            try:
                facts = _of_info(self.info(number))
            except DamagedFile as error:
                warn_once(str(error))
                continue
            is_current, decision = number == current, decisions.get(number)
            named = {"version": number, "in_production": is_current}
            rows.append({**named, **facts, "decision": decision})
        return rows

    def _add_event(self, number: str, because: str, decided: str | None) -> None:
        self._write_history([*self.history, _event(number, because, decided)])

    def _write_history(self, events: list[dict]) -> None:
        write_kept_json(self._history_file, {"events": events})

    def _history_of_decisions(self) -> list[dict]:
        """The history where its file is lost: as decided, and what is in production stays there."""
        current, numbers = self.in_production, self.numbers
        promoted = [d for n, d in self.decisions().items() if d["promoted"] and n in numbers]
        events = [
            _event(decision["version"], decision["kind"], decision["time"]) for decision in promoted
        ]
        stack = [event["version"] for event in events]
        while current in stack[:-1] and stack[-1] != current:
            stack.pop()
            events.append(_event(stack[-1], _ROLLBACK, None))
        if not stack or stack[-1] != current:
            events.append(_event(current, "found", None))
        return events

    def _point_to(self, number: str) -> None:
        """A link is made under another name and takes the place of the old one in one step."""
        link, draft = self.folder / PRODUCTION, self.folder / f".{PRODUCTION}.{os.getpid()}"
        if link.exists() and not link.is_symlink():
            raise UserError(f"{link}: is no link to a version; move it away")
        draft.unlink(missing_ok=True)
        draft.symlink_to(Path(_VERSIONS) / number)
        os.replace(draft, link)
        to_disk(self.folder)


def publish(experiment: Path) -> str:
    """Make the model of a pipeline a version, and say what became of it.

    experiment: its folder, in whose `models/final_model` the model is. The rule:

    - A model that is a version already is no new one, and changes nothing: who runs a finished
      pipeline again undoes no retraining, no promotion and no rollback.
    - The first version goes into production: there was nothing to compare it with.
    - Any other one, of other data or settings, is kept beside what is in production.
    """
    versions, package = Versions(experiment / "models"), experiment / "models" / "final_model"
    with versions.lock():
        versions.settle()
        current = versions.in_production
        number = versions.same_as(package)
        if number is not None:
            mend(versions.version(number), package)
        else:
            number, first = versions.next_number(), current is None
            decision = {"promoted": first, "verdict": "first" if first else "kept"}
            decision |= {"kind": "pipeline", "champion": current}
            versions.decide(number, decision, partial(copy_model, package))
        return _state(number, versions)


def change(model: Path, fill: Callable[[Path], None]) -> str:
    """Change a model, which a reader finds whole before and after; returns a word on a version.

    model: its folder. fill: changes the copy that it is given. A version is never changed: the copy
    becomes a new one, and goes into production where the version was. Empty for any other folder.
    """

    def copied(draft: Path) -> None:
        copy_model(model, draft)
        fill(draft)

    number, versions = model.name, Versions(model.parent.parent)
    if model.parent.name != _VERSIONS or number not in versions.numbers:
        write_folder(model, copied)
        return ""
    with versions.lock():
        versions.settle()
        new = versions.next_number()
        decision = {
            "kind": "change",
            "promoted": number == versions.in_production,
            "verdict": "changed",
            "champion": number,
        }
        versions.decide(new, decision, copied)
        return f"version {new}" + (", in production" if decision["promoted"] else "")


def _state(number: str, versions: Versions) -> str:
    current, experiment = versions.in_production, versions.folder.parent
    if number == current:
        return f"version {number}, in production"
    where = [] if experiment.parent == Path("outputs") else ["--outputs", str(experiment.parent)]
    command = shlex.join(["fraud-ae", "promote", number, "--experiment", experiment.name, *where])
    return f"version {number}, not in production, where {current} stays; to put it there: {command}"


def _of_info(info: dict) -> dict:
    test = info["figures"]["winner"]["test"]
    return {
        "created": info["created"],
        "from": info["data"]["from"],
        "to": info["data"]["to"],
        "fitted_on": info["figures"]["deployed"]["fitted_on"],
        "auc": test["test_auc"],
        "average_precision": test["average_precision"],
    }


def _event(number: str, because: str, decided: str | None) -> dict:
    return {"time": _now(), "version": number, "because": because, "decided": decided}


def _now() -> str:
    return datetime.now(UTC).isoformat()
