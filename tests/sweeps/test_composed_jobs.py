import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError

from fraud_ae.sweeps.composed_jobs import ComposedJobs
from fraud_ae.sweeps.plugins import register
from tests.commands import ROOT


@pytest.fixture(autouse=True)
def _hydra():
    register()
    with initialize_config_dir(str(ROOT / "conf")):
        yield


def plain(cfg) -> dict:
    return OmegaConf.to_container(cfg, resolve=False)


@pytest.mark.parametrize(
    "jobs",
    [
        [
            ["model.latent_dim=8", "threshold.percentile=90"],
            ["model.latent_dim=4", "threshold.percentile=95"],
        ],
        [
            ["features=baseline", "trainer.max_epochs=2"],
            ["features=temporal", "trainer.max_epochs=3"],
        ],
        [["model.hidden_sizes=[8]", "seed=3"], ["model.hidden_sizes=[16,8]", "seed=3"]],
        [["+metrics.extra.cost=a.b"], ["+metrics.extra.cost=a.c"]],
        [
            ["encoder.clip=null", "model.activation=relu"],
            ["encoder.clip=5.0", "model.activation=tanh"],
        ],
    ],
    ids=str,
)
def test_a_job_is_what_hydra_composes(jobs):
    loader = GlobalHydra.instance().config_loader()
    sweep = compose("train", return_hydra_config=True)
    composed = ComposedJobs(loader, sweep)
    for number, overrides in enumerate(jobs):
        expected = loader.load_sweep_config(sweep, overrides)
        with open_dict(expected):
            expected.hydra.job.id, expected.hydra.job.num = str(number), number
        assert plain(composed.config(overrides, number)) == plain(expected)


def test_a_copy_is_as_closed_as_the_first_and_resolves_the_same():
    sweep = compose("train", return_hydra_config=True)
    composed = ComposedJobs(GlobalHydra.instance().config_loader(), sweep)
    folder = sweep.hydra.sweep.dir
    for number, latent_dim in enumerate((4, 8)):
        job = composed.config([f"model.latent_dim={latent_dim}"], number)
        # The time in it is the sweep's.
        assert job.hydra.sweep.dir == folder
        assert job.experiment == "synthetic"
        assert OmegaConf.get_type(job.model).__name__ == "AutoencoderConfig"
        assert job.hydra.job.num == number
        with pytest.raises(ConfigAttributeError, match="latent_dim"):
            job.model.latent_dmi = 3
