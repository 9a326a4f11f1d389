"""The model that a service scores with, and the history of its customers and terminals."""

import logging
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np

from fraud_ae.data.input_schema import InputSchema
from fraud_ae.data.naming import short
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.manifest import ANY, ONNX_MODEL, Origin
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.detector.scoring import score_rows
from fraud_ae.detector.usual_shares import ShareWatch, new_customers
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold_curve import explorer
from fraud_ae.features.history import History, history_of
from fraud_ae.runtime.yaml_files import read_yaml
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.results import Conflict, ScoreResult
from fraud_ae.serving.store import HistoryStore
from fraud_ae.serving.tables import Columns, sorted_frame
from fraud_ae.serving.transactions import TransactionReader

log = logging.getLogger("fraud_ae")


@dataclass(frozen=True)
class ServedModel:
    """A model for production that scores transactions as they come.

    info: content of `model_info.yaml`. reader: validates requests against `schema`.
    threshold_explorer: the effect of other thresholds on held-out rows, see
    `fraud_ae.evaluation.threshold_curve`.
    """

    detector: FraudDetector
    schema: InputSchema
    info: dict[str, Any]
    reader: TransactionReader
    threshold_explorer: dict[str, Any]

    @classmethod
    def load(cls, folder: Path, origin: Origin = ANY) -> Self:
        """Load a model for production; its ONNX file is used if there is one.

        Raises UserError if it is no such model, of another origin, is damaged, has no threshold or
        no time, has features that look back further than its strategy declares, or cannot score
        its example.
        """
        # What a link leads to may change between the check and the reading.
        folder = Path(folder).resolve()
        origin.check(folder)
        # Without the ONNX runtime, PyTorch scores.
        exported = (Path(folder) / ONNX_MODEL).is_file() and find_spec("onnxruntime") is not None
        detector = FraudDetector.load(folder, onnx=exported)
        info = read_yaml(detector.folder / MODEL_INFO)
        schema = InputSchema.load(detector.folder)
        if detector.threshold is None or info is None:
            raise UserError(f"{folder}: no threshold and no {MODEL_INFO}; serve one for production")
        if all(column.name != "timestamp" for column in schema.columns):
            raise UserError(f"{folder}: made of data without a time; use fraud-ae score")
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
        newest = datetime.fromisoformat(info["data"]["to"])
        reader = TransactionReader(schema, detector.source_format, newest)
        held_out = {"validation": detector.held_out_scores()}
        model = cls(detector, schema, info, reader, explorer(held_out, detector.threshold))
        try:
            score = model.example_result.score
        except RequestRefused as error:
            raise UserError(f"{folder}: its own example is refused: {error.error}") from error
        except Exception as error:  # whatever fails here would fail for every client
            cause = short(f"{type(error).__name__}: {error}", 200)
            raise UserError(f"{folder}: cannot score its own example ({cause})") from error
        if not np.isfinite(score):
            raise UserError(f"{folder}: scores its own example as {score}")
        return model

    @property
    def version(self) -> str:
        """Name of the model version in its results."""
        return f"{self.info['name']} {self.info['run_id'][:8]}"

    @property
    def history(self) -> History:
        """How far its features look back."""
        return history_of(self.detector.strategy)

    @property
    def kinds(self) -> dict[str, str]:
        """Column -> type, see `InputColumn`, with the label."""
        return {c.name: c.type for c in self.schema.columns} | {"is_fraud": "label"}

    @property
    def example(self) -> dict[str, Any]:
        """A transaction, as JSON."""
        columns = [column.name for column in self.schema.columns if column.type != "label"]
        return {name: self.schema.example.get(name) for name in columns}

    @cached_property
    def example_result(self) -> ScoreResult:
        """The result of the example, without any history."""
        rows = self.reader.read([self.example], is_list=False)
        return self.score(self.reader.as_columns(rows))[0]

    @property
    def card(self) -> dict[str, Any]:
        """The model card of the endpoint `/model`."""
        policy = self.detector.threshold_policy
        return {
            "version": self.version,
            **{name: self.info[name] for name in ("name", "created", "run_id")},
            "threshold": self.detector.threshold,
            "threshold_method": policy.method if policy else None,
            "figures": self.info["figures"],
            "data": {n: self.info["data"][n] for n in ("from", "to", "rows", "fingerprint")},
            "labels": self.info["labels"],
            "features": self.info["feature_names"],
            "takes": [
                {
                    "name": column.name,
                    "also": ", ".join(column.sources),
                    "type": column.type,
                    "kind": column.kind.kind,
                    "needed": column.needed,
                    "nullable": column.nullable,
                }
                for column in self.schema.columns
            ],
            "versions": self.info["versions"],
        }

    def score(
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
        with nullcontext() if store is None else store.turn(columns):
            return self._score(columns, store, replaced)

    def _score(
        self, columns: Columns, store: HistoryStore | None, replaced: Collection[str]
    ) -> list[ScoreResult | Conflict]:
        ids = columns["transaction_id"]
        if store is not None and replaced:
            store.remove([key for key in dict.fromkeys(ids) if key in replaced])
        results = store.results(ids) if store else {}
        conflicts = store.differences(columns) if store else {}
        first_rows: dict[str, int] = {}
        for row, key in enumerate(ids):
            if key not in results and row not in conflicts:
                first_rows.setdefault(key, row)
        if first_rows:
            new = {
                name: [values[r] for r in first_rows.values()] for name, values in columns.items()
            }
            results |= {result.transaction_id: result for result in self._score_new(new, store)}
        return [
            Conflict(key, conflicts[row])
            if row in conflicts
            else replace(results[key], repeated=first_rows.get(key) != row)
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
            new_count = new_customers(frame, rows)
            note = self._shares.add(int(alerts.sum()), new_count, len(results))
            if note is not None:
                log.warning("of the last transactions, %s", note)
        return results

    @cached_property
    def _shares(self) -> ShareWatch:
        return ShareWatch(self.info["usual"], "fraud-ae drift looks further")
