"""The studies that the commands leave, in real processes."""

import os
from pathlib import Path

import pytest
from optuna.trial import TrialState

from fraud_ae.sweeps.studies.storages import STUDIES
from tests.commands import ROOT, board, run, start_warm
from tests.sweeps.studies.study_results import studies, trials

SMALL = ("data.n_transactions=2000", "experiment=small", "scorer=reconstruction")
BROAD = ("-m", "stage=broad", *SMALL, "trainer.max_epochs=1", "wandb.mode=disabled")
KEY = "threshold.percentile"
FOUR = ("model.activation=relu", "trainer.learning_rate=0.001", "trainer.batch_size=128")


def shown(folder: Path, stage: str = "broad") -> dict[tuple, float]:
    """The value of each finished trial, by its run and, in the broad sweep, its threshold."""
    own = (KEY,) if stage == "broad" else ()
    return {
        (t.user_attrs["run_id"], *(t.params[key] for key in own)): t.value
        for t in trials(folder, stage)
        if t.state == TrialState.COMPLETE
    }


def reached(folder: Path, stage: str = "broad") -> dict:
    """The same by the leaderboard."""
    own = (KEY,) if stage == "broad" else ()
    rows = board(folder, stage).to_dict("records")
    return {(r["run_id"], *(r[key] for key in own)): r["final_auc"] for r in rows}


@pytest.mark.slow
def test_every_stage_of_a_sweep_is_a_study_whose_trials_link_to_their_runs(tmp_path):
    folder = tmp_path / "outputs" / "small"
    four = (*BROAD, *FOUR, "model.latent_dim=4,8")
    run("train.py", *four, cwd=tmp_path)
    assert shown(folder) == pytest.approx(reached(folder))
    for trial in trials(folder):
        assert (tmp_path / trial.user_attrs["run"] / "metrics.json").is_file()
        # A study keeps its times in whole microseconds.
        seconds = pytest.approx(trial.user_attrs["seconds"], abs=1e-6)
        assert trial.duration.total_seconds() == seconds
    before = (folder / STUDIES).stat().st_mtime_ns
    run("train.py", *four, cwd=tmp_path)
    assert (folder / STUDIES).stat().st_mtime_ns == before
    run("train.py", *four, "retrain=true", cwd=tmp_path)
    assert shown(folder) == pytest.approx(reached(folder))
    assert len(trials(folder)) == 4
    # Other values, with a launcher of Hydra's own, and an objective of another name.
    first = set(studies(folder))
    launcher = ("hydra/launcher=basic", "threshold.percentile=90,95")
    run("train.py", *BROAD, *FOUR, *launcher, "model.latent_dim=5,6", cwd=tmp_path)
    (second,) = set(studies(folder)) - first
    assert {t.params["model.latent_dim"] for t in studies(folder)[second].get_trials()} == {5, 6}
    assert len(studies(folder)[second].get_trials()) == 4
    run("train.py", *four, "objective=average_precision", cwd=tmp_path)
    (named,) = [s for name, s in studies(folder).items() if "average_precision" in name]
    found = board(folder, "broad")["average_precision"]
    assert sorted(t.value for t in named.get_trials()) == pytest.approx(sorted(found))


@pytest.mark.slow
def test_refused_and_diverged_jobs_are_failed_trials(tmp_path):
    own = tmp_path / "own" / "features"
    own.mkdir(parents=True)
    (own / "broken.yaml").write_text("_target_: broken.Broken\n")
    (tmp_path / "broken.py").write_text(
        "class Broken:\n    def generate_features(self, df):\n        return 1 / 0\n"
    )
    folder = tmp_path / "outputs" / "small"
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    arguments = ("--config-dir", "own", "-m", "features=baseline,broken", *SMALL)
    arguments += ("allowed_modules=[broken]", "wandb.mode=disabled")
    run("train.py", *arguments, cwd=tmp_path, PYTHONPATH=path)
    found = {trial.params["features"]: trial for trial in trials(folder, "features")}
    assert found["baseline"].state == TrialState.COMPLETE
    assert found["broken"].state == TrialState.FAIL
    assert "ZeroDivisionError" in found["broken"].user_attrs["reason"]
    steep = (*BROAD, "model.latent_dim=4", "trainer.batch_size=128", "model.activation=relu")
    steep += ("threshold.percentile=95", "trainer.learning_rate=0.001,1e30")
    run("train.py", *steep, "candidate=null", cwd=tmp_path)
    states = {t.params["trainer.learning_rate"]: t.state for t in trials(folder)}
    assert states == {0.001: TrialState.COMPLETE, 1e30: TrialState.FAIL}


@pytest.mark.slow
def test_trials_of_a_sampler_are_those_of_its_jobs(tmp_path):
    folder = tmp_path / "outputs" / "small"
    tpe = ("hydra/sweeper/sampler=tpe", "hydra.sweeper.n_trials=10", "hydra.sweeper.n_jobs=4")
    interval = "trainer.learning_rate=interval(0.0001,0.01)"
    run("train.py", *BROAD, *tpe, interval, cwd=tmp_path)
    assert shown(folder) == pytest.approx(reached(folder))
    assert len(trials(folder)) == len(board(folder, "broad"))
    assert all(0.0001 <= t.params["trainer.learning_rate"] <= 0.01 for t in trials(folder))


@pytest.mark.slow
def test_sweeps_of_one_experiment_at_the_same_time(tmp_path):
    folder = tmp_path / "outputs" / "small"
    together = [
        start_warm("train.py", *BROAD, *FOUR, f"model.latent_dim={values}", cwd=tmp_path)
        for values in ("4,8", "4,8", "8,16")
    ]
    for process in together:
        printed, _ = process.communicate(timeout=600)
        assert process.returncode == 0, printed
        assert "no trial can be written" not in printed
    found = list(studies(folder).values())
    assert len(found) == 2
    for study in found:
        assert sorted(t.number for t in study.get_trials()) == [0, 1, 2, 3]
        assert len({(*t.params.values(),) for t in study.get_trials()}) == 4
