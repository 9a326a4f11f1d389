"""The production model: the one look at the test rows, and the fit that is deployed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from fraud_ae.data.input_schema import InputSchema
from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.manifest import write_manifest
from fraud_ae.detector.model_info import MODEL_INFO, flat_metrics, is_challenger
from fraud_ae.detector.trailing_history import TrailingHistory
from fraud_ae.detector.versions import Versions
from fraud_ae.evaluation.custom_metrics import check_metrics
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.scored_frames import scored_frame
from fraud_ae.experiments.planted_inputs import PlantedInputs
from fraud_ae.experiments.run_store import SCORES, TEST_SCORES
from fraud_ae.production.description import describe
from fraud_ae.production.drift.reference import reference_statistics, save_reference
from fraud_ae.production.plan import Plan
from fraud_ae.production.refits import Refits
from fraud_ae.runtime.atomic_files import write_folder, write_whole
from fraud_ae.runtime.kept_files import write_kept
from fraud_ae.runtime.workers.local import LocalWorkers
from fraud_ae.runtime.workers.workers import Workers
from fraud_ae.tracking.target import TrackingTarget
from fraud_ae.tracking.tracker import Tracker, track


def make_production_model(
    plan: Plan,
    dataset: Dataset,
    split: Split,
    folder: Path,
    *,
    evaluation: Evaluation,
    target: TrackingTarget,
    report: Callable[[str], None],
    workers: Workers | None = None,
) -> dict:
    """Fit and publish the model for production, unless that very fit is there already.

    The test rows are scored once, when the run is made; another threshold or metric is answered
    from the kept scores. folder: of the experiment, where `models/final_model/` and
    `model_info.yaml` are written. report: called with a line before each long step. workers: fit
    side by side; by default this process fits one after another.
    Returns the content of model_info.yaml.
    """
    if plan.run.finished:
        created = plan.run.metrics()["fitted_at"]
        return _publish(plan, dataset, split, folder, evaluation, created)
    check_metrics(evaluation.extra)
    started = time.perf_counter()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    plan.run.start()
    with track(target, plan.run.folder) as tracker:
        _fit_and_score(plan, dataset, split, tracker, report, workers or LocalWorkers(1))
        info = _publish(plan, dataset, split, folder, evaluation, created)
        _log_test(plan, evaluation, tracker, info)
        _log_models(plan, folder, tracker, info)
    plan.run.finish({"fitted_at": created, "train_seconds": time.perf_counter() - started})
    return info


def _fit_and_score(
    plan: Plan,
    dataset: Dataset,
    split: Split,
    tracker: Tracker,
    report: Callable[[str], None],
    workers: Workers,
) -> None:
    transactions = dataset.transactions
    winner = FraudDetector.load(plan.winner.model_folder)
    history = plan.winner.history().iloc[: plan.winner.metrics()["best_epoch"]]
    plan.run.write_history(history.to_dict("records"))
    if plan.fit_on == "train":
        deployed, held_out = winner, plan.winner.scores()
    else:
        rates = history["learning_rate"].tolist()
        refits = Refits(plan, dataset, rates, winner.scorer, workers)
        fit_rows, newest = _rows(plan.fit_on, split, transactions)
        report(f"fit on {plan.fit_on}: {fit_rows.sum():,} transactions, {len(rates)} epochs")
        parts = [p for p in np.array_split(np.flatnonzero(newest), plan.folds) if len(p)]
        for number, part in enumerate(parts, start=1):
            report(f"threshold: fit {number} of {len(parts)} without {len(part):,} transactions")
        (deployed, curve, steps), *folds = refits.run(fit_rows, parts)
        for row in curve:
            tracker.log_epoch(row, steps)
        scores = np.concatenate(folds)
        held_out = scored_frame(dataset, newest, scores, split)
    deployed.save(plan.run.model_folder)
    plan.run.write_scores(held_out)
    report("score the test rows")
    _score_test(plan, winner, deployed, dataset, split)


def _rows(fit_on: str, split: Split, transactions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The rows to fit on, and the newest period among them, both (n,) bool."""
    if fit_on == "all":
        return np.ones(len(transactions), dtype=bool), split.test(transactions)
    # The labels of the gap after the training rows have become known too by then.
    fit_rows = split.before_test(transactions)
    fit_rows = fit_rows & (transactions["timestamp"] >= split.train_start).to_numpy()
    return fit_rows, split.validation(transactions)


def _score_test(
    plan: Plan, winner: FraudDetector, deployed: FraudDetector, dataset: Dataset, split: Split
) -> None:
    test = split.test(dataset.transactions)
    scores = winner.score_transactions(dataset.transactions, test)
    frame = scored_frame(dataset, test, scores, split)
    if plan.winner.has_planted_scores:
        has_times = bool(dataset.source_format.sources("timestamp"))
        planted = PlantedInputs.of(winner, dataset.transactions, test, has_times)
        plan.run.write_planted_scores(planted.scored(winner, scores))
    if plan.fit_on != "all":
        frame["deployed_score"] = deployed.score_transactions(dataset.transactions, test)
    frame.to_parquet(plan.run.folder / TEST_SCORES, index=False)


def _publish(
    plan: Plan,
    dataset: Dataset,
    split: Split,
    folder: Path,
    evaluation: Evaluation,
    created: str,
) -> dict:
    held_out = plan.run.scores()
    detector = FraudDetector.load(plan.run.model_folder)
    detector = detector.choose_threshold(evaluation.policy, held_out)
    transactions = dataset.transactions
    remembered = None
    if plan.keep_history:
        remembered = TrailingHistory.of(transactions, detector.strategy, dataset.source_format)
    info = describe(plan, dataset, split, detector, evaluation, created, remembered)
    text = yaml.safe_dump(info, sort_keys=False)
    used = tuple(getattr(detector.strategy, "columns", ()))
    schema = InputSchema.of(transactions, dataset.source_format, used)
    reference = reference_statistics(
        detector.strategy,
        transactions,
        held_out,
        _scored_by_itself(plan, detector, transactions, split, held_out),
        label_delay_days=split.label_delay_days,
        replicates=evaluation.replicates,
    )

    def fill(draft: Path) -> None:
        detector.save(draft)
        schema.save(draft)
        if remembered is not None:
            remembered.save(draft)
        held_out.to_parquet(draft / SCORES, index=False)
        save_reference(draft, reference)
        write_whole(draft / MODEL_INFO, text)
        write_manifest(draft)

    write_folder(folder / "models" / "final_model", fill)
    write_kept(folder / MODEL_INFO, text)
    return info


def _scored_by_itself(
    plan: Plan,
    detector: FraudDetector,
    transactions: pd.DataFrame,
    split: Split,
    held_out: pd.DataFrame,
) -> pd.DataFrame:
    """Rows that the deployed fit itself scored: other fits may have another scale.

    It was not fitted on them, unless it was fitted on all.
    """
    if plan.fit_on == "train":
        return held_out
    test = pd.read_parquet(plan.run.folder / TEST_SCORES)
    if "deployed_score" in test:
        return test.assign(score=test["deployed_score"])
    return test.assign(score=detector.score_transactions(transactions, split.test(transactions)))


def _log_test(plan: Plan, evaluation: Evaluation, tracker: Tracker, info: dict) -> None:
    """The test rows as the winner scores them; reasons are those of its validation rows."""
    test = pd.read_parquet(plan.run.folder / TEST_SCORES)
    threshold = evaluation.policy.choose(plan.winner.scores())
    top = plan.winner.top_transactions()
    tracker.log_evaluation(test, threshold, flat_metrics(info["figures"]), top)


def _log_models(plan: Plan, folder: Path, tracker: Tracker, info: dict) -> None:
    """The winner as it was tuned and tested is the candidate, what is deployed is production.

    A challenger is not deployed before it has been compared, nor is a later model of a pipeline
    before somebody promotes it.
    """
    name, path = f"{info['name']}-detector", folder / MODEL_INFO
    model = folder / "models" / "final_model"
    is_deployed = not is_challenger(info) and Versions(model.parent).is_for_production(model)
    role = "production" if is_deployed else "challenger"
    if plan.fit_on == "train":
        tracker.log_model(model, path, name, ("candidate", role), info)
        return
    tracker.log_model(plan.winner.model_folder, path, name, ("candidate",), info)
    tracker.log_model(model, path, name, (role,), info)
