from types import SimpleNamespace

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher

from fraud_ae.sweeps.launcher import StackedLauncher
from fraud_ae.sweeps.sweeper import BatchSweeper
from tests.commands import run

JOBS = [["seed=1"], ["seed=2"]]


@pytest.mark.parametrize(("launcher", "composed"), [(StackedLauncher, []), (BasicLauncher, JOBS)])
def test_jobs_are_composed_beforehand_only_where_the_launcher_does_not(launcher, composed):
    seen = []
    loader = SimpleNamespace(
        load_sweep_config=lambda master_config, sweep_overrides: seen.append(sweep_overrides)
    )
    sweeper = BatchSweeper(max_batch_size=None)
    sweeper.config = {}
    sweeper.hydra_context = SimpleNamespace(config_loader=loader)
    sweeper.launcher = launcher()
    sweeper.validate_batch_is_legal(JOBS)
    assert seen == composed


@pytest.mark.parametrize("launcher", ["stacked", "basic"])
def test_a_job_that_cannot_be_composed_stops_a_sweep_before_its_first_training(tmp_path, launcher):
    printed = run(
        "train.py",
        *("-m", "stage=features", f"hydra/launcher={launcher}", "data.n_transactions=2000"),
        *("features=baseline", "model.latent_dim=3,three"),
        cwd=tmp_path,
        fails=True,
    )
    assert "Value 'three' of type 'str' could not be converted to Integer" in printed
    assert not list(tmp_path.glob("outputs/synthetic/runs/*"))
