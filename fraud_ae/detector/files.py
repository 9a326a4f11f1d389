"""Reading the files of a saved detector, each refused by name where it holds something else."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from fraud_ae.errors import UserError
from fraud_ae.runtime.named_objects import resolve
from fraud_ae.scorers.scorer import SCORER, SCORER_FILE, Scorer

if TYPE_CHECKING:
    from torch import nn

# What a saved detector consists of, beside the manifest of them.
MODEL_FILES = (
    "detector.json",
    "strategy.json",
    "encoder.json",
    "scorer.json",
    "weights.safetensors",
)
# Rows that the model was not fitted on, with their scores: the threshold is chosen on them.
HELD_OUT_SCORES = "validation_scores.parquet"
# What reading a file that holds something else may raise.
_OF_OTHER_FILES = (AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError)


@contextmanager
def _refused_by_name(path: Path) -> Iterator[None]:
    """Raises UserError where a file is not what a detector needs."""
    try:
        yield
    except (*_OF_OTHER_FILES, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        message = f"{path}: not what a detector needs ({type(error).__name__}: {reason})"
        raise UserError(message) from error


def read_part(folder: Path, name: str, make: Callable[[dict], object]) -> Any:
    """What a JSON file describes."""
    with _refused_by_name(folder / name):
        return make(json.loads((folder / name).read_text()))


def read_network(folder: Path, settings: dict) -> "nn.Module":
    """The network of some settings with the weights of a folder."""
    path = folder / "weights.safetensors"
    with _refused_by_name(path):
        from fraud_ae.models.persistence import load_network

        return load_network(path, settings)


def read_scorer(folder: Path, path: str) -> Scorer:
    """The scorer of a class path, as it was saved in a folder."""
    with _refused_by_name(folder / SCORER_FILE):
        return resolve(path, SCORER).load(folder)


def checked_threshold(settings: dict) -> float | None:
    """The threshold of `detector.json`; without a policy there need be none.

    Raises ValueError where it is no finite number.
    """
    threshold = settings["threshold"]
    is_number = type(threshold) in (int, float) and math.isfinite(threshold)
    if is_number or (threshold is None and settings["threshold_policy"] is None):
        return threshold
    raise ValueError(f"threshold {threshold!r} is no finite number")
