"""The run store: a folder for each trained configuration, found by a hash of what decides it."""

import csv
import json
from pathlib import Path

import pandas as pd
import yaml
from filelock import FileLock

from fraud_ae.detector.files import HELD_OUT_SCORES
from fraud_ae.runtime.atomic_files import to_disk, whole_file, write_json, write_whole
from fraud_ae.runtime.checksums import CHECKSUMS, SET_ASIDE, damage, empty, seal
from fraud_ae.runtime.hashing import identity_hash
from fraud_ae.runtime.kept_files import kept_file, warn_once

# The validation rows with their scores, and of a production run the test rows.
SCORES, TEST_SCORES = HELD_OUT_SCORES, "test_scores.parquet"

# What the detector makes of planted anomalies, where they are asked for.
PLANTED_SCORES = "planted_scores.parquet"

# The validation rows of highest score, with the reasons of each.
TOP_TRANSACTIONS = "top_transactions.json"


class Run:
    """One folder of the store. It is finished when `metrics.json`, written last, is there."""

    def __init__(self, folder: Path, identity: dict) -> None:
        self.id = identity_hash(identity)
        self.folder = folder / self.id
        self.identity = identity

    @property
    def _mark(self) -> Path:
        return self.folder / "metrics.json"

    @property
    def model_folder(self) -> Path:
        """Where the run's detector is saved."""
        return self.folder / "model"

    @property
    def finished(self) -> bool:
        """Whether the run was trained to its end, and is still whole.

        Of a damaged one a warning tells, and it counts as not finished.
        """
        if not self._mark.exists():
            return False
        wrong = damage(self.folder)
        # Whoever trains it anew removes the mark first.
        if not wrong or not self._mark.exists():
            return not wrong
        told = "; ".join(f"{name}: {what}" for name, what in wrong.items())
        warn_once(f"run {self.id} is damaged ({told}), so it is not reused")
        return False

    def lock(self) -> FileLock:
        """Held while a run is looked up and trained, so that two processes never train it both.

        The operating system releases it with the process, even one that was killed.
        """
        locks = self.folder.parent.with_name(".locks")
        locks.mkdir(parents=True, exist_ok=True)
        return FileLock(locks / f"{self.id}.lock")

    def start(self) -> None:
        """Begin anew: whatever is here is removed, but for damaged files, which are set aside."""
        # First the mark of a finished run, so that a kill in between leaves an unfinished one.
        empty(self.folder, self._mark)
        write_whole(self.folder / "config.yaml", yaml.safe_dump(self.identity, sort_keys=False))

    def write_history(self, history: list[dict]) -> None:
        """Write the training curve, a row for each epoch."""
        with (self.folder / "history.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(history[0]))
            writer.writeheader()
            writer.writerows(history)

    def history(self) -> pd.DataFrame:
        """The training curve: epoch, train_loss, val_loss, learning_rate, seconds."""
        return pd.read_csv(self.folder / "history.csv")

    def write_scores(self, scores: pd.DataFrame) -> None:
        """Keep the validation scores, so that thresholds and metrics need no training."""
        scores.to_parquet(self.folder / SCORES, index=False)

    def scores(self) -> pd.DataFrame:
        """Validation scores: the scored frame of `fraud_ae.evaluation.scored_frames`."""
        return pd.read_parquet(self.folder / SCORES)

    def write_planted_scores(self, scores: pd.DataFrame) -> None:
        """Keep the scores of planted anomalies, whole or not at all: the run may be finished."""
        with kept_file(self.folder / PLANTED_SCORES) as draft:
            scores.to_parquet(draft, index=False)

    @property
    def has_planted_scores(self) -> bool:
        """Whether `write_planted_scores` has been called."""
        return (self.folder / PLANTED_SCORES).is_file()

    def planted_scores(self) -> pd.DataFrame | None:
        """What `write_planted_scores` wrote, see `evaluation.planted_figures`; None without it."""
        if not self.has_planted_scores:
            return None
        return pd.read_parquet(self.folder / PLANTED_SCORES)

    def write_top_transactions(self, transactions: list[dict]) -> None:
        """Keep the highest scores with their reasons: see `detector.reasons.top_transactions`."""
        write_json(self.folder / TOP_TRANSACTIONS, transactions)

    def top_transactions(self) -> list[dict]:
        """The validation rows of highest score with their reasons, the highest first."""
        return json.loads((self.folder / TOP_TRANSACTIONS).read_text())

    def write_groups(self, groups: pd.DataFrame) -> None:
        """Keep the results by fraud scenario, amount band and month."""
        write_whole(self.folder / "groups.csv", groups.to_csv(index=False))

    def groups(self) -> pd.DataFrame:
        """Results by group, at the threshold that was asked for last: see `breakdown`."""
        return pd.read_csv(self.folder / "groups.csv", dtype={"by": "str", "group": "str"})

    def finish(self, metrics: dict) -> None:
        """Write `metrics.json`, when all else is on the disk, each file with its checksum."""
        with whole_file(self._mark) as draft:
            draft.write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n")
            seal(self.folder, {**self._files(), self._mark.name: draft})
        to_disk(self.folder)

    def _files(self) -> dict[str, Path]:
        """What the run is judged and reused by; all else has checksums of its own, or needs none.

        Groups are written anew before each reading, and W&B keeps its own.
        """
        own = [*self.folder.glob("[!.]*"), *self.model_folder.glob("[!.]*")]
        left_out = ("groups.csv", "wandb.json", CHECKSUMS, self._mark.name)
        return {
            path.relative_to(self.folder).as_posix(): path
            for path in own
            if path.is_file() and path.name not in left_out and path.suffix != SET_ASIDE
        }

    def metrics(self) -> dict:
        """The figures that `finish` wrote."""
        return json.loads(self._mark.read_text())
