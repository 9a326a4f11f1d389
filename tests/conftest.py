"""Small configurations, runs trained from them, and models for production."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf

from fraud_ae.configuration import schemas as config
from fraud_ae.configuration.build import (
    dataset_of,
    encoder_of,
    evaluation_of,
    recipe_of,
    split_of,
    strategy_of,
    tracked_run,
)
from fraud_ae.data.sources import Dataset
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.experiments.run_store import Run, production_identity, run_identity
from fraud_ae.experiments.training_data import TrainingData
from fraud_ae.features.encoded_data import encode
from fraud_ae.production.final_model import Plan, make_production_model

CONF = Path(__file__).resolve().parents[1] / "conf"
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


@pytest.fixture(scope="session")
def compose() -> Callable[..., dict]:
    """The resolved configuration of `train.py` with these overrides, shrunk for tests."""
    config.register()

    def composed(*overrides: str) -> dict:
        with hydra.initialize_config_dir(str(CONF)):
            cfg = hydra.compose("train", [*SMALL, *overrides])
        return OmegaConf.to_container(cfg, resolve=True)

    return composed


@pytest.fixture(scope="session")
def dataset(compose) -> Dataset:
    return dataset_of(compose())


@pytest.fixture(scope="session")
def train(dataset) -> Callable[..., Run]:
    """Trains the run of a configuration into a folder, and returns it finished."""
    from fraud_ae.experiments.run import train_run

    own = dataset

    def trained(config: dict, folder: Path, dataset: Dataset = own) -> Run:
        split = split_of(config, dataset)
        visible = dataset.transactions[split.before_test(dataset.transactions)]
        encoded = encode(
            strategy_of(config, dataset),
            encoder_of(config),
            visible,
            split.train(visible),
            config["data"]["train_on"],
        )
        run = Run(folder, run_identity(config, dataset.fingerprint))
        train_run(
            run,
            recipe_of(config),
            TrainingData.of(dataset, split, encoded),
            evaluation=evaluation_of(config),
            target=tracked_run(config, {"features": "combined"}),
            config=config,
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

    own = dataset

    def made(
        config: dict,
        winner: Run,
        fit_on: str,
        folder: Path,
        *,
        dataset: Dataset = own,
        evaluation: Evaluation | None = None,
        folds: int = 3,
    ) -> Made:
        run = Run(folder / "runs", production_identity(winner, fit_on, folds))
        strategy, encoder = strategy_of(config, dataset), encoder_of(config)
        plan = Plan(winner, run, strategy, encoder, recipe_of(config), fit_on, folds)
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
                split_of(config, dataset),
                folder,
                evaluation=evaluation or evaluation_of(config),
                target=tracked_run(config, {"features": "combined"}),
                config=config,
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
