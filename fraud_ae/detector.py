"""The detector: from raw transactions to anomaly scores and alerts, and its files."""

import json
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from threadpoolctl import ThreadpoolController
from torch import nn

from fraud_ae.atomic_files import write_json
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import map_columns
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold import ThresholdPolicy, alerts
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.strategy import (
    compute_features,
    strategy_from_dict,
    strategy_to_dict,
)
from fraud_ae.models.ensemble import Ensemble
from fraud_ae.reasons import Reason, reasons
from fraud_ae.run_store import MODEL_FILES
from fraud_ae.scorers.scorer import Scorer
from fraud_ae.scorers.signals import AT_ONCE, signals_of
from fraud_ae.side_by_side import side_by_side

FORMAT = 2


@dataclass(frozen=True)
class FraudDetector:
    """A fitted strategy, encoder, network and scorer, with the threshold for alerts.

    source_format: how raw columns become canonical ones. network: on the CPU, in evaluation mode.
    network_settings: class path and arguments, from which the network is built when it is loaded.
    threshold: scores above it are alerts; None where it has not been chosen yet. threshold_policy:
    how it was chosen.
    """

    source_format: SourceFormat
    strategy: object
    encoder: Encoder
    network: nn.Module
    network_settings: dict
    scorer: Scorer
    threshold: float | None = None
    threshold_policy: ThresholdPolicy | None = None

    def predict_anomaly_scores(self, df: pd.DataFrame) -> np.ndarray:
        """Anomaly scores of raw transactions.

        df: n transactions with the source's columns or the canonical ones, in any order. Features
        that look back (trailing windows, time since the previous transaction) see the earlier rows
        of this frame, so a frame brings its own history, and in `is_fraud` the labels that are
        known of it (missing where they are not): the fraud rates of terminals are made of them.
        Returns (n,) float32 in the order of the rows; higher is more anomalous.
        Raises DataError if columns are missing or hold bad values.
        """
        if len(df) == 0:
            return np.empty(0, dtype=np.float32)
        transactions = map_columns(df, self.source_format, labelled=False)
        if transactions["timestamp"].is_monotonic_increasing:
            return self.score_transactions(transactions)
        # As integers: times with a zone would become an array of objects.
        order = np.argsort(transactions["timestamp"].astype("int64").to_numpy(), kind="stable")
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

    def choose_threshold(self, policy: ThresholdPolicy, scored: pd.DataFrame) -> Self:
        """This detector with the threshold that a policy chooses; nothing is trained.

        scored: rows that it was not fitted on, such as the validation scores that are kept with a
        run; see `ThresholdPolicy.choose` for the columns and the errors.
        """
        return replace(self, threshold=policy.choose(scored), threshold_policy=policy)

    def score_transactions(
        self, transactions: pd.DataFrame, mask: np.ndarray | None = None
    ) -> np.ndarray:
        """Scores of canonical transactions in order of time, or of those that a mask names.

        transactions: (n, d); all of them are history. mask: (n,) bool, of which m are set. Returns
        (m,) float32.
        """
        features = compute_features(self.strategy, transactions)
        if mask is not None:
            features = features[mask]
        return self.score_features(features)

    def score_features(self, features: pd.DataFrame) -> np.ndarray:
        """Scores of features as `compute_features` gives them. (n, n_features) -> (n,) float32."""
        return self._scores(len(features), lambda rows: self.encoder.transform(features.iloc[rows]))

    def score_inputs(self, inputs: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Scores of encoded rows, or of those that a mask names.

        inputs: (n, n_inputs) float32, in memory or memory-mapped. mask: (n,) bool, of which m are
        set. Returns (m,) float32.
        """
        if mask is None:
            return self._scores(len(inputs), lambda rows: inputs[rows])
        named = np.flatnonzero(mask)
        return self._scores(len(named), lambda rows: inputs[named[rows]])

    def reasons(self, inputs: np.ndarray, top: int = 3) -> list[list[Reason]]:
        """Why encoded rows score as they do: (n, n_inputs) -> n lists, see `reasons`."""
        with _one_thread_each():
            signals = signals_of(self.network, inputs, self.encoder.input_groups())
            return reasons(signals, self.encoder, self.scorer, top)

    def _scores(self, n_rows: int, inputs_of: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Scores of so many rows, whose inputs are made part by part, on all cores."""
        groups = self.encoder.input_groups()

        def scores(start: int) -> np.ndarray:
            inputs = inputs_of(slice(start, start + AT_ONCE))
            return self.scorer.score(signals_of(self.network, inputs, groups))

        parts = [partial(scores, start) for start in range(0, max(n_rows, 1), AT_ONCE)]
        with _one_thread_each():
            return np.concatenate(side_by_side(*parts, rows=n_rows))

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
        write_json(folder / "strategy.json", strategy_to_dict(self.strategy), indent=None)
        write_json(folder / "encoder.json", self.encoder.to_dict())
        settings = {
            "format": FORMAT,
            "source_format": asdict(self.source_format),
            "network": self.network_settings,
            "scorer": class_path(self.scorer),
            "threshold": self.threshold,
            "threshold_policy": asdict(self.threshold_policy) if self.threshold_policy else None,
        }
        self.scorer.save(folder)
        write_json(folder / "detector.json", settings)

    @classmethod
    def load(cls, folder: str | Path) -> "FraudDetector":
        """Read a detector that `save` wrote; no pickle is involved.

        Raises UserError if the folder holds no detector, or one of another format.
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
        if settings["format"] < FORMAT:
            raise UserError(
                f"{folder}: saved in format {settings['format']}, older than {FORMAT}, which this "
                "version reads; make the model again: python train.py stage=production"
            )
        policy = settings["threshold_policy"]
        network = build_network(settings["network"])
        network.load_state_dict(load_file(folder / "weights.safetensors"))
        return cls(
            source_format=SourceFormat(**settings["source_format"]),
            strategy=strategy_from_dict(json.loads((folder / "strategy.json").read_text())),
            encoder=Encoder.from_dict(json.loads((folder / "encoder.json").read_text())),
            network=network.eval(),
            network_settings=settings["network"],
            scorer=pkgutil.resolve_name(settings["scorer"]).load(folder),
            threshold=settings["threshold"],
            threshold_policy=ThresholdPolicy(**policy) if policy else None,
        )


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Threads of PyTorch and BLAS wait for one another in each layer; parts of rows need not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; looking for them takes longer than to score ten rows."""
    return ThreadpoolController().select(user_api="blas")


def build_network(settings: dict) -> nn.Module:
    """The network of `{"class": "module.Class", **arguments}`, with new weights.

    With `members` above 1, an ensemble of so many of them.
    """
    arguments = dict(settings)
    build = partial(pkgutil.resolve_name(arguments.pop("class")), **arguments)
    members = build.keywords.pop("members", 1)
    return build() if members == 1 else Ensemble(build, members)


def class_path(instance: object) -> str:
    """`module.Class` of an object, from which `pkgutil.resolve_name` finds the class again."""
    return f"{type(instance).__module__}.{type(instance).__qualname__}"
