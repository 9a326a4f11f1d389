"""Fits of a winner's recipe on other rows, side by side."""

import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np

from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.sources import Dataset
from fraud_ae.detector import FraudDetector
from fraud_ae.experiment import make_detector, train_networks
from fraud_ae.features.encoded import Encoded, encode
from fraud_ae.models.training import only
from fraud_ae.recipe import Recipe
from fraud_ae.scorers.scorer import Scorer
from fraud_ae.workers import Workers


class Refits:
    """The recipe of a plan on other rows: as many epochs, with the same learning rates.

    plan: see `fraud_ae.production.Plan`. scorer: of the winner; what it learned from validation
    rows is kept. Encoding is done here, all that follows in the workers.
    """

    def __init__(
        self,
        plan,
        dataset: Dataset,
        learning_rates: Sequence[float],
        scorer: Scorer,
        workers: Workers,
    ) -> None:
        trainer = replace(plan.recipe.trainer, max_epochs=len(learning_rates))
        self._plan = plan
        self._recipe = replace(plan.recipe, trainer=trainer, scorer=scorer)
        self._dataset = dataset
        self._learning_rates = learning_rates
        self._workers = workers

    def start(self, fit_rows: np.ndarray, without: np.ndarray | None = None) -> Future:
        """Start a fit on some rows, (n,) bool; `Workers.outcome` waits for its end.

        It gives the detector, the history of its training, and the optimiser steps of an epoch; if
        it is to be `without` some of the rows, (m,) int, it gives the scores of those, (m,).
        """
        # What comes after these rows, such as the test rows, is not even looked at.
        end = np.flatnonzero(fit_rows)[-1] + 1
        rows = fit_rows[:end].copy()
        if without is not None:
            rows[without] = False
        plan = self._plan
        visible = self._dataset.transactions.iloc[:end]
        folder = Path(tempfile.mkdtemp(prefix=".refit.", dir=plan.run.folder))
        encode(plan.strategy, plan.encoder, visible, rows, plan.recipe.train_on, folder).save(
            folder
        )
        how = (folder, self._recipe, list(self._learning_rates), self._dataset.source_format)
        if without is None:
            return self._workers.submit(_fit, *how)
        return self._workers.submit(_scores_without, *how, without)


def _fit(
    folder: Path, recipe: Recipe, learning_rates: list[float], source_format: SourceFormat
) -> tuple[FraudDetector, list[dict], int]:
    return _fitted(_taken(folder), recipe, learning_rates, source_format)


def _scores_without(
    folder: Path,
    recipe: Recipe,
    learning_rates: list[float],
    source_format: SourceFormat,
    without: np.ndarray,
) -> np.ndarray:
    encoded = _taken(folder)
    detector, _, _ = _fitted(encoded, recipe, learning_rates, source_format)
    mask = np.zeros(len(encoded.labels), dtype=bool)
    mask[without] = True
    return detector.score_inputs(encoded.inputs, mask)


def _fitted(
    encoded: Encoded, recipe: Recipe, learning_rates: list[float], source_format: SourceFormat
) -> tuple[FraudDetector, list[dict], int]:
    trained = only(train_networks([recipe], encoded, None, learning_rates=learning_rates))
    detector = make_detector(recipe, encoded, trained.network, None, source_format)
    return detector, trained.history, trained.steps_per_epoch


def _taken(folder: Path) -> Encoded:
    """What lies in a folder, which goes: memory-mapped files can be read all the same."""
    encoded = Encoded.load(folder)
    shutil.rmtree(folder)
    return encoded
