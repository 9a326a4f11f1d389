"""Results of jobs as a sweep leaves them, and their studies as Optuna reads them."""

import itertools
import warnings
from pathlib import Path

import optuna
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution
from sqlalchemy.engine import URL

from fraud_ae.sweeps.studies.storages import STUDIES, StudyFile
from fraud_ae.sweeps.studies.writer import StudyWriter

SWEPT = {"model.latent_dim": [8, 16], "model.activation": ["relu", "tanh"]}
SPACE = {key: CategoricalDistribution(values) for key, values in SWEPT.items()}


def result(number: int = 0, value: float | None = 0.9, **changes) -> dict:
    """What a job left; by default one that differs by its run."""
    parameters = changes.pop("parameters", {"model.latent_dim": 8, "model.activation": "relu"})
    overrides = OmegaConf.create({"defaults": [{"override /features": "combined"}]})
    for key, each in {**parameters, "trainer.max_epochs": 10}.items():
        OmegaConf.update(overrides, key, each, force_add=True)
    return {
        "status": "finished",
        "reason": None,
        "run_id": f"run{number}",
        "reused": False,
        "choices": {"candidate": "features_01", "features": "combined", "model": "autoencoder"},
        "parameters": parameters,
        "extra": [],
        "objective": value,
        "metrics": {"final_auc": value, "f1": 0.1, "train_seconds": 2.0},
        "data": "f1",
        "data_name": "shop",
        "validation_set": "set1",
        "overrides": OmegaConf.to_container(overrides),
        **changes,
    }


def grid() -> list[dict]:
    """Four results, one for each combination of what is swept."""
    combinations = itertools.product(*SWEPT.values())
    return [
        result(number, (6 + number) / 10, parameters=dict(zip(SWEPT, each, strict=True)))
        for number, each in enumerate(combinations)
    ]


def write(
    folder: Path,
    results: list[dict],
    objective: str = "final_auc",
    space: dict = SPACE,
) -> None:
    """Follow a sweep that has left these results."""
    writer = StudyWriter(folder, StudyFile(folder / STUDIES), "broad", objective, results, space)
    writer.start()
    writer.close()


def studies(folder: Path) -> dict[str, optuna.Study]:
    """The studies of an experiment as Optuna reads them, by name."""
    storage = URL.create("sqlite", database=str(folder / STUDIES)).render_as_string()
    names = optuna.get_all_study_names(storage=storage)
    return {name: optuna.load_study(study_name=name, storage=storage) for name in names}


def trials(folder: Path, stage: str = "broad") -> list[optuna.trial.FrozenTrial]:
    """The trials of the one study of a stage."""
    (study,) = [study for name, study in studies(folder).items() if name.startswith(f"{stage} ")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        assert study.metric_names == [name_of_objective(study)]
    return study.get_trials()


def name_of_objective(study: optuna.Study) -> str:
    """The metric that stands in the name of a study."""
    return study.study_name.split(" ")[1]
