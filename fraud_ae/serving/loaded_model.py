"""The model that a service scores with."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from fraud_ae.data.naming import short
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold_curve import explorer
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.online.detector import OnlineDetector
from fraud_ae.serving.online.results import ScoreResult
from fraud_ae.serving.transactions import TransactionReader


@dataclass(frozen=True)
class LoadedModel:
    """A model that was loaded and has scored its example transaction.

    reader: validates requests against its input schema. example: a transaction. example_result: its
    score, without any history. threshold_explorer: the effect of other thresholds on held-out rows,
    see `fraud_ae.evaluation.threshold_curve`.
    """

    online: OnlineDetector
    reader: TransactionReader
    example: dict[str, Any]
    example_result: ScoreResult
    threshold_explorer: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a model for production and score its example transaction.

        Raises UserError if it is no such model, is damaged, or cannot score the example.
        """
        online = OnlineDetector.load(folder)
        newest = datetime.fromisoformat(online.info["data"]["to"])
        reader = TransactionReader(online.schema, online.detector.source_format, newest)
        columns = [column.name for column in online.schema.columns if column.type != "label"]
        example = {name: online.schema.example.get(name) for name in columns}
        try:
            (result,) = online.score_columns(
                reader.as_columns(reader.read([example], is_list=False))
            )
        except RequestRefused as error:
            raise UserError(f"{folder}: its own example is refused: {error.error}") from error
        except Exception as error:  # whatever fails here would fail for every client
            cause = short(f"{type(error).__name__}: {error}", 200)
            raise UserError(f"{folder}: cannot score its own example ({cause})") from error
        if not np.isfinite(result.score):
            raise UserError(f"{folder}: scores its own example as {result.score}")
        held_out = online.detector.held_out_scores()
        threshold_explorer = explorer({"validation": held_out}, online.detector.threshold)
        return cls(online, reader, example, result, threshold_explorer)

    @property
    def card(self) -> dict[str, Any]:
        """The model card of the endpoint `/model`."""
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
                    "also": ", ".join(column.sources),
                    "type": column.type,
                    "kind": column.kind.kind,
                    "needed": column.needed,
                    "nullable": column.nullable,
                }
                for column in self.online.schema.columns
            ],
            "versions": info["versions"],
        }
