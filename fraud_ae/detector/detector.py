"""The detector: from raw transactions to anomaly scores and alerts, and its files.

PyTorch is imported in the functions that run a network: scoring with an ONNX file does without.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import map_columns, time_order, without_repeats
from fraud_ae.detector.files import (
    HELD_OUT_SCORES,
    MODEL_FILES,
    checked_threshold,
    read_network,
    read_part,
    read_scorer,
)
from fraud_ae.detector.manifest import ONNX_MODEL, check_manifest, write_manifest
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.detector.onnx.scorer import OnnxScorer, load_onnx
from fraud_ae.detector.reasons import Explainer, Reason
from fraud_ae.detector.trailing_history import TrailingHistory
from fraud_ae.detector.usual_shares import new_customers, warning
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold import ThresholdPolicy, alerts, policy_of
from fraud_ae.features.customer_history import CustomerHistory, customer_histories
from fraud_ae.features.descriptions import descriptions_of
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.serialization import strategy_from_dict, strategy_to_dict
from fraud_ae.features.strategy import compute_features
from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.runtime.named_objects import class_path
from fraud_ae.runtime.threads import one_thread_each, side_by_side
from fraud_ae.runtime.yaml_files import read_yaml
from fraud_ae.scorers.scorer import Scorer
from fraud_ae.scorers.signals import AT_ONCE, signals_of

_LOGGER = logging.getLogger("fraud_ae")
_LOOK_FURTHER = "fraud-ae drift looks further; earlier transactions in the frame are history"

if TYPE_CHECKING:
    from torch import nn


@dataclass
class FraudDetector:
    """A fitted strategy, encoder, network and scorer, with the threshold for alerts.

    source_format: how raw columns become canonical ones. network: of `scoring_network`.
    network_settings: class path and arguments, from which the network is built when it is loaded.
    threshold: scores above it are alerts; None where it has not been chosen yet. threshold_policy:
    how it was chosen, None where the number was given. folder: where it was loaded from. onnx: what
    scores features in place of network and scorer, which are None then, and are loaded when
    something else asks for them.
    """

    source_format: SourceFormat
    strategy: object
    encoder: Encoder
    network: "nn.Module | None"
    network_settings: dict
    scorer: Scorer | None
    threshold: float | None = None
    threshold_policy: ThresholdPolicy | None = None
    folder: Path | None = None
    onnx: OnnxScorer | None = None

    def predict_anomaly_scores(self, df: pd.DataFrame) -> np.ndarray:
        """Anomaly scores of raw transactions.

        df: n transactions with the source's columns or the canonical ones, in any order. Features
        that look back (trailing windows, time since the previous transaction) see the earlier rows
        of this frame and what the model remembers of its training data; in `is_fraud` the frame
        brings the labels that are known of it (missing where they are not): the fraud rates of
        terminals are made of them. Returns (n,) float32 in the order of the rows; higher is more
        anomalous.
        Raises DataError if columns are missing or hold bad values.
        """
        if isinstance(df, pd.DataFrame) and len(df) == 0:
            return np.empty(0, dtype=np.float32)
        return self._scores_with_history(*self._with_history(df))

    def _scores_with_history(self, transactions: pd.DataFrame, places: np.ndarray) -> np.ndarray:
        features = compute_features(self.strategy, transactions)
        return self.score_features(features.iloc[places])

    def predict(self, df: pd.DataFrame) -> np.ndarray:
        """Which raw transactions to alert on: (n,) int8, 1 where the score exceeds the threshold.

        Takes and raises what `predict_anomaly_scores` does, and UserError without a threshold.
        Warns where the share of alerts, or of customers never seen, is far from usual.
        """
        if self.threshold is None:
            raise UserError("this detector has no threshold, so it can score but not alert")
        if isinstance(df, pd.DataFrame) and len(df) == 0:
            return np.empty(0, dtype=np.int8)
        transactions, places = self._with_history(df)
        flagged = alerts(self._scores_with_history(transactions, places), self.threshold)
        if self.usual is not None:
            new = new_customers(transactions, places)
            note = warning(int(flagged.sum()), new, len(places), self.usual, _LOOK_FURTHER)
            if note is not None:
                _LOGGER.warning(note)
        return flagged.astype(np.int8)

    @cached_property
    def usual(self) -> dict | None:
        """The shares that the model was made for, see `usual_shares`; None where none are kept."""
        info = read_yaml(self.folder / MODEL_INFO) if self.folder else None
        return info["usual"] if info else None

    def choose_threshold(self, policy: ThresholdPolicy, scored: pd.DataFrame) -> Self:
        """This detector with the threshold that a policy chooses; nothing is trained.

        scored: rows that it was not fitted on, such as the validation scores that are kept with a
        run; see `ThresholdPolicy.choose` for the columns and the errors.
        """
        return replace(self, threshold=policy.choose(scored), threshold_policy=policy)

    def set_threshold(self, threshold: float | None = None, **policy: str | float) -> Self:
        """Alert above another threshold from now on; nothing is trained. Returns this detector.

        threshold: the number itself. policy: or how to choose it, the fields of `ThresholdPolicy`,
        such as `method="budget", alerts_per_day=50`; it is chosen on the scores of transactions
        that the model was not fitted on, which are kept in its folder.
        Raises UserError for a number that is not finite, an unknown method or field, both or
        neither, and where the folder keeps no scores.
        """
        if (threshold is None) == (not policy):
            raise UserError("give a threshold, or a policy such as method='budget'")
        if threshold is None:
            chosen = policy_of(policy)
            self.threshold = chosen.choose(self.held_out_scores())
            self.threshold_policy = chosen
            return self
        is_number = isinstance(threshold, int | float | np.number)
        if isinstance(threshold, bool) or not is_number or not np.isfinite(threshold):
            raise UserError(f"threshold={threshold}: must be a finite number")
        self.threshold, self.threshold_policy = float(threshold), None
        return self

    def held_out_scores(self) -> pd.DataFrame:
        """Scored transactions that the model was not fitted on: see `evaluation.scored`.

        Raises UserError where the detector was not loaded from a model for production.
        """
        if self.folder is None or not (self.folder / HELD_OUT_SCORES).is_file():
            raise UserError(
                f"{self.folder or 'this detector'}: keeps no {HELD_OUT_SCORES}; a policy needs the "
                "scores that a model for production keeps, so give the threshold as a number"
            )
        return pd.read_parquet(self.folder / HELD_OUT_SCORES)

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
        if self.onnx is not None:
            return self.onnx.score(features)
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

    def explain(self, df: pd.DataFrame, top: int = 3) -> list[list[Reason]]:
        """Why raw transactions score as they do, in words that a reviewer reads.

        Takes and raises what `predict_anomaly_scores` does. Returns a list of at most `top` reasons
        for each row, in the order of the rows, the strongest first: see
        `fraud_ae.detector.reasons`. What is usual for a customer is computed from the earlier
        rows of this frame and what the model remembers.
        """
        if isinstance(df, pd.DataFrame) and len(df) == 0:
            return []
        transactions, places = self._with_history(df)
        return self.explain_transactions(transactions, places, top)

    def _with_history(self, df: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        """Canonical transactions of a frame and what is remembered of the same customers.

        In order of time, with the positions, (n,) int, of the rows of the frame or their repeats.
        """
        mapped = map_columns(df, self.source_format, labelled=False)
        transactions = without_repeats(mapped)
        own, rows = pd.factorize(mapped["transaction_id"])[0], len(transactions)
        if self.history is not None:
            if gap := self.history.gap(transactions["timestamp"].min(), rows):
                _LOGGER.warning("%s; put earlier rows into the frame", gap)
            earlier = self.history.related(transactions)
            if len(earlier):
                transactions = pd.concat([transactions, earlier], ignore_index=True)
        order = time_order(transactions, self.source_format)
        places = np.empty(len(order), dtype=np.int64)
        places[order] = np.arange(len(order))
        return transactions.iloc[order].reset_index(drop=True), places[own]

    @cached_property
    def history(self) -> TrailingHistory | None:
        """What the model remembers; None where nothing is kept with it."""
        return TrailingHistory.load(self.folder, self.source_format) if self.folder else None

    def explain_transactions(
        self, transactions: pd.DataFrame, rows: np.ndarray | None = None, top: int = 3
    ) -> list[list[Reason]]:
        """The reasons of canonical transactions in order of time, or of some of them.

        transactions: (n, d); all of them are history. rows: (m,) int positions or (n,) bool.
        Returns a list for each of the rows.
        """
        wanted = np.arange(len(transactions))
        if rows is not None:
            wanted = wanted[rows]
        features = compute_features(self.strategy, transactions).iloc[wanted]
        return self.explain_features(features, transactions, wanted, top)

    def explain_features(
        self, features: pd.DataFrame, transactions: pd.DataFrame, rows: np.ndarray, top: int
    ) -> list[list[Reason]]:
        """The reasons of features that were computed of some rows, (m,) int, of transactions."""
        inputs = self.encoder.transform(features)
        return self.reasons(inputs, top, features, list(customer_histories(transactions, rows)))

    def reasons(
        self,
        inputs: np.ndarray,
        top: int = 3,
        features: pd.DataFrame | None = None,
        past: Sequence[CustomerHistory] | None = None,
    ) -> list[list[Reason]]:
        """Why encoded rows score as they do: see `Explainer.reasons`."""
        with one_thread_each():
            return self.explainer.reasons(self.additive_scores, inputs, top, features, past)

    @cached_property
    def explainer(self) -> Explainer:
        """Tells the reasons of encoded rows from their `additive_scores`."""
        return Explainer(self.encoder, descriptions_of(self.strategy))

    def additive_scores(self, inputs: np.ndarray) -> np.ndarray:
        """`Scorer.additive_score` of encoded rows: (n, n_inputs) float32 -> (n,) float64."""
        whole = self._whole
        groups = self.encoder.input_groups()
        return whole.scorer.additive_score(signals_of(whole.network, inputs, groups))

    def _scores(self, n_rows: int, inputs_of: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Scores of so many rows, whose inputs are made part by part, on all cores."""
        whole = self._whole
        groups = self.encoder.input_groups()

        def scores(start: int) -> np.ndarray:
            inputs = inputs_of(slice(start, start + AT_ONCE))
            return whole.scorer.score(signals_of(whole.network, inputs, groups))

        parts = [partial(scores, start) for start in range(0, max(n_rows, 1), AT_ONCE)]
        with one_thread_each():
            return np.concatenate(side_by_side(*parts, rows=n_rows))

    @property
    def _whole(self) -> "FraudDetector":
        """With network and scorer, for what an ONNX file has no answer to; it needs PyTorch."""
        return self if self.onnx is None else self._loaded

    @cached_property
    def _loaded(self) -> "FraudDetector":
        return FraudDetector.load(self.folder)

    @cached_property
    def feature_names(self) -> list[str]:
        """Names of the features that the encoder reads, numbers first."""
        return [*self.encoder.numeric_, *self.encoder.categories_]

    def save(self, folder: Path) -> None:
        """Write the detector: weights as safetensors, everything else as JSON."""
        from fraud_ae.models.persistence import save_network

        folder, whole = Path(folder), self._whole
        folder.mkdir(parents=True, exist_ok=True)
        save_network(whole.network, folder / "weights.safetensors")
        write_json(folder / "strategy.json", strategy_to_dict(self.strategy), indent=None)
        write_json(folder / "encoder.json", self.encoder.to_dict())
        settings = {
            "source_format": asdict(self.source_format),
            "network": self.network_settings,
            "scorer": class_path(whole.scorer),
            "threshold": self.threshold,
            "threshold_policy": asdict(self.threshold_policy) if self.threshold_policy else None,
        }
        whole.scorer.save(folder)
        write_json(folder / "detector.json", settings)
        write_manifest(folder)

    @classmethod
    def load(cls, folder: str | Path, onnx: bool = False) -> "FraudDetector":
        """Read a detector that `save` wrote; no pickle is involved.

        onnx: score with the ONNX file in the folder, which needs no PyTorch; network and scorer are
        loaded when reasons are asked for.
        Raises UserError that names what is missing, changed since it was saved, from another
        format, or not of the kind that it should be.
        """
        folder = Path(folder).resolve()
        listed = check_manifest(folder, MODEL_FILES)
        if onnx and ONNX_MODEL not in listed:
            raise UserError(
                f"{folder}: keeps no {ONNX_MODEL}; write it: fraud-ae export --model {folder}"
            )
        settings = read_part(folder, "detector.json", dict)
        policy = settings["threshold_policy"]
        return cls(
            source_format=SourceFormat(**settings["source_format"]),
            strategy=read_part(folder, "strategy.json", strategy_from_dict),
            encoder=read_part(folder, "encoder.json", Encoder.from_dict),
            network=None if onnx else read_network(folder, settings["network"]),
            network_settings=settings["network"],
            scorer=None if onnx else read_scorer(folder, settings["scorer"]),
            threshold=read_part(folder, "detector.json", checked_threshold),
            threshold_policy=ThresholdPolicy(**policy) if policy else None,
            folder=folder,
            onnx=load_onnx(folder) if onnx else None,
        )
