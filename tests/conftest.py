"""Small configurations, and runs trained from them."""

from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf

from fraud_ae import config
from fraud_ae.data.sources import Dataset
from fraud_ae.run_store import Run, run_identity
from fraud_ae.sweep.build import dataset_of, recipe_of, split_of, strategy_of, tracked_run

CONF = Path(__file__).resolve().parents[1] / "conf"
SMALL = (
    "experiment=small",
    "data.n_transactions=2500",
    "model.hidden_sizes=[16]",
    "model.latent_dim=4",
    "trainer.max_epochs=4",
    "trainer.accelerator=cpu",
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
    from fraud_ae.experiment import prepare, train_run

    own = dataset

    def trained(config: dict, folder: Path, dataset: Dataset = own) -> Run:
        split = split_of(config, dataset)
        recipe = recipe_of(config, strategy_of(config, dataset))
        visible = dataset.transactions[split.before_test(dataset.transactions)]
        run = Run(folder, run_identity(config, dataset.fingerprint))
        train_run(
            run,
            recipe,
            dataset,
            split,
            prepare(recipe, visible, split.train(visible)),
            percentile=config["threshold"]["percentile"],
            extra=config["metrics"]["extra"],
            target=tracked_run(config),
            config=config,
        )
        return run

    return trained


@pytest.fixture(scope="session")
def finished_run(compose, train, tmp_path_factory) -> Run:
    """One run of the small configuration; tests only read it."""
    return train(compose(), tmp_path_factory.mktemp("runs"))
