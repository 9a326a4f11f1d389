"""Scoring features with an ONNX file, which needs neither PyTorch nor XGBoost."""

import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_ae.detector.manifest import ONNX_MODEL
from fraud_ae.errors import UserError
from fraud_ae.features.encoder import category_codes
from fraud_ae.runtime.threads import side_by_side
from fraud_ae.scorers.signals import AT_ONCE

# The key of the metadata under which a file says what it reads.
METADATA = "fraud_ae"
FORMAT = 1
NUMBERS, CATEGORIES, SCORE = "numbers", "categories", "score"
# What the graph is made of: with other files it would be another.
SOURCES = ("weights.safetensors", "encoder.json", "scorer.json", "trees.json")

_PREFERRED = ("CUDAExecutionProvider", "CPUExecutionProvider")
_AGAIN = "write it again: fraud-ae export --model MODEL"


class OnnxScorer:
    """The scores of a detector from an ONNX file that `export_onnx` wrote.

    numeric: names of the features that are numbers, in the order in which the file reads them.
    categories: names and known values of the others. sources: see `source_hashes`.
    Raises UserError if the file cannot be read, or is not one of ours.
    """

    def __init__(self, path: str | Path) -> None:
        runtime = _runtime()
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file; {_AGAIN}")
        options = runtime.SessionOptions()
        # Parts of the rows are scored side by side, each in a thread.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        available = runtime.get_available_providers()
        try:
            self._session = runtime.InferenceSession(
                str(self.path), options, [name for name in _PREFERRED if name in available]
            )
            metadata = self._session.get_modelmeta().custom_metadata_map
        # What the runtime raises has no class in common but this.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{self.path}: no ONNX file that can be run ({reason})") from error
        if METADATA not in metadata:
            raise UserError(f"{self.path}: an ONNX file, but none of a detector; {_AGAIN}")
        facts = json.loads(metadata[METADATA])
        if facts["format"] != FORMAT:
            raise UserError(f"{self.path}: format {facts['format']}, not {FORMAT}; {_AGAIN}")
        self.numeric: list[str] = facts["numeric"]
        self.categories: dict[str, list[str]] = facts["categories"]
        self.sources: dict[str, str] = facts["sources"]

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Scores of features as `compute_features` gives them. (n, n_features) -> (n,) float32.

        Raises UserError that names the features which the file reads and are not there.
        """
        absent = [name for name in (*self.numeric, *self.categories) if name not in features]
        if absent:
            raise UserError(f"features missing that the model was trained with: {absent}")
        starts = range(0, max(len(features), 1), AT_ONCE)
        parts = [features.iloc[start : start + AT_ONCE] for start in starts]
        computations = [partial(self._scores, part) for part in parts]
        return np.concatenate(side_by_side(*computations, rows=len(features)))

    def _scores(self, features: pd.DataFrame) -> np.ndarray:
        numbers = features[self.numeric].to_numpy(dtype=np.float64)
        codes = np.empty((len(features), len(self.categories)), dtype=np.int64)
        for column, (name, values) in enumerate(self.categories.items()):
            codes[:, column] = category_codes(features[name], values)
        return self._session.run([SCORE], {NUMBERS: numbers, CATEGORIES: codes})[0]


def source_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a saved detector that its ONNX file is made of, by name."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in SOURCES
        if (folder / name).is_file()
    }


def load_onnx(folder: Path) -> OnnxScorer:
    """The ONNX file of a saved detector.

    Raises UserError if there is none, or if it was made of another detector.
    """
    scorer = OnnxScorer(folder / ONNX_MODEL)
    if scorer.sources != source_hashes(folder):
        raise UserError(f"{scorer.path}: made of another model than the one beside it; {_AGAIN}")
    return scorer


def _runtime():
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            "scoring with ONNX needs onnxruntime: pip install 'fraud_ae[onnx]'"
        ) from error
    # Its warnings are about graphs in general, and errors are raised anyway.
    onnxruntime.set_default_logger_severity(3)
    return onnxruntime
