"""Commands on disks that are full or read-only, and the same commands once that is mended."""

import subprocess
from pathlib import Path

import pytest

from tests.commands import finished_runs, fraud_ae, run, run_cold
from tests.disks import small_disk

pytestmark = pytest.mark.slow
SMALL = (
    "experiment=small",
    "data.n_transactions=2500",
    "model.hidden_sizes=[16]",
    "model.latent_dim=4",
    "trainer.max_epochs=2",
    "scorer=reconstruction",
    "hydra.launcher.workers=2",
)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "outputs").mkdir()
    with small_disk(tmp_path / "outputs", "size=200m") as folder:
        yield folder


def ends_with_a_line(script: str, *arguments: str, cwd: Path) -> str:
    # A sweep writes from its workers, too.
    ends = run_cold if "-m" in arguments else run
    printed = ends(script, *arguments, cwd=cwd, code=2)
    assert "Traceback" not in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.promise("C14")
@pytest.mark.parametrize(
    ("sweep", "size"),
    [
        *(((), size) for size in ("100k", "250k", "1m")),
        (("-m", "seed=1,2"), "500k"),
    ],
)
def test_a_full_disk_is_told_and_the_same_command_goes_on(disk, tmp_path, size, sweep):
    command = ("train.py", *sweep, *SMALL)
    remount(disk, f"size={size}")
    line = ends_with_a_line(*command, cwd=tmp_path)
    assert "the disk is full" in line
    assert "outputs" in line
    assert " free, " in line
    assert " needed; make room" in line
    remount(disk, "size=200m")
    run(*command, cwd=tmp_path)
    assert len(finished_runs(disk / "small")) == (2 if sweep else 1)


@pytest.mark.parametrize("script", ["train.py", "pipeline.py"])
def test_a_read_only_disk_is_told(disk, tmp_path, script):
    remount(disk, "ro")
    line = ends_with_a_line(script, *SMALL, cwd=tmp_path)
    assert line == "error: outputs/small: cannot be written (Read-only file system)"


def test_a_finished_experiment_is_summed_up_where_nothing_can_be_written(disk, tmp_path):
    stages = ("stages=[features]", "features=baseline", "wandb.mode=disabled")
    run("pipeline.py", *stages, *SMALL, cwd=tmp_path)
    summary = ("pipeline.py", "summary=true", "experiment=small")
    before = run(*summary, cwd=tmp_path)
    there = sorted(disk.rglob("*"))
    remount(disk, "ro")
    assert run(*summary, cwd=tmp_path) == before
    assert sorted(disk.rglob("*")) == there


def test_scores_that_find_no_room_are_told(model, tmp_path):
    from fraud_ae.data.simulation.synthetic import simulate

    simulate(3000)[0].to_csv(tmp_path / "new.csv", index=False)
    (tmp_path / "out").mkdir()
    with small_disk(tmp_path / "out", "size=8k") as out:
        arguments = ("score", "new.csv", "--model", str(model), "-o", str(out / "scores.csv"))
        printed = fraud_ae(*arguments, cwd=tmp_path, code=2)
        assert f"error: {out / 'scores.csv'}: cannot be written, the disk is full" in printed
        assert "Traceback" not in printed
        assert not list(out.iterdir())
