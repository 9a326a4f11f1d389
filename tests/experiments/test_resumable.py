"""A longer training of the same network goes on from a shorter one."""

from pathlib import Path

import pandas as pd
import pytest

from tests.commands import finished_runs, run

SMALL = (
    "experiment=small",
    "features=baseline",
    "data.n_transactions=2500",
    "model.hidden_sizes=[16]",
    "scorer=reconstruction",
    "wandb.mode=disabled",
)
LOSSES = ["epoch", "train_loss", "val_loss", "learning_rate"]


def curve(folder: Path, epochs: int, *arguments: str) -> pd.DataFrame:
    """The history of a run of so many epochs that is trained now."""
    run("train.py", f"trainer.max_epochs={epochs}", *SMALL, *arguments, cwd=folder)
    histories = [
        pd.read_csv(path / "history.csv") for path in finished_runs(folder / "outputs/small")
    ]
    (found,) = [history for history in histories if len(history) == epochs]
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    return tuple(tmp_path_factory.mktemp(name) for name in ("goes_on", "anew"))


@pytest.mark.slow
def test_it_goes_on_to_what_it_would_be_alone(folders):
    goes_on, anew = folders
    short = curve(goes_on, 2)
    longer, alone = curve(goes_on, 4), curve(anew, 4)
    # The very epochs of the shorter one, with the seconds that they took then.
    pd.testing.assert_frame_equal(longer.head(2), short, check_exact=True)
    pd.testing.assert_frame_equal(longer[LOSSES], alone[LOSSES], check_exact=True)


@pytest.mark.slow
def test_another_scorer_needs_no_training(folders):
    before = curve(folders[0], 4)
    printed = run("train.py", "trainer.max_epochs=4", *SMALL, "scorer=mahalanobis", cwd=folders[0])
    assert "goes on after 4 epochs that were trained before" in printed
    *_, newest = sorted(
        finished_runs(folders[0] / "outputs/small"), key=lambda path: path.stat().st_mtime
    )
    pd.testing.assert_frame_equal(pd.read_csv(newest / "history.csv"), before, check_exact=True)


@pytest.mark.slow
def test_retrain_goes_on_from_nothing(folders):
    before = curve(folders[1], 4)
    again = curve(folders[1], 4, "retrain=true")
    assert not (again["seconds"] == before["seconds"]).any()


@pytest.mark.slow
def test_a_damaged_file_is_said_and_training_begins_anew(tmp_path):
    short = curve(tmp_path, 2)
    (kept,) = (tmp_path / "outputs" / "small" / "trainings").glob("*/2.safetensors")
    kept.write_bytes(kept.read_bytes()[:-100])
    printed = run("train.py", "trainer.max_epochs=3", *SMALL, cwd=tmp_path)
    assert "2.safetensors: damaged (" in printed
    assert "trained before" not in printed
    histories = [
        pd.read_csv(path / "history.csv") for path in finished_runs(tmp_path / "outputs/small")
    ]
    (longer,) = [history for history in histories if len(history) == 3]
    pd.testing.assert_frame_equal(longer.head(2)[LOSSES], short[LOSSES], check_exact=True)
    assert not (longer["seconds"].head(2) == short["seconds"]).any()
