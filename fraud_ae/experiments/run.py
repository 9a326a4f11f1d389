"""One run: fit a detector on training rows, score the validation rows, keep both."""

import copy
import inspect
import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fraud_ae.data.source_format import SourceFormat
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.reasons import Reason, top_transactions
from fraud_ae.errors import TrainingDiverged, UserError
from fraud_ae.evaluation.custom_metrics import check_metrics
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.scored_frames import with_scores
from fraud_ae.experiments.recipe import Recipe
from fraud_ae.experiments.resumable import ResumableTraining
from fraud_ae.experiments.run_figures import first_figures, write_groups
from fraud_ae.experiments.run_store import Run
from fraud_ae.experiments.training_data import TrainingData
from fraud_ae.features.customer_history import customer_histories
from fraud_ae.features.encoded_data import Encoded, trainable
from fraud_ae.models.batches import Rows
from fraud_ae.models.checkpoint import Checkpoint
from fraud_ae.models.persistence import build_network, scoring_network
from fraud_ae.models.settings import NETWORK, TrainerSettings
from fraud_ae.models.stacked import stack_key
from fraud_ae.models.training import TrainedNetwork, Training, only, train_together
from fraud_ae.runtime.named_objects import resolve
from fraud_ae.scorers.signals import SignalRows
from fraud_ae.tracking.target import TrackingTarget
from fraud_ae.tracking.tracker import track


def network_settings(network: dict, groups: list[int]) -> dict:
    """Everything that a network is built from: what was configured, and what the inputs are.

    network: `{"class": path, ...}`. groups: of `Encoder.input_groups`, told to a class whose
    `__init__` takes them.
    """
    given = {"n_inputs": len(groups), "groups": groups}
    taken = inspect.signature(resolve(network["class"], NETWORK)).parameters
    return {**{name: value for name, value in given.items() if name in taken}, **network}


def loop_key(recipe: Recipe, groups: list[int]) -> Hashable | None:
    """Networks of recipes with equal keys can be trained in one loop; None for one that cannot.

    groups: see `network_settings`.
    """
    trainer = recipe.trainer
    key = stack_key(build_network(network_settings(recipe.network, groups)))
    return None if key is None else (key, trainer.batch_size, trainer.accelerator)


def train_networks(
    recipes: Sequence[Recipe],
    encoded: Sequence[Encoded],
    validation_rows: np.ndarray | None,
    *,
    resumable: Sequence[ResumableTraining] | None = None,
    learning_rates: Sequence[float] | None = None,
    report: Callable[[int, dict], None] | None = None,
    logger=None,
) -> list[TrainedNetwork | TrainingDiverged]:
    """Train the networks of recipes in one loop; more than one must share a `loop_key`.

    encoded: the training data of each recipe. validation_rows: (n,) bool of the first of these, of
    which those that may be trained on decide early stopping and the best epoch; None trains for
    all epochs, with `learning_rates`, one an epoch. resumable: of each recipe, the earlier epochs
    that it goes on from, and where the last one is saved. report: called with the number of the
    recipe and the history row of each epoch. logger: of Lightning.
    """
    trainings = [
        Training(
            partial(_network, recipe, data_of_recipe.encoder.input_groups()),
            _trainer(recipe, data_of_recipe),
            recipe.seed,
            learning_rates,
            report and partial(report, number),
            _start(resumable[number]) if resumable else None,
        )
        for number, (recipe, data_of_recipe) in enumerate(zip(recipes, encoded, strict=True))
    ]
    # Networks that see the same rows share them.
    rows = {
        id(data_of_recipe): _rows(data_of_recipe, data_of_recipe.train_rows)
        for data_of_recipe in encoded
    }
    stopping = None
    if validation_rows is not None:
        chosen = validation_rows & trainable(encoded[0].labels, recipes[0].train_on)
        if not chosen.any():
            raise UserError("no validation row is known to be normal, so no epoch can be chosen")
        stopping = _rows(encoded[0], chosen)
    trained = train_together(
        trainings, [rows[id(data_of_recipe)] for data_of_recipe in encoded], stopping, logger
    )
    for training, network in zip(resumable or (), trained, strict=bool(resumable)):
        if isinstance(network, TrainedNetwork) and network.end is not None:
            network.end.save(training.file(network.end.epochs))
    return trained


def _trainer(recipe: Recipe, encoded: Encoded) -> TrainerSettings:
    frauds = int(encoded.labels[encoded.fit_rows].sum())
    return recipe.trainer.with_contamination(frauds, int(encoded.fit_rows.sum()))


def _network(recipe: Recipe, groups: list[int], n_inputs: int) -> torch.nn.Module:
    return build_network(network_settings(recipe.network, groups))


def _rows(encoded: Encoded, mask: np.ndarray) -> Rows:
    mapped = isinstance(encoded.inputs, np.memmap)
    return Rows(
        torch.from_numpy(encoded.inputs),
        torch.from_numpy(np.flatnonzero(mask)),
        Path(encoded.inputs.filename) if mapped else None,
    )


def _start(resumable: ResumableTraining) -> Checkpoint | None:
    return Checkpoint.load(resumable.file(resumable.epochs)) if resumable.epochs else None


def make_detector(
    recipe: Recipe,
    encoded: Encoded,
    network: torch.nn.Module,
    validation_rows: np.ndarray | None,
    source_format: SourceFormat,
) -> FraudDetector:
    """Fit the scorer to a trained network; the threshold is still to be set.

    validation_rows: (n,) bool, which the scorer may learn from; None where there are none.
    """
    groups = encoded.encoder.input_groups()
    network = scoring_network(network)
    uses_labels = recipe.train_on == "normal" or recipe.scorer.learns_labels
    labels = encoded.labels if uses_labels else np.zeros_like(encoded.labels)
    evidence = []
    for rows in (encoded.fit_rows, validation_rows):
        if rows is not None:
            evidence += [SignalRows.where(network, encoded.inputs, groups, rows), labels[rows]]
    return FraudDetector(
        source_format=source_format,
        strategy=encoded.strategy,
        encoder=encoded.encoder,
        network=network,
        network_settings=network_settings(recipe.network, groups),
        scorer=copy.deepcopy(recipe.scorer).fit(*evidence),
    )


def _explained(detector: FraudDetector, data: TrainingData, scored: pd.DataFrame) -> list[dict]:
    positions = np.flatnonzero(data.validation_rows)

    def explain(rows: np.ndarray) -> list[list[Reason]]:
        return detector.reasons(
            data.encoded.inputs[positions[rows]],
            past=list(customer_histories(data.validation, rows)),
        )

    return top_transactions(scored, explain)


def _ratio(labels: pd.Series) -> float | None:
    """The share of frauds among rows that have a label; None where none has."""
    return float(labels.mean()) if labels.notna().any() else None


def train_run(
    run: Run,
    recipe: Recipe,
    data: TrainingData,
    *,
    evaluation: Evaluation,
    target: TrackingTarget,
    resumable: ResumableTraining | None = None,
    report: Callable[[dict], None] | None = None,
    trained: TrainedNetwork | None = None,
) -> None:
    """Train one run and write its folder; `metrics.json` comes last.

    evaluation: what is logged with the run; another needs no training. target: where it is logged.
    resumable: see `train_networks`. trained: the network, where it was trained beside others
    already; its history is logged then. Raises TrainingDiverged if the loss is not finite.
    """
    started = time.perf_counter()
    trained_before = sum(row["seconds"] for row in trained.history) if trained else 0.0
    check_metrics(evaluation.extra)
    evaluation.policy.check_labels(data.validation["is_fraud"].to_numpy())
    run.start()
    with track(target, run.folder) as tracker:
        if trained is None:
            trained = only(
                train_networks(
                    [recipe],
                    [data.encoded],
                    data.validation_rows,
                    resumable=resumable and [resumable],
                    report=report and (lambda _, row: report(row)),
                    logger=tracker.lightning_logger(),
                )
            )
        else:
            for row in trained.history:
                tracker.log_epoch(row, trained.steps_per_epoch)
        detector = make_detector(
            recipe, data.encoded, trained.network, data.validation_rows, data.source_format
        )
        scores = detector.score_inputs(data.encoded.inputs, data.validation_rows)
        scored = with_scores(data.validation, scores)
        detector = detector.choose_threshold(evaluation.policy, scored)
        detector.save(run.model_folder)
        run.write_history(trained.history)
        run.write_scores(scored)
        if data.planted is not None:
            run.write_planted_scores(data.planted.scored(detector, scores))
        top = _explained(detector, data, scored)
        run.write_top_transactions(top)
        write_groups(run, evaluation)
        figures, failure = first_figures(run, evaluation)
        metrics = {
            **figures,
            "best_epoch": trained.best_epoch,
            "epochs": len(trained.history),
            "contamination": _trainer(recipe, data.encoded).contamination,
            "feature_count": len(detector.feature_names),
            "input_count": int(data.encoded.inputs.shape[1]),
            "train_rows": int(data.encoded.train_rows.sum()),
            "validation_rows": len(scored),
            "fraud_ratio": _ratio(scored["is_fraud"]),
            "train_seconds": time.perf_counter() - started + trained_before,
        }
        tracker.log_evaluation(scored, detector.threshold, metrics, top)
    run.finish(metrics)
    if failure is not None:
        raise failure
