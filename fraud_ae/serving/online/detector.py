"""Scoring of single transactions, with the stored history of their customers and terminals."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import pandas as pd

from fraud_ae.data.input_schema import InputSchema
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.manifest import ONNX_MODEL
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.detector.scoring import score_rows
from fraud_ae.errors import UserError
from fraud_ae.features.history import History, history_of
from fraud_ae.runtime.yaml_files import read_yaml
from fraud_ae.serving.online.results import Conflict, ScoreResult
from fraud_ae.serving.online.store import HistoryStore
from fraud_ae.serving.online.tables import Columns, sorted_frame, to_columns


@dataclass(frozen=True)
class OnlineDetector:
    """A model for production that scores transactions one after another.

    info: content of `model_info.yaml`. version: name of the model version in its results.
    """

    detector: FraudDetector
    schema: InputSchema
    info: dict
    version: str

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a model for production; its ONNX file is used if there is one.

        Raises UserError if it is no such model, has no threshold, or has features that look back
        further than its strategy declares.
        """
        # Without the ONNX runtime, PyTorch scores.
        exported = (Path(folder) / ONNX_MODEL).is_file() and find_spec("onnxruntime") is not None
        detector = FraudDetector.load(folder, onnx=exported)
        info = read_yaml(detector.folder / MODEL_INFO)
        schema = InputSchema.load(detector.folder)
        if detector.threshold is None or info is None:
            raise UserError(f"{folder}: no threshold and no {MODEL_INFO}; serve one for production")
        forgetful = info["history"]["forgetful_features"]
        if forgetful:
            strategy = type(detector.strategy).__name__
            raise UserError(
                f"{folder}: {', '.join(forgetful)} of {strategy} look back further than its "
                "`history` says, so that a service would compute them wrongly; declare it, such as "
                "history = History(customer_days=60), and make the model again"
            )
        # Loads what the first explanation needs, so that no request waits for it.
        detector.reasons(detector.encoder.usual_inputs()[None, :])
        return cls(detector, schema, info, f"{info['name']} {info['run_id'][:8]}")

    @property
    def history(self) -> History:
        """How far its features look back."""
        return history_of(self.detector.strategy)

    @property
    def kinds(self) -> dict[str, str]:
        """Column -> kind, see `InputColumn`, with the label."""
        return {c.name: c.type for c in self.schema.columns} | {"is_fraud": "label"}

    def score(
        self, transactions: pd.DataFrame, store: HistoryStore | None = None
    ) -> list[ScoreResult]:
        """Score a frame of n canonical transactions, (n, d); see `score_columns`."""
        return self.score_columns(to_columns(transactions, self.kinds), store)

    def score_columns(
        self,
        columns: Columns,
        store: HistoryStore | None = None,
        replaced: Collection[str] = (),
    ) -> list[ScoreResult | Conflict]:
        """Score n transactions in their order of arrival.

        columns: all columns of `kinds`. store: history, to which they are added; None for no
        history. A repeated id gets its first result and is not added again; with other values than
        before it is a conflict, unless it is one of those to be replaced. The history of a
        transaction includes earlier ones of this call; those of the same time do not count.
        """
        ids = columns["transaction_id"]
        if store is not None and replaced:
            store.remove([key for key in dict.fromkeys(ids) if key in replaced])
        earlier = store.results(ids) if store else {}
        conflicts = store.differences(columns) if store else {}
        new_rows = [
            row for row, key in enumerate(ids) if key not in earlier and row not in conflicts
        ]
        first_rows = {ids[row]: row for row in reversed(new_rows)}
        results = {key: result.as_repeated() for key, result in earlier.items()}
        if first_rows:
            rows = sorted(first_rows.values())
            unknown = {name: [values[row] for row in rows] for name, values in columns.items()}
            results |= {r.transaction_id: r for r in self._score_new(unknown, store)}
        return [
            Conflict(key, conflicts[row])
            if row in conflicts
            else results[key]
            if first_rows.get(key) == row
            else results[key].as_repeated()
            for row, key in enumerate(ids)
        ]

    def _score_new(self, new: Columns, store: HistoryStore | None) -> list[ScoreResult]:
        """Results of transactions that have none in the store."""
        if store is None:
            frame, rows = sorted_frame(new, self.kinds, any(v is not None for v in new["is_fraud"]))
        else:
            frame, rows = store.with_history(new)
        scored = score_rows(self.detector, frame, rows)
        alerts = scored.alerts
        reasons = iter(scored.reasons(alerts))
        results = [
            ScoreResult(
                transaction_id=transaction_id,
                score=score,
                alert=alert,
                threshold=self.detector.threshold,
                reasons=tuple(next(reasons)) if alert else (),
                model=self.version,
            )
            for transaction_id, score, alert in zip(
                new["transaction_id"], scored.scores.tolist(), alerts.tolist(), strict=True
            )
        ]
        if store is not None:
            store.append(new, results)
        return results
