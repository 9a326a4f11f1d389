"""One run: fit a detector on training rows, score the validation rows, keep both."""

import copy
import inspect
import pkgutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.detector import FraudDetector, build_network
from fraud_ae.errors import UserError
from fraud_ae.evaluation.breakdown import breakdown
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.metrics import RUN_FACTS, check_metrics
from fraud_ae.evaluation.scored import scored_frame
from fraud_ae.evaluation.threshold import alerts
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.strategy import compute_features, fit_strategy
from fraud_ae.models.training import TrainerSettings, train_network
from fraud_ae.run_store import Run
from fraud_ae.scorers.scorer import Scorer
from fraud_ae.scorers.signals import signals_of
from fraud_ae.tracking import TrackedRun, Tracker, track


@dataclass(frozen=True)
class Recipe:
    """Everything but the data that decides a detector.

    strategy, encoder, scorer: not fitted; copies of them are. network: `{"class": path, ...}`.
    train_on: `normal` leaves the rows known to be fraud out of training, `all` keeps them.
    """

    strategy: object
    encoder: Encoder
    network: dict
    scorer: Scorer
    trainer: TrainerSettings
    train_on: str
    seed: int


@dataclass(frozen=True)
class Prepared:
    """Encoded transactions, and what encoded them.

    inputs: (n, n_inputs) float32 of all given transactions. labels: (n,) 0 or 1. fit_rows: (n,)
    bool, the period that is fitted on. train_rows: (n,) bool, what the network sees of it.
    """

    strategy: object
    encoder: Encoder
    inputs: np.ndarray
    labels: np.ndarray
    fit_rows: np.ndarray
    train_rows: np.ndarray


def prepare(recipe: Recipe, transactions: pd.DataFrame, fit_rows: np.ndarray) -> Prepared:
    """Fit strategy and encoder on some transactions, and encode all of them.

    transactions: (n, d) canonical, in order of time. fit_rows: (n,) bool.
    """
    fitted_on = transactions[fit_rows].reset_index(drop=True)
    strategy = fit_strategy(copy.deepcopy(recipe.strategy), fitted_on)
    features = compute_features(strategy, transactions)
    labels = transactions["is_fraud"].to_numpy()
    train_rows = fit_rows & trainable(recipe, labels)
    if not train_rows.any():
        raise UserError(
            "no training row is known to be normal (data.train_on=normal): is "
            "data.columns.is_fraud mapped the right way round?"
        )
    encoder = copy.deepcopy(recipe.encoder).fit(features[train_rows])
    inputs = encoder.transform(features)
    return Prepared(strategy, encoder, inputs, labels, fit_rows, train_rows)


def trainable(recipe: Recipe, labels: np.ndarray) -> np.ndarray:
    """Which transactions the network may learn to reconstruct. (n,) 0 or 1 -> (n,) bool."""
    return np.ones(len(labels), dtype=bool) if recipe.train_on == "all" else labels == 0


def network_settings(network: dict, groups: list[int]) -> dict:
    """Everything that a network is built from: what was configured, and what the inputs are.

    network: `{"class": path, ...}`. groups: of `Encoder.input_groups`, told to a class whose
    `__init__` takes them.
    """
    known = {"n_inputs": len(groups), "groups": groups}
    taken = inspect.signature(pkgutil.resolve_name(network["class"])).parameters
    return {**{name: value for name, value in known.items() if name in taken}, **network}


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
    """Train the network on the training rows, and fit the scorer.

    validation_rows: (n,) bool, of which those that may be trained on decide early stopping and the
    best epoch, and which the scorer may learn from; None trains for all epochs, with
    `learning_rates`, one for each.
    """
    train_inputs = prepared.inputs[prepared.train_rows]
    groups = prepared.encoder.input_groups()
    settings = network_settings(recipe.network, groups)
    stopping_rows = None
    if validation_rows is not None:
        stopping_rows = validation_rows & trainable(recipe, prepared.labels)
        if not stopping_rows.any():
            raise UserError("no validation row is known to be normal, so no epoch can be chosen")
    trained = train_network(
        lambda n_inputs: build_network(settings),
        torch.from_numpy(train_inputs),
        None if stopping_rows is None else torch.from_numpy(prepared.inputs[stopping_rows]),
        recipe.trainer,
        recipe.seed,
        learning_rates=learning_rates,
        logger=tracker.lightning_logger() if tracker else None,
        report=report,
    )
    uses_labels = recipe.train_on == "normal" or recipe.scorer.learns_labels
    labels = prepared.labels if uses_labels else np.zeros_like(prepared.labels)
    evidence = []
    for rows in (prepared.fit_rows, validation_rows):
        if rows is not None:
            signals = signals_of(trained.network, prepared.inputs[rows], groups)
            evidence += [signals, labels[rows]]
    scorer = copy.deepcopy(recipe.scorer).fit(*evidence)
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
    evaluation: Evaluation,
    target: TrackedRun,
    config: dict,
    report: Callable[[dict], None] | None = None,
) -> None:
    """Train one run and write its folder; `metrics.json` comes last.

    prepared: of the transactions before the test period, fitted on the training rows.
    evaluation: what is logged with the run; another needs no training.
    config: the resolved configuration, for W&B.
    """
    started = time.perf_counter()
    check_metrics(evaluation.extra)
    visible = split.before_test(dataset.transactions)
    validation = split.validation(dataset.transactions[visible])
    evaluation.policy.check_labels(prepared.labels[validation])
    run.start()
    with track(target, run.folder, config) as tracker:
        fit = fit_detector(recipe, dataset, prepared, validation, tracker=tracker, report=report)
        scores = fit.detector.score_inputs(prepared.inputs[validation])
        scored = scored_frame(dataset, validation, scores, split)
        detector = fit.detector.choose_threshold(evaluation.policy, scored)
        detector.save(run.model_folder)
        run.write_history(fit.history)
        run.write_scores(scored)
        facts = {
            "best_epoch": fit.best_epoch,
            "epochs": len(fit.history),
            "feature_count": len(detector.feature_names),
            "input_count": int(prepared.inputs.shape[1]),
            "train_rows": int(prepared.train_rows.sum()),
            "validation_rows": len(scored),
            "fraud_ratio": float(scored["is_fraud"].mean()),
            "train_seconds": time.perf_counter() - started,
        }
        failure = None
        try:
            figures = evaluation.figures(scored, detector.threshold)
        except UserError as error:
            figures = replace(evaluation, extra={}).figures(scored, detector.threshold)
            failure = error
        metrics = {**figures, **facts}
        tracker.log_evaluation(
            scored["is_fraud"].to_numpy(), alerts(scores, detector.threshold), metrics
        )
    # Whatever a user's metric does with these scores, the training is not lost.
    run.finish(metrics)
    if failure is not None:
        raise failure


def evaluate_run(run: Run, evaluation: Evaluation) -> dict:
    """The figures of a finished run at another threshold or with other metrics, untrained.

    The run's results by group are written anew, at that threshold.
    """
    scored = run.scores()
    threshold = evaluation.policy.choose(scored)
    run.write_groups(breakdown(scored, threshold))
    facts = {name: value for name, value in run.metrics().items() if name in RUN_FACTS}
    return {**evaluation.figures(scored, threshold), **facts}
