"""The model that a service answers with."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from fraud_ae.data.schema import short
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold_curve import explorer
from fraud_ae.serving.online.answer import Answer
from fraud_ae.serving.online.detector import OnlineDetector
from fraud_ae.serving.refusals import Refused
from fraud_ae.serving.transactions import TransactionReader


@dataclass(frozen=True)
class Served:
    """A model that has answered its own example.

    reader: of the transactions that it takes. example: a transaction. answer: to it, without any
    history. explored: thresholds and what each would have done on held-out rows, see
    `fraud_ae.evaluation.threshold_curve`.
    """

    online: OnlineDetector
    reader: TransactionReader
    example: dict[str, Any]
    answer: Answer
    explored: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model for production and try it.

        Raises UserError where it is none, is not whole, or does not answer its own example.
        """
        online = OnlineDetector.load(folder)
        newest = datetime.fromisoformat(online.info["data"]["to"])
        reader = TransactionReader(online.schema, online.detector.source_format, newest)
        columns = [column.name for column in online.schema.columns if column.kind != "label"]
        example = {name: online.schema.example.get(name) for name in columns}
        try:
            (answer,) = online.answer(reader.as_columns(reader.read([example], listed=False)))
        except Refused as error:
            raise UserError(f"{folder}: its own example is refused: {error.error}") from error
        except Exception as error:  # whatever fails here would fail for every client
            reason = short(f"{type(error).__name__}: {error}", 200)
            raise UserError(f"{folder}: cannot score its own example ({reason})") from error
        if not np.isfinite(answer.score):
            raise UserError(f"{folder}: scores its own example as {answer.score}")
        held_out = online.detector.held_out_scores()
        explored = explorer({"validation": held_out}, online.detector.threshold)
        return cls(online, reader, example, answer, explored)

    @property
    def card(self) -> dict[str, Any]:
        """What a client may want to know of the model."""
        detector, info = self.online.detector, self.online.info
        policy = detector.threshold_policy
        return {
            "version": self.online.version,
            "name": info["name"],
            "created": info["created"],
            "run_id": info["run_id"],
            "threshold": detector.threshold,
            "threshold_method": policy.method if policy else None,
            "figures": info["figures"],
            "data": {name: info["data"][name] for name in ("from", "to", "rows", "fingerprint")},
            "labels": info["labels"],
            "features": info["feature_names"],
            "takes": [
                {
                    "name": column.name,
                    "also": column.source,
                    "kind": column.kind,
                    "needed": column.needed,
                    "nullable": column.nullable,
                }
                for column in self.online.schema.columns
            ],
            "versions": info["versions"],
        }
