"""The production stage: the winner's run, the fit that is deployed, and its version."""

from pathlib import Path

from rich.console import Console

from fraud_ae.configuration.job import Job
from fraud_ae.detector.manifest import digest
from fraud_ae.detector.model_info import flat_metrics, published_info
from fraud_ae.detector.versions import Versions, publish
from fraud_ae.experiments.identity import production_identity
from fraud_ae.experiments.result_tables import print_model
from fraud_ae.experiments.run_store import TEST_SCORES, Run
from fraud_ae.pipeline.background_audit import BackgroundAudit
from fraud_ae.runtime.workers.local import LocalWorkers, shared_workers
from fraud_ae.sweeps.job import check_candidate, metrics_line, objective, train_or_reuse, trained
from fraud_ae.sweeps.winner import explain, origin, read_winner


def run_production_job(job: Job) -> float:
    """Make the model for production of a job's run, unless it is there, and print it.

    Returns the objective that the run reached on validation. Raises LeakRefused, before anything is
    published, where its features leak, and UserError for what else the user can mend.
    """
    check_candidate(job)
    name, decision = job.choices.get("candidate"), read_winner(job.folder)
    if decision is not None and decision["candidate"] == name:
        print(explain(decision))
    winner, _, reached = train_or_reuse(job)
    came_from = origin(job.folder, name, winner.id)
    BackgroundAudit(job.choices["features"], job, LocalWorkers(1)).finish()
    fit = job.production
    run = Run(job.folder / "runs", production_identity(winner.identity, fit.fit_on, fit.folds))
    with run.lock():
        reused = trained.reusable(run, job.retrain) and (run.folder / TEST_SCORES).is_file()
        # The code of custom metrics may have changed.
        info = None
        if reused and not job.evaluation.extra:
            info = published_info(job.folder, run.id, job.settings, came_from)
        if info is None:
            info = _make_model(job, winner, run, came_from, reused)
    print(f"run {run.id}: {'finished before, not fitted again' if reused else 'fitted'}")
    print(f"written to {job.folder / 'models' / 'final_model'}")
    if not fit.challenger:
        print(publish(job.folder))
        # Whoever serves it can ask for this model and no other.
        print(f"digest {_digest_of_version(job.folder / 'models')}")
    print_model(job.folder, Console(highlight=False))
    print(metrics_line(flat_metrics(info["figures"]), job.evaluation.extra))
    return objective(job, reached)


def _digest_of_version(models: Path) -> str:
    """Of the version that the last model is, which may have been made earlier."""
    versions = Versions(models)
    return digest(versions.version(versions.same_as(models / "final_model")))


def _make_model(job: Job, winner: Run, run: Run, came_from: dict, reused: bool) -> dict:
    from fraud_ae.production.final_model import make_production_model
    from fraud_ae.production.plan import Plan

    if not reused:
        run.start()
        trained.add(run)
    plan = Plan(
        winner=winner,
        origin=came_from,
        run=run,
        strategy=job.strategy,
        encoder=job.encoder,
        recipe=job.recipe,
        fit_on=job.production.fit_on,
        keep_history=job.production.keep_history,
        folds=job.production.folds,
        computation=job.computation,
        experiment=job.experiment,
        configuration=job.settings,
    )
    return make_production_model(
        plan,
        job.dataset,
        job.split,
        job.folder,
        evaluation=job.evaluation,
        target=job.target,
        report=print,
        workers=shared_workers(),
    )
