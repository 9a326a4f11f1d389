"""The ONNX file of a detector, from features to scores: written, compared and timed."""

import json
import logging
import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_ae import __version__
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.manifest import ONNX_MODEL, write_manifest
from fraud_ae.detector.onnx.scorer import (
    CATEGORIES,
    FORMAT,
    METADATA,
    NUMBERS,
    SCORE,
    OnnxScorer,
    source_hashes,
)
from fraud_ae.errors import UserError
from fraud_ae.features.encoder import Encoder
from fraud_ae.runtime.atomic_files import whole_file

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
# Of a score, or of 1 where it is smaller.
_MOST_APART = 1e-5
_MADE_UP_ROWS = 2000
_TIMED_ROWS, _ROUNDS = 20_000, 5
_OPSET = 18


@dataclass(frozen=True)
class Exported:
    """An ONNX file, and how its scores compare with those of PyTorch.

    rows: compared. largest_difference: of their scores; where a score is above 1, as a share of it.
    """

    path: Path
    bytes: int
    rows: int
    largest_difference: float


def export_model(folder: Path) -> tuple[Exported, dict[str, float]]:
    """Write the ONNX file of a saved model into its folder.

    Gives how it compares with PyTorch, and rows per second of both, from features to scores: the
    median of rounds in turn. Raises what `FraudDetector.load` and `export_onnx` raise.
    """
    detector = FraudDetector.load(folder)
    features = made_up_features(detector.encoder, _TIMED_ROWS)
    exported = export_onnx(detector, folder / ONNX_MODEL, features)
    write_manifest(folder)
    sides = {
        "ONNX Runtime": OnnxScorer(exported.path).score,
        "PyTorch": detector.score_features,
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(_ROUNDS):
        for name, score in sides.items():
            started = time.perf_counter()
            score(features)
            seconds[name].append(time.perf_counter() - started)
    return exported, {
        name: len(features) / statistics.median(durations) for name, durations in seconds.items()
    }


def export_onnx(
    detector: FraudDetector, path: str | Path, features: pd.DataFrame | None = None
) -> Exported:
    """Write what a detector does with features into an ONNX file, in place of an earlier one.

    features: (n, n_features), rows on which the file must give the scores of PyTorch; by default
    made up ones, with missing and unseen values. The file takes numbers (n, n_numeric) float64 and
    categories (n, n_categories) int64, as `OnnxScorer` gives them, and gives score (n,) float32.
    Raises UserError if packages are missing, if something of the detector cannot be expressed, and
    if a score differs by more than 1e-5 of itself (of 1 where it is smaller).
    """
    absent = [name for name in _NEEDED if find_spec(name) is None]
    if absent:
        raise UserError(f"an ONNX file needs {', '.join(absent)}: pip install 'fraud_ae[onnx]'")
    path = Path(path)
    if features is None:
        features = made_up_features(detector.encoder, _MADE_UP_ROWS)
    with whole_file(path) as draft:
        _write(detector, draft)
        apart = _largest_difference(detector, OnnxScorer(draft), features)
        # Not a number where a score is none.
        if not apart <= _MOST_APART:
            raise UserError(
                f"{path}: not written, its scores would differ by up to {apart:.2g} from those of "
                f"PyTorch, at most {_MOST_APART:g} is allowed"
            )
    return Exported(path, path.stat().st_size, len(features), apart)


def _write(detector: FraudDetector, path: Path) -> None:
    import onnx
    import torch

    from fraud_ae.detector.onnx.graph import FeaturesToScore

    encoder = detector.encoder
    graph = FeaturesToScore(detector).eval()
    # The number of rows is left open; of two rows no operation can be for one row alone.
    rows = torch.export.Dim("rows")
    example = (
        torch.zeros(2, len(encoder.numeric_), dtype=torch.float64),
        torch.zeros(2, len(encoder.categories_), dtype=torch.int64),
    )
    try:
        with torch.inference_mode(), _quiet():
            program = torch.onnx.export(
                graph,
                example,
                input_names=[NUMBERS, CATEGORIES],
                output_names=[SCORE],
                dynamic_shapes=({0: rows}, {0: rows}),
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        network = detector.network_settings["class"]
        raise UserError(f"network {network}: cannot be written as ONNX ({reason})") from error
    facts = {
        "format": FORMAT,
        "fraud_ae": __version__,
        "numeric": encoder.numeric_,
        "categories": encoder.categories_,
        "sources": source_hashes(detector.folder) if detector.folder else {},
    }
    program.model.metadata_props[METADATA] = json.dumps(facts)
    onnx.save(graph.with_trees(program.model_proto), path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PyTorch's warnings about the insides of its export."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        log.setLevel(level)


def made_up_features(encoder: Encoder, n: int, seed: int = 0) -> pd.DataFrame:
    """Features of all kinds that an encoder may meet: (n, n_features).

    Usual values and values far off, some numbers missing, categories missing and never seen.
    """
    rng = np.random.default_rng(seed)
    groups = np.array(encoder.input_groups())
    inputs = rng.normal(scale=2, size=(n, len(groups))).astype(np.float32)
    features = encoder.values(inputs)
    for name in encoder.numeric_:
        far, gone = rng.random((2, n)) < 0.03
        numbers = features[name].to_numpy(dtype=np.float64)
        features[name] = np.where(gone, np.nan, np.where(far, numbers * 1e6, numbers))
    return features


def _largest_difference(
    detector: FraudDetector, scorer: OnnxScorer, features: pd.DataFrame
) -> float:
    expected = detector.score_features(features).astype(np.float64)
    apart = np.abs(scorer.score(features) - expected)
    return float((apart / np.maximum(np.abs(expected), 1)).max())
