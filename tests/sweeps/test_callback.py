import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import open_dict

from fraud_ae.sweeps.callback import number_of_jobs, swept_parameters
from fraud_ae.sweeps.plugins import register
from tests.commands import ROOT


def multirun(*overrides: str):
    """The configuration that Hydra hands to a callback when a multirun starts."""
    fixed = [o for o in overrides if "=" in o and not any(c in o for c in ",(")]
    cfg = compose("train", overrides=fixed, return_hydra_config=True)
    with open_dict(cfg):
        cfg.hydra.overrides.task = list(overrides)
    return cfg


@pytest.fixture(autouse=True)
def _hydra():
    register()
    with initialize_config_dir(str(ROOT / "conf")):
        assert GlobalHydra.instance().is_initialized()
        yield


@pytest.mark.parametrize(
    ("overrides", "jobs"),
    [
        (["features=glob(*)"], 5),
        (["stage=features"], 5),
        (["stage=features", "features=baseline,combined"], 2),
        (["stage=broad"], 48),
        (["stage=broad", "model.latent_dim=4,8"], 32),
        (["stage=broad", "trainer.weight_decay=0.0,0.1"], 96),
        (["stage=broad", "hydra/sweeper/sampler=tpe"], 48),
        (["stage=broad", "hydra/sweeper/sampler=tpe", "hydra.sweeper.n_trials=7"], 7),
        (["trainer.batch_size=32,64", "seed=range(0,3)"], 6),
    ],
)
def test_number_of_jobs_is_what_the_sweeper_will_start(overrides, jobs):
    cfg = multirun(*overrides)
    assert number_of_jobs(cfg) == jobs


def test_only_what_varies_is_swept():
    cfg = multirun("stage=features", "trainer.max_epochs=3", "seed=1,2")
    assert list(swept_parameters(cfg)) == ["features", "seed"]
