"""Scoring transactions as they come, with what is remembered of those before."""

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
from fraud_ae.serving.online.answer import Answer
from fraud_ae.serving.online.store import HistoryStore
from fraud_ae.serving.online.tables import Columns, columns_of, in_order


@dataclass(frozen=True)
class OnlineDetector:
    """A model for production that answers transactions one after another.

    info: what `model_info.yaml` says. version: of the model, as its answers tell it.
    """

    detector: FraudDetector
    schema: InputSchema
    info: dict
    version: str

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model for production; where it holds an ONNX file, that one scores.

        Raises UserError where it is none, has no threshold, or has features that look back further
        than what would be remembered.
        """
        # A file that was exported is there to be used; without its runtime PyTorch does as well.
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
        # Nobody is to wait for what is loaded with the first reasons.
        detector.reasons(detector.encoder.usual_inputs()[None, :])
        return cls(detector, schema, info, f"{info['name']} {info['run_id'][:8]}")

    @property
    def history(self) -> History:
        """How far its features look back."""
        return history_of(self.detector.strategy)

    @property
    def kinds(self) -> dict[str, str]:
        """What the columns are that it takes, name -> see `InputColumn`, with the label."""
        return {c.name: c.kind for c in self.schema.columns} | {"is_fraud": "label"}

    def score(self, transactions: pd.DataFrame, store: HistoryStore | None = None) -> list[Answer]:
        """Answers to n canonical transactions, (n, d); see `answer`."""
        return self.answer(columns_of(transactions, self.kinds), store)

    def answer(self, asked: Columns, store: HistoryStore | None = None) -> list[Answer]:
        """Answers to n transactions, in their order, which is that of their arrival.

        asked: all columns of `kinds`. store: what is remembered, to which they are added; None
        remembers nothing. An id that was answered before, or comes twice, gets the first answer and
        counts once. A transaction sees those before it in time, of this call too, and of those at
        its very instant the ones that came before it.
        """
        ids = asked["transaction_id"]
        known = store.answers(ids) if store else {}
        first = {key: place for place, key in reversed(list(enumerate(ids))) if key not in known}
        answers = {key: answer.again() for key, answer in known.items()}
        if first:
            places = sorted(first.values())
            new = {name: [values[place] for place in places] for name, values in asked.items()}
            answers |= {answer.transaction_id: answer for answer in self._answers(new, store)}
        return [
            answers[key] if first.get(key) == place else answers[key].again()
            for place, key in enumerate(ids)
        ]

    def _answers(self, new: Columns, store: HistoryStore | None) -> list[Answer]:
        """Answers to transactions that nobody has asked about before."""
        if store is None:
            frame, rows = in_order(new, self.kinds, any(v is not None for v in new["is_fraud"]))
        else:
            frame, rows = store.with_history(new)
        judged = score_rows(self.detector, frame, rows)
        flagged = judged.alerts
        reasons = iter(judged.reasons(flagged))
        answers = [
            Answer(
                transaction_id=key,
                score=score,
                alert=alert,
                threshold=self.detector.threshold,
                reasons=tuple(next(reasons)) if alert else (),
                model=self.version,
            )
            for key, score, alert in zip(
                new["transaction_id"], judged.scores.tolist(), flagged.tolist(), strict=True
            )
        ]
        if store is not None:
            store.append(new, answers)
        return answers
