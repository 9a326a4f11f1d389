"""One run: fit a detector on training rows, score the validation rows, keep both."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.detector import FraudDetector, build_network, reconstruction_errors
from fraud_ae.errors import UserError
from fraud_ae.evaluation.metrics import (
    RUN_FACTS,
    alert_metrics,
    check_metrics,
    extra_metrics,
    ranking_metrics,
)
from fraud_ae.evaluation.threshold import alerts, percentile_threshold
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.strategy import compute_features, fit_strategy
from fraud_ae.models.training import TrainerSettings, train_network
from fraud_ae.run_store import Run
from fraud_ae.tracking import TrackedRun, Tracker, track

# So many rows say how large an input's error typically is.
_SCORER_ROWS = 50_000


@dataclass(frozen=True)
class Recipe:
    """Everything but the data that decides a detector.

    strategy, encoder, scorer: not fitted; copies of them are. network: `{"class": path, ...}`.
    train_on: `normal` leaves the rows known to be fraud out of training, `all` keeps them.
    """

    strategy: object
    encoder: Encoder
    network: dict
    scorer: object
    trainer: TrainerSettings
    train_on: str
    seed: int


@dataclass(frozen=True)
class Prepared:
    """Encoded transactions, and what encoded them.

    inputs: (n, n_inputs) float32 of all given transactions. train_rows: (n,) bool.
    """

    strategy: object
    encoder: Encoder
    inputs: np.ndarray
    train_rows: np.ndarray


def prepare(recipe: Recipe, transactions: pd.DataFrame, fit_rows: np.ndarray) -> Prepared:
    """Fit strategy and encoder on some transactions, and encode all of them.

    transactions: (n, d) canonical, in order of time. fit_rows: (n,) bool.
    """
    fitted_on = transactions[fit_rows].reset_index(drop=True)
    strategy = fit_strategy(copy.deepcopy(recipe.strategy), fitted_on)
    features = compute_features(strategy, transactions)
    train_rows = fit_rows & trainable(recipe, transactions)
    if not train_rows.any():
        raise UserError(
            "no training row is known to be normal (data.train_on=normal): is "
            "data.columns.is_fraud mapped the right way round?"
        )
    encoder = copy.deepcopy(recipe.encoder).fit(features[train_rows])
    return Prepared(strategy, encoder, encoder.transform(features), train_rows)


def trainable(recipe: Recipe, transactions: pd.DataFrame) -> np.ndarray:
    """Which transactions the network may learn to reconstruct: (n,) bool."""
    if recipe.train_on == "all":
        return np.ones(len(transactions), dtype=bool)
    return transactions["is_fraud"].to_numpy() == 0


@dataclass(frozen=True)
class Fit:
    """A detector whose threshold is still to be set, and how its training went."""

    detector: FraudDetector
    best_epoch: int
    history: list[dict]


def fit_detector(
    recipe: Recipe,
    dataset: Dataset,
    prepared: Prepared,
    validation_rows: np.ndarray | None,
    *,
    learning_rates: Sequence[float] | None = None,
    tracker: Tracker | None = None,
    report: Callable[[dict], None] | None = None,
) -> Fit:
    """Train the network and fit the scorer on the training rows.

    validation_rows: (n,) bool, on which early stopping and the best epoch are decided; None trains
    for all epochs, with `learning_rates`, one for each.
    """
    train_inputs = prepared.inputs[prepared.train_rows]
    settings = {"n_inputs": prepared.inputs.shape[1], **recipe.network}
    trained = train_network(
        lambda n_inputs: build_network(settings),
        torch.from_numpy(train_inputs),
        None if validation_rows is None else torch.from_numpy(prepared.inputs[validation_rows]),
        recipe.trainer,
        recipe.seed,
        learning_rates=learning_rates,
        logger=tracker.lightning_logger() if tracker else None,
        report=report,
    )
    sample = train_inputs[:: max(1, len(train_inputs) // _SCORER_ROWS)]
    scorer = copy.deepcopy(recipe.scorer).fit(reconstruction_errors(trained.network, sample))
    detector = FraudDetector(
        source_format=dataset.source_format,
        strategy=prepared.strategy,
        encoder=prepared.encoder,
        network=trained.network,
        network_settings=settings,
        scorer=scorer,
    )
    return Fit(detector, trained.best_epoch, trained.history)


def train_run(
    run: Run,
    recipe: Recipe,
    dataset: Dataset,
    split: Split,
    prepared: Prepared,
    *,
    percentile: float,
    extra: dict[str, str],
    target: TrackedRun,
    config: dict,
    report: Callable[[dict], None] | None = None,
) -> None:
    """Train one run and write its folder; `metrics.json` comes last.

    prepared: of the transactions before the test period, fitted on the training rows.
    percentile, extra: of the evaluation that is logged with the run; others need no training.
    config: the resolved configuration, for W&B.
    """
    started = time.perf_counter()
    check_metrics(extra)
    visible = dataset.transactions[split.before_test(dataset.transactions)]
    validation = split.validation(visible)
    stopping_rows = validation & trainable(recipe, visible)
    if not stopping_rows.any():
        raise UserError("no validation row is known to be normal, so no epoch can be chosen")
    run.start()
    with track(target, run.folder, config) as tracker:
        fit = fit_detector(
            recipe,
            dataset,
            prepared,
            stopping_rows,
            tracker=tracker,
            report=report,
        )
        scores = fit.detector.score_inputs(prepared.inputs[validation])
        rows = visible[validation]
        labels = rows["is_fraud"].to_numpy()
        threshold = percentile_threshold(scores, percentile)
        replace(fit.detector, threshold=threshold).save(run.model_folder)
        run.write_history(fit.history)
        run.write_scores(
            pd.DataFrame(
                {
                    "transaction_id": rows["transaction_id"].to_numpy(),
                    "is_fraud": labels,
                    "score": scores,
                }
            )
        )
        facts = {
            "best_epoch": fit.best_epoch,
            "epochs": len(fit.history),
            "feature_count": len(fit.detector.feature_names),
            "input_count": int(prepared.inputs.shape[1]),
            "train_rows": int(prepared.train_rows.sum()),
            "validation_rows": len(labels),
            "fraud_ratio": float(labels.mean()),
            "train_seconds": time.perf_counter() - started,
        }
        metrics = {**evaluate(labels, scores, threshold, {}), **facts}
        failure = None
        try:
            metrics |= extra_metrics(labels, scores, extra)
        except UserError as error:
            failure = error
        tracker.log_evaluation(labels, alerts(scores, threshold), metrics)
    # Whatever a user's metric does with these scores, the training is not lost.
    run.finish(metrics)
    if failure is not None:
        raise failure


def evaluate(
    labels: np.ndarray, scores: np.ndarray, threshold: float, extra: dict[str, str]
) -> dict:
    """All figures of scores at a threshold.

    labels: (n,) 0 or 1. scores: (n,), higher is more anomalous. extra: the user's own metrics,
    name -> `package.module.function`.
    """
    ranking = ranking_metrics(labels, scores)
    return {
        "final_auc": ranking["auc"],
        "average_precision": ranking["average_precision"],
        **alert_metrics(labels, scores, threshold),
        **extra_metrics(labels, scores, extra),
    }


def evaluate_run(run: Run, percentile: float, extra: dict[str, str]) -> dict:
    """The figures of a finished run at another threshold or with other metrics, untrained."""
    kept = run.scores()
    labels, scores = kept["is_fraud"].to_numpy(), kept["score"].to_numpy()
    threshold = percentile_threshold(scores, percentile)
    facts = {name: value for name, value in run.metrics().items() if name in RUN_FACTS}
    return {**evaluate(labels, scores, threshold, extra), **facts}
