"""Epochs of earlier trainings, from which a longer one of the same network goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from safetensors import SafetensorError, safe_open

from fraud_ae.runtime.hashing import identity_hash
from fraud_ae.runtime.kept_files import DamagedFile, read_checked, warn_once


@dataclass(frozen=True)
class ResumableTraining:
    """Where a training is kept, and how much of it is there.

    folder: of the training, a file for each number of epochs. epochs: those of the file to go on
    from; 0 begins anew.
    """

    folder: Path
    epochs: int = 0

    @classmethod
    def of(cls, folder: Path, identity: dict, retrain: bool) -> Self:
        """The training of a run. folder: of all of them. identity: see `run_identity`.

        Neither the scorer nor the number of epochs changes what an epoch does. With `retrain`
        nothing that is there is used.
        """
        trainer = {k: v for k, v in identity["trainer"].items() if k != "max_epochs"}
        same = {k: v for k, v in identity.items() if k != "scorer"} | {"trainer": trainer}
        training = cls(folder / identity_hash(same))
        if retrain:
            return training
        most = identity["trainer"]["max_epochs"]
        saved = (int(path.stem) for path in training.folder.glob("[0-9]*.safetensors"))
        usable = (n for n in saved if n <= most and _is_whole(training.file(n)))
        return cls(training.folder, max(usable, default=0))

    def file(self, epochs: int) -> Path:
        """Where the end of an epoch is kept; see `fraud_ae.models.checkpoint`."""
        return self.folder / f"{epochs}.safetensors"


def _is_whole(path: Path) -> bool:
    try:
        return read_checked(path, _opens, "; training begins before that")
    except DamagedFile as error:
        warn_once(str(error))
        return False


def _opens(path: Path) -> bool:
    try:
        with safe_open(path, framework="numpy"):
            return True
    except SafetensorError as error:
        raise ValueError(error) from error
