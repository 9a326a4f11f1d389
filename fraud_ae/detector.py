"""The detector: from raw transactions to anomaly scores and alerts, and its files."""

import json
import pkgutil
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fraud_ae.atomic_files import write_json
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import map_columns
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold import alerts
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.strategy import (
    compute_features,
    strategy_from_dict,
    strategy_to_dict,
)
from fraud_ae.run_store import MODEL_FILES

FORMAT = 1
_SCORED_AT_ONCE = 65_536


@dataclass(frozen=True)
class FraudDetector:
    """A fitted strategy, encoder, network and scorer, with the threshold for alerts.

    source_format: how raw columns become canonical ones. network: on the CPU, in evaluation mode.
    network_settings: class path and arguments, from which the network is built when it is loaded.
    threshold: scores above it are alerts; None where it has not been chosen yet.
    """

    source_format: SourceFormat
    strategy: object
    encoder: Encoder
    network: nn.Module
    network_settings: dict
    scorer: object
    threshold: float | None = None

    def predict_anomaly_scores(self, df: pd.DataFrame) -> np.ndarray:
        """Anomaly scores of raw transactions.

        df: n transactions with the source's columns or the canonical ones, in any order; labels
        are not needed. Features that look back (trailing windows, time since the previous
        transaction) see the earlier rows of this frame, so a frame brings its own history.
        Returns (n,) float32 in the order of the rows; higher is more anomalous.
        Raises DataError if columns are missing or hold bad values.
        """
        if len(df) == 0:
            return np.empty(0, dtype=np.float32)
        transactions = map_columns(df, self.source_format, labelled=False)
        order = np.argsort(transactions["timestamp"].to_numpy(), kind="stable")
        scores = np.empty(len(df), dtype=np.float32)
        scores[order] = self.score_transactions(transactions.iloc[order].reset_index(drop=True))
        return scores

    def predict(self, df: pd.DataFrame) -> np.ndarray:
        """Which raw transactions to alert on: (n,) int8, 1 where the score exceeds the threshold.

        Takes and raises what `predict_anomaly_scores` does, and UserError without a threshold.
        """
        if self.threshold is None:
            raise UserError("this detector has no threshold, so it can score but not alert")
        return alerts(self.predict_anomaly_scores(df), self.threshold).astype(np.int8)

    def score_transactions(self, transactions: pd.DataFrame) -> np.ndarray:
        """Scores of canonical transactions in order of time. (n, d) -> (n,) float32."""
        features = compute_features(self.strategy, transactions)
        return self.score_inputs(self.encoder.transform(features))

    def score_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """Scores of encoded rows. (n, n_inputs) float32 -> (n,) float32."""
        parts = [
            self.scorer.score(reconstruction_errors(self.network, chunk))
            for chunk in _chunks(inputs)
        ]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)

    @cached_property
    def feature_names(self) -> list[str]:
        """Names of the features that the encoder reads, numbers first."""
        return [*self.encoder.numeric_, *self.encoder.categories_]

    def save(self, folder: Path) -> None:
        """Write the detector: weights as safetensors, everything else as JSON."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {k: v.contiguous() for k, v in self.network.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        write_json(folder / "strategy.json", strategy_to_dict(self.strategy))
        write_json(folder / "encoder.json", self.encoder.to_dict())
        settings = {
            "format": FORMAT,
            "source_format": asdict(self.source_format),
            "network": self.network_settings,
            "scorer": {"class": class_path(self.scorer), **self.scorer.to_dict()},
            "threshold": self.threshold,
        }
        write_json(folder / "detector.json", settings)

    @classmethod
    def load(cls, folder: str | Path) -> "FraudDetector":
        """Read a detector that `save` wrote; no pickle is involved.

        Raises UserError if the folder holds no detector, or one of a newer format.
        """
        folder = Path(folder)
        missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
        if missing:
            raise UserError(f"{folder}: not a saved detector; missing {', '.join(missing)}")
        settings = json.loads((folder / "detector.json").read_text())
        if settings["format"] > FORMAT:
            raise UserError(
                f"{folder}: saved in format {settings['format']}, newer than {FORMAT}, the newest "
                "that this version reads; install a newer fraud_ae"
            )
        scorer = dict(settings["scorer"])
        scorer_class = pkgutil.resolve_name(scorer.pop("class"))
        network = build_network(settings["network"])
        network.load_state_dict(load_file(folder / "weights.safetensors"))
        return cls(
            source_format=SourceFormat(**settings["source_format"]),
            strategy=strategy_from_dict(json.loads((folder / "strategy.json").read_text())),
            encoder=Encoder.from_dict(json.loads((folder / "encoder.json").read_text())),
            network=network.eval(),
            network_settings=settings["network"],
            scorer=scorer_class.from_dict(scorer),
            threshold=settings["threshold"],
        )


def build_network(settings: dict) -> nn.Module:
    """The network of `{"class": "module.Class", **arguments}`, with new weights."""
    arguments = dict(settings)
    return pkgutil.resolve_name(arguments.pop("class"))(**arguments)


def reconstruction_errors(network: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """Squared errors of each input of each row. (n, n_inputs) float32 -> the same shape."""
    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(inputs))
        return (network(batch) - batch).square().numpy()


def class_path(instance: object) -> str:
    """`module.Class` of an object, from which `pkgutil.resolve_name` finds the class again."""
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


def _chunks(inputs: np.ndarray) -> list[np.ndarray]:
    return [inputs[i : i + _SCORED_AT_ONCE] for i in range(0, len(inputs), _SCORED_AT_ONCE)]
