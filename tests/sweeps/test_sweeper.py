from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from fraud_ae.errors import UserError
from fraud_ae.sweeps.launcher import StackedLauncher
from fraud_ae.sweeps.sweeper import BatchSweeper, check_values, combinations
from tests.commands import run

JOBS = [["seed=1"], ["seed=2"]]


@pytest.mark.parametrize(("launcher", "composed"), [(StackedLauncher, []), (SimpleNamespace, JOBS)])
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
    assert "error: model.latent_dim=three: must be a whole number" in printed
    assert not list(tmp_path.glob("outputs/synthetic/runs/*"))


OPTIONS = ["baseline", "behavioural", "combined"]
LOADER = SimpleNamespace(get_group_options=lambda group, results_filter=None: OPTIONS)


def parsed(*overrides: str) -> list[Override]:
    return OverridesParser.create(config_loader=LOADER).parse_overrides(list(overrides))


def combined(*overrides: str) -> list[list[str]]:
    return combinations(parsed(*overrides))


def test_every_combination_is_a_job_and_the_last_value_of_a_key_counts():
    told = ("features=glob(*)", "seed=3", "features=glob(b*)", "data.days=range(1,4,2)", "+a='x,y'")
    assert combined(*told) == [
        [f"features={name}", "seed=3", f"data.days={days}", "+a='x,y'"]
        for name in ("baseline", "behavioural")
        for days in (1, 3)
    ]


def test_a_sweep_over_nothing_is_refused():
    with pytest.raises(UserError, match="matches none of baseline, behavioural, combined") as found:
        check_values(parsed("seed=1,2", "features=glob(nothing*)"))
    assert str(found.value).startswith("features=glob(nothing*) matches")
    with pytest.raises(UserError, match="no value to sweep over"):
        check_values(OverridesParser.create().parse_overrides(["seed=range(3,3)"]))
    check_values(parsed("seed=1,2", "features=glob(b*)", "model=denoising"))


def test_an_interval_is_refused():
    with pytest.raises(UserError, match="an interval has no list of values"):
        combined("seed=interval(1,2)")


@pytest.mark.parametrize(("size", "batches"), [(None, [3]), (2, [2, 1])])
def test_jobs_come_in_batches(tmp_path, size, batches):
    launched = []

    def launch(batch, initial_job_idx):
        launched.append((batch, initial_job_idx))
        return [SimpleNamespace(return_value=None) for _ in batch]

    sweeper = BatchSweeper(size, {"seed": "choice(1,2)", "data.days": "5"})
    loader = SimpleNamespace(load_sweep_config=lambda master_config, sweep_overrides: None)
    sweeper.hydra_context = SimpleNamespace(config_loader=loader)
    sweeper.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path / "sweep")}}})
    sweeper.launcher = SimpleNamespace(launch=launch)
    returned = sweeper.sweep(["seed=7,8,9"])
    assert [len(batch) for batch in returned] == batches
    jobs = [job for batch, _ in launched for job in batch]
    assert jobs == [[f"seed={seed}", "data.days=5"] for seed in (7, 8, 9)]
    assert [start for _, start in launched] == [0, 2][: len(batches)]
    assert OmegaConf.load(tmp_path / "sweep" / "multirun.yaml") == sweeper.config


@pytest.mark.parametrize("stage", ["features", "broad"])
def test_a_sweep_that_matches_nothing_ends_the_command(tmp_path, stage):
    wrong = "features=glob(nothing*)"
    printed = run("train.py", "-m", f"stage={stage}", wrong, cwd=tmp_path, code=2)
    assert f"error: {wrong} matches none of baseline, behavioural" in printed
    assert "Traceback" not in printed
    assert "Warning" not in printed
