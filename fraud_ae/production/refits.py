"""Fits of a winner's recipe on other rows, side by side.

What trains is imported in the functions that the workers run: who hands out the work does without.
"""

import shutil
import tempfile
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.sources import Dataset
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.experiments.recipe import Recipe
from fraud_ae.features.encoded_data import Encoded, encode
from fraud_ae.production.plan import Plan
from fraud_ae.runtime.workers.workers import Workers
from fraud_ae.scorers.scorer import Scorer

if TYPE_CHECKING:
    from fraud_ae.models.training import TrainedNetwork


class Refits:
    """The recipe of a plan on other rows: as many epochs, with the same learning rates.

    plan: see `production.plan.Plan`. scorer: of the winner; what it learned from
    validation rows is kept. Encoding is done here, all that follows in the workers.
    """

    def __init__(
        self,
        plan: Plan,
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

    def run(self, fit_rows: np.ndarray, parts: Sequence[np.ndarray]) -> list:
        """A fit on some rows, (n,) bool, and one without each of some parts of them, (m,) int.

        Gives the detector of the first, the history of its training, and the optimiser steps of an
        epoch; of each other the scores of the rows that it is without, (m,) float32.
        """
        wanted = [None, *parts]
        share = -(-len(wanted) // self._workers.count)
        started = []
        for first in range(0, len(wanted), share):
            # The first workers train while the fits of the others are encoded.
            ready = [
                self._encoded(fit_rows, encoded_rows)
                for encoded_rows in wanted[first : first + share]
            ]
            how = (self._recipe, list(self._learning_rates), self._dataset.source_format)
            started.append(self._workers.submit(_fit, ready, *how))
        return [result for future in started for result in self._workers.outcome_at_last(future)]

    def _encoded(self, fit_rows: np.ndarray, without: np.ndarray | None) -> "_Refit":
        # What comes after these rows, such as the test rows, is not even looked at.
        end = np.flatnonzero(fit_rows)[-1] + 1
        rows = fit_rows[:end].copy()
        if without is not None:
            rows[without] = False
        plan = self._plan
        visible = self._dataset.transactions.iloc[:end]
        folder = Path(tempfile.mkdtemp(prefix=".refit.", dir=plan.run.folder))
        how = (plan.recipe.train_on, folder, plan.computation)
        encode(plan.strategy, plan.encoder, visible, rows, *how).save(folder)
        return _Refit(folder, without)


@dataclass(frozen=True)
class _Refit:
    """A fit that is ready to be trained.

    folder: of what is encoded. without: rows that it is to score, and is not fitted on.
    """

    folder: Path
    without: np.ndarray | None


def _fit(
    refits: Sequence[_Refit],
    recipe: Recipe,
    learning_rates: list[float],
    source_format: SourceFormat,
) -> list[tuple[FraudDetector, list[dict], int] | np.ndarray]:
    from fraud_ae.experiments.run import make_detector

    encoded = [_taken(refit.folder) for refit in refits]
    results = []
    for refit, encoded_rows, trained in zip(
        refits, encoded, _trained(recipe, encoded, learning_rates), strict=True
    ):
        detector = make_detector(recipe, encoded_rows, trained.network, None, source_format)
        if refit.without is None:
            results.append((detector, trained.history, trained.steps_per_epoch))
            continue
        mask = np.zeros(len(encoded_rows.labels), dtype=bool)
        mask[refit.without] = True
        results.append(detector.score_inputs(encoded_rows.inputs, mask))
    return results


def _trained(
    recipe: Recipe, encoded: Sequence[Encoded], learning_rates: list[float]
) -> "list[TrainedNetwork]":
    """The network of a recipe on several sets of rows: those of as many inputs in one loop."""
    from fraud_ae.experiments.run import loop_key, train_networks
    from fraud_ae.models.training import only

    loops: dict[Hashable, list[int]] = {}
    for number, encoded_rows in enumerate(encoded):
        key = loop_key(recipe, encoded_rows.encoder.input_groups())
        loops.setdefault(number if key is None else key, []).append(number)
    networks = {}
    for numbers in loops.values():
        together = [encoded[number] for number in numbers]
        trained = train_networks(
            [recipe] * len(together), together, None, learning_rates=learning_rates
        )
        networks |= {number: only([one]) for number, one in zip(numbers, trained, strict=True)}
    return [networks[number] for number in range(len(encoded))]


def _taken(folder: Path) -> Encoded:
    """What lies in a folder, which goes: memory-mapped files can be read all the same."""
    encoded = Encoded.load(folder)
    shutil.rmtree(folder)
    return encoded
