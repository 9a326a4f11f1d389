"""The run store: a folder for each trained configuration, found by a hash of what decides it."""

import csv
import functools
import json
import logging
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import yaml
from filelock import FileLock

from fraud_ae.detector.files import HELD_OUT_SCORES, MODEL_FILES
from fraud_ae.runtime.atomic_files import whole_file, write_json, write_whole
from fraud_ae.runtime.hashing import identity_hash

log = logging.getLogger("fraud_ae")

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
    def model_folder(self) -> Path:
        """Where the run's detector is saved."""
        return self.folder / "model"

    @property
    def finished(self) -> bool:
        """Whether the run was trained to its end, and is still whole.

        Of a damaged one a warning tells, and it counts as not finished.
        """
        if not (self.folder / "metrics.json").exists():
            return False
        try:
            self.metrics()["train_seconds"]
            self.history()
            # To the last byte, but no frame is made of them, which takes twice as long.
            pq.ParquetFile(self.folder / SCORES).read(use_threads=False)
            missing = [name for name in MODEL_FILES if not (self.model_folder / name).is_file()]
            damage = f"no {', '.join(missing)}" if missing else None
        except (OSError, ValueError, TypeError, KeyError) as error:
            damage = f"{type(error).__name__}: {error}"
        if damage:
            _warn_once(f"run {self.id} is damaged ({damage}), so it is not reused")
        return damage is None

    def lock(self) -> FileLock:
        """Held while a run is looked up and trained, so that two processes never train it both.

        The operating system releases it with the process, even one that was killed.
        """
        locks = self.folder.parent.with_name(".locks")
        locks.mkdir(parents=True, exist_ok=True)
        return FileLock(locks / f"{self.id}.lock")

    def start(self) -> None:
        """Begin anew: whatever an interrupted training left here is removed."""
        if self.folder.exists():
            # First the mark of a finished run, so that a kill in between leaves an unfinished one.
            (self.folder / "metrics.json").unlink(missing_ok=True)
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
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
        with whole_file(self.folder / PLANTED_SCORES) as draft:
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
        """Write `metrics.json`, whole or not at all."""
        write_json(self.folder / "metrics.json", metrics)

    def metrics(self) -> dict:
        """The figures that `finish` wrote."""
        return json.loads((self.folder / "metrics.json").read_text())


@functools.cache
def _warn_once(message: str) -> None:
    """Whoever asks again, as a sweep does before each of its jobs, knows it already."""
    log.warning(message)
