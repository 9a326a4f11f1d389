"""Small configurations, runs trained from them, and models for production."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import hydra
import pytest

from fraud_ae.configuration.job import Job
from fraud_ae.data.simulation.synthetic import simulate
from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split, split_by_time
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.experiments.identity import production_identity
from fraud_ae.experiments.run_store import Run
from fraud_ae.experiments.training_data import TrainingData
from fraud_ae.features.encoded_data import encode
from fraud_ae.production.final_model import make_production_model
from fraud_ae.production.plan import Plan
from fraud_ae.runtime.named_objects import VARIABLE
from fraud_ae.sweeps.plugins import register
from tests.commands import kill_what_runs

# Of a user: strategies, scorers and metrics of the tests, and the modules that tests write.
os.environ[VARIABLE] = ",".join(
    (
        "tests",
        "failing_metrics",
        "fraud_ae_of_mine",
        "known",
        "math",
        "own_figures",
        "own_metrics",
        "own_ranking",
        "own_shares",
        "own_strategy",
    )
)
CONF = Path(__file__).resolve().parents[1] / "conf"
# Canonical columns and those of the "Fraud Detection Handbook".
HANDBOOK = {
    "transaction_id": "TRANSACTION_ID",
    "timestamp": "TX_DATETIME",
    "customer_id": "CUSTOMER_ID",
    "terminal_id": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
    "is_fraud": "TX_FRAUD",
    "fraud_scenario": "TX_FRAUD_SCENARIO",
}
SMALL = (
    "experiment=small",
    "data.n_transactions=2500",
    "model.hidden_sizes=[16]",
    "model.latent_dim=4",
    "trainer.max_epochs=4",
    "trainer.accelerator=cpu",
    "scorer=reconstruction",
    "wandb.mode=disabled",
)


def split_by(job: Job, dataset: Dataset) -> Split:
    """The parts of other transactions than the job's own, by its settings."""
    settings = asdict(job.split_settings)
    fractions, delay = settings.pop("fractions"), settings.pop("label_delay_days")
    times = dataset.transactions["timestamp"]
    return split_by_time(times, fractions=fractions, label_delay_days=delay, dates=settings)


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    yield
    kill_what_runs()


@pytest.fixture(scope="session")
def handbook_file(tmp_path_factory) -> Path:
    """A small file in the form of the handbook's."""
    settings = {"days": 65, "start": "2018-06-11", "fraud_ratio": 0.08, "n_customers": 300}
    frame, pattern = simulate(12_000, **settings)
    path = tmp_path_factory.mktemp("handbook") / "handbook.parquet"
    frame.join(pattern)[list(HANDBOOK)].rename(columns=HANDBOOK).to_parquet(path)
    return path


@pytest.fixture(scope="session")
def compose() -> Callable[..., Job]:
    """The job of `train.py` with these overrides, shrunk for tests."""
    register()

    def composed(*overrides: str) -> Job:
        with hydra.initialize_config_dir(str(CONF)):
            cfg = hydra.compose("train", [*SMALL, *overrides])
        return Job.of(cfg, {"features": "combined"})

    return composed


@pytest.fixture(scope="session")
def dataset(compose) -> Dataset:
    return compose().dataset


@pytest.fixture(scope="session")
def train(dataset) -> Callable[..., Run]:
    """Trains the run of a configuration into a folder, and returns it finished."""
    from fraud_ae.experiments.run import train_run

    given = dataset

    def trained(job: Job, folder: Path, dataset: Dataset = given) -> Run:
        split = split_by(job, dataset)
        visible = dataset.transactions[split.before_test(dataset.transactions)]
        encoded = encode(job.strategy, job.encoder, visible, split.train(visible), job.train_on)
        run = Run(
            folder,
            {
                **job.run.identity,
                "data": {**job.run.identity["data"], "fingerprint": dataset.fingerprint},
            },
        )
        train_run(
            run,
            job.recipe,
            TrainingData.of(dataset, split, encoded),
            evaluation=job.evaluation,
            target=job.target,
        )
        return run

    return trained


@pytest.fixture(scope="session")
def finished_run(compose, train, tmp_path_factory) -> Run:
    """One run of the small configuration; tests only read it."""
    return train(compose(), tmp_path_factory.mktemp("runs"))


@dataclass
class Made:
    """A production model, what it was made of, and what was trained for it."""

    plan: Plan
    folder: Path
    info: dict
    trainings: list[dict]

    @property
    def model(self) -> FraudDetector:
        return FraudDetector.load(self.folder / "models" / "final_model")


@pytest.fixture(scope="session")
def make(dataset) -> Callable[..., Made]:
    """Makes the production model of a configuration and its finished run in a folder."""
    from fraud_ae.experiments import run as experiment

    given = dataset

    def made(
        job: Job,
        winner: Run,
        fit_on: str,
        folder: Path,
        *,
        dataset: Dataset = given,
        evaluation: Evaluation | None = None,
        folds: int = 3,
    ) -> Made:
        identity = production_identity(winner.identity, fit_on, folds)
        plan = Plan(
            winner=winner,
            run=Run(folder / "runs", identity),
            strategy=job.strategy,
            encoder=job.encoder,
            recipe=job.recipe,
            fit_on=fit_on,
            folds=folds,
            keep_history=True,
            computation=job.computation,
            experiment=job.experiment,
            configuration=job.settings,
        )
        trainings = []

        def watched(several, rows, validation, logger=None):
            trained = original(several, rows, validation, logger)
            trainings.extend(
                {"rows": len(own), "history": one.history}
                for own, one in zip(rows, trained, strict=True)
            )
            return trained

        original = experiment.train_together
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(experiment, "train_together", watched)
            info = make_production_model(
                plan,
                dataset,
                split_by(job, dataset),
                folder,
                evaluation=evaluation or job.evaluation,
                target=job.target,
                report=lambda line: None,
            )
        return Made(plan, folder, info, trainings)

    return made


@pytest.fixture(scope="session")
def published(make, compose, finished_run, tmp_path_factory) -> Made:
    """A model for production of the small configuration; tests only read it."""
    return make(compose(), finished_run, "train", tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="session")
def model(published) -> Path:
    """The folder of that model."""
    return published.folder / "models" / "final_model"
