"""The ONNX file of a saved model: written, put on the manifest, and timed beside PyTorch."""

import statistics
import time
from pathlib import Path

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.manifest import ONNX_MODEL, write_manifest
from fraud_ae.detector.onnx.conversion import Exported, export_onnx, made_up_features
from fraud_ae.detector.onnx.scorer import OnnxScorer

_ROWS = 20_000
_ROUNDS = 5


def export_model(folder: Path) -> tuple[Exported, dict[str, float]]:
    """Write the ONNX file of a saved model into its folder.

    Gives how it compares with PyTorch, and rows per second of both, from features to scores: the
    median of rounds in turn. Raises what `FraudDetector.load` and `export_onnx` raise.
    """
    detector = FraudDetector.load(folder)
    features = made_up_features(detector.encoder, _ROWS)
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
        name: _ROWS / statistics.median(durations) for name, durations in seconds.items()
    }
