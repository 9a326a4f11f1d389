"""What runs are trained on and judged by; on disk, so that processes share it."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.evaluation.scored_frames import evaluation_frame
from fraud_ae.experiments.planted_inputs import PlantedInputs
from fraud_ae.features.encoded_data import Encoded
from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.runtime.checksums import SET_ASIDE, damage, empty, is_sealed, seal
from fraud_ae.runtime.hashing import identity_hash

log = logging.getLogger("fraud_ae")

_VALIDATION, _SOURCE_FORMAT = "validation.parquet", "source_format.json"
_VALIDATION_ROWS = "validation_rows.npy"
# A feature sweep needs a few at a time; more than these are of sweeps that are over.
_KEPT = 8
# Nanoseconds; some file systems know seconds alone.
_USE = 1_000_000_000


@dataclass(frozen=True)
class TrainingData:
    """Encoded transactions before the test period, fitted on the training rows.

    validation_rows: (n,) bool, which of them are the validation rows. validation: those, with all
    that figures are made of but the scores; see `evaluation_frame`. source_format: how raw columns
    become canonical ones. planted: anomalies in copies of the validation rows; None where no figure
    is made of them.
    """

    encoded: Encoded
    validation_rows: np.ndarray
    validation: pd.DataFrame
    source_format: SourceFormat
    planted: PlantedInputs | None = None

    @classmethod
    def of(cls, dataset: Dataset, split: Split, encoded: Encoded, plant: bool = False) -> Self:
        """encoded: the dataset's transactions before the test period. plant: see `planted`."""
        visible = dataset.transactions.iloc[: len(encoded.labels)]
        rows, source_format = split.validation(visible), dataset.source_format
        planted = None
        if plant:
            has_times = bool(source_format.sources("timestamp"))
            planted = PlantedInputs.of(encoded, visible, rows, has_times)
        frame = evaluation_frame(dataset, rows, split)
        return cls(encoded, rows, frame, source_format, planted)

    def save(self, folder: Path) -> None:
        """Write everything into a folder, which is there, and the checksums of it last."""
        self.encoded.save(folder)
        self.validation.to_parquet(folder / _VALIDATION, index=False)
        if self.planted is not None:
            self.planted.save(folder)
        write_json(folder / _SOURCE_FORMAT, asdict(self.source_format))
        np.save(folder / _VALIDATION_ROWS, self.validation_rows)
        seal(folder, {path.name: path for path in folder.glob("[!.]*") if path.suffix != SET_ASIDE})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote; the encoded rows are memory-mapped."""
        return cls(
            Encoded.load(folder),
            np.load(folder / _VALIDATION_ROWS),
            pd.read_parquet(folder / _VALIDATION),
            SourceFormat(**json.loads((folder / _SOURCE_FORMAT).read_text())),
            PlantedInputs.load(folder),
        )


def stored_training_data(
    folder: Path, identity: dict, make: Callable[[Path], TrainingData]
) -> tuple[Path, TrainingData]:
    """The folder of what is identified so, and what is in it; made where it is not there yet.

    folder: of all of them; the few that were used last are kept. identity: everything that decides
    the content. make: writes what it likes into the folder that it is given. Of two processes that
    want the same, one makes it and the other waits.
    """
    place = folder / identity_hash(identity)
    locks = folder.with_name(".locks")
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{place.name}.lock"):
        if not _is_whole(place):
            # Whatever a kill left here is removed.
            empty(place)
            try:
                make(place).save(place)
            except BaseException:
                shutil.rmtree(place)
                raise
        _count_use(place)
        training_data = TrainingData.load(place)
    by_use = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in by_use[_KEPT:]:
        # One that is being made is not old, whatever the time of its files says.
        with suppress(Timeout), FileLock(locks / f"{old.name}.lock", timeout=0):
            shutil.rmtree(old, ignore_errors=True)
    return place, training_data


def _count_use(place: Path) -> None:
    """Times of folders count their uses here, as the clock of a machine may jump back."""
    others = [path.stat().st_mtime_ns for path in place.parent.iterdir() if path != place]
    last = max(others, default=0) + _USE
    os.utime(place, ns=(last, last))


def _is_whole(place: Path) -> bool:
    """Whether everything is there as it was written; every byte is read."""
    if not is_sealed(place):
        return False
    wrong = damage(place)
    for name, what in wrong.items():
        log.warning("%s: damaged (%s), so these rows are encoded again", place / name, what)
    return not wrong
