"""What `python train.py` says of mistakes, and what a sweep does with a run that fails."""

import pandas as pd
import pytest

from tests.commands import finished_runs, run

TINY = ("data.n_transactions=2000", "trainer.max_epochs=2", "wandb.mode=disabled")
SMALL = (*TINY, "scorer=reconstruction")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model.latent_dim=0",), "model.latent_dim=0: must be greater than 0"),
        (("objective=final_au",), "did you mean final_auc?"),
        (("metrics.extra.mine=nowhere.metric",), "metrics.extra.mine=nowhere.metric"),
        (
            ("metrics.extra.mine=math.sqrt", "allowed_modules=[math]"),
            "metrics.extra.mine=math.sqrt: must take (y_true, scores)",
        ),
        (("metrics.extra.threshold=os.getcwd",), "built-in figure"),
        (("experiment=../x",), "experiment=../x: must be a plain folder name"),
        (("experiment=${oc.env:HOME}",), "experiment=${oc.env:HOME}: must be a plain folder name"),
        (("features=behavioural", "features.windows_days=[]"), "windows_days"),
        (("data=custom",), "data.path=FILE is needed"),
        (("data=custom", "data.path=none.csv"), "none.csv: no such file"),
        (("stage=broad",), "python train.py -m stage=broad"),
        (("stage=production",), "no such candidate"),
        (("data.split.label_delay_days=400",), "data.split.label_delay_days"),
        (("model._target_=nowhere.Net",), "model._target_=nowhere.Net"),
        (("trainer.learning_rate=1e30",), "training diverged"),
    ],
)
def test_what_a_user_can_mend_is_said_without_a_traceback(tmp_path, arguments, message):
    size = () if "data=custom" in arguments else SMALL[:1]
    printed = run("train.py", *size, *arguments, "wandb.mode=disabled", cwd=tmp_path, fails=True)
    assert message in printed
    assert "Traceback" not in printed
    assert not finished_runs(tmp_path / "outputs" / "synthetic")


@pytest.mark.slow
def test_a_failing_strategy_of_ones_own_does_not_end_a_sweep(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "features").mkdir()
    (tmp_path / "own" / "features" / "broken.yaml").write_text("_target_: broken.Broken\n")
    (tmp_path / "broken.py").write_text(
        "class Broken:\n    def generate_features(self, df):\n        return 1 / 0\n"
    )
    swept = run(
        "train.py",
        "--config-dir",
        "own",
        "-m",
        "features=baseline,broken",
        "allowed_modules=[broken]",
        *SMALL,
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert "broken refused: Broken fails: ZeroDivisionError" in " ".join(swept.split())
    assert len(finished_runs(tmp_path / "outputs" / "synthetic")) == 1


@pytest.mark.slow
def test_a_leaderboard_that_cannot_be_written_is_an_error(tmp_path):
    folder = tmp_path / "outputs" / "synthetic"
    folder.mkdir(parents=True)
    (folder / "leaderboards").write_text("in the way")
    printed = run("train.py", "-m", "features=baseline", *SMALL, cwd=tmp_path, code=2)
    assert "leaderboards/single.csv: cannot be written (" in printed
    assert len(finished_runs(folder)) == 1


@pytest.mark.promise(14)
@pytest.mark.slow
def test_a_diverged_training_does_not_end_a_sweep(tmp_path):
    run("train.py", "-m", "trainer.learning_rate=0.001,1e30", *SMALL, cwd=tmp_path)
    board = pd.read_csv(tmp_path / "outputs" / "synthetic" / "leaderboards" / "single.csv")
    assert board["status"].tolist() == ["finished", "failed"]
    assert "diverged" in board["reason"].iloc[1]


TPE = ("stage=broad", "candidate=null", "hydra/sweeper/sampler=tpe", "hydra.sweeper.n_trials=3")


@pytest.mark.promise("B11")
@pytest.mark.promise(14)
@pytest.mark.slow
@pytest.mark.parametrize("sweep", [("trainer.learning_rate=1e30,1e29",), TPE], ids=["list", "tpe"])
def test_where_all_diverge_the_leaderboard_says_so_and_nothing_of_an_earlier_sweep_stays(
    tmp_path, sweep
):
    stage = "broad" if sweep == TPE else "single"
    left = tmp_path / "outputs" / "synthetic" / "conf" / "candidate" / f"{stage}_01.yaml"
    left.parent.mkdir(parents=True)
    left.write_text("# @package _global_\n")
    given = (
        (*sweep, *SMALL) if stage == "single" else (*sweep, *SMALL, "trainer.learning_rate=1e30")
    )
    printed = run("train.py", "-m", *given, cwd=tmp_path)
    assert "no combination was trained to its end, so there is no candidate" in printed
    board = pd.read_csv(tmp_path / "outputs" / "synthetic" / "leaderboards" / f"{stage}.csv")
    assert set(board["status"]) == {"failed"}
    assert board["reason"].str.contains("diverged").all()
    assert board["final_auc"].isna().all()
    assert not finished_runs(tmp_path / "outputs" / "synthetic")
    assert stage == "single" or not left.exists()
