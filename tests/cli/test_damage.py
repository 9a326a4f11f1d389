"""The commands on an experiment whose files are damaged: the same result, and a line for each."""

import random
import shutil
from pathlib import Path

import pytest
import yaml

from tests.commands import fraud_ae, run
from tests.damage import MUTATIONS, mutated

pytestmark = pytest.mark.slow

COMMAND = (
    "experiment=small",
    "data.n_transactions=2000",
    "gate.force=true",
    "scorer=reconstruction",
    "model.hidden_sizes=[16]",
    "trainer.max_epochs=2",
    "stages=[features,production]",
    "wandb.mode=disabled",
)
# What a pipeline makes again from what is whole.
MADE_AGAIN = (
    "audit.json",
    "data.json",
    "model_info.yaml",
    "models/decisions/history.json",
    "models/final_model/manifest.json",
    "models/final_model/weights.safetensors",
    "models/versions/0001/model_info.yaml",
    "models/versions/0001/weights.safetensors",
)
# Names in the runs of the winner and of the model for production.
OF_RUNS = (
    "WINNER/model/weights.safetensors",
    "WINNER/top_transactions.json",
    "WINNER/history.csv",
    "PRODUCTION/test_scores.parquet",
)
SHOWN = (("report", "-e", "small"), ("models", "-e", "small"), ("compare",))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder in which the pipeline ran; tests copy it."""
    cwd = tmp_path_factory.mktemp("made")
    run("pipeline.py", *COMMAND, cwd=cwd)
    return cwd


@pytest.fixture
def cwd(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "shop", symlinks=True)
    return tmp_path / "shop"


def figures(cwd: Path) -> dict:
    """Everything that the pipeline found out, without the times of day."""
    info = yaml.safe_load((cwd / "outputs/small/model_info.yaml").read_text())
    return {**info, "created": None}


def path_of(cwd: Path, name: str) -> Path:
    folder = cwd / "outputs" / "small"
    info = yaml.safe_load((folder / "model_info.yaml").read_text())
    ids = {"WINNER": info["figures"]["winner"]["run_id"], "PRODUCTION": info["run_id"]}
    first = name.split("/")[0]
    return folder / "runs" / name.replace(first, ids[first]) if first in ids else folder / name


@pytest.mark.promise("B8")
def test_all_at_once_is_told_and_made_again(cwd):
    expected, rng = figures(cwd), random.Random(0)
    paths = {name: path_of(cwd, name) for name in (*MADE_AGAIN, *OF_RUNS)}
    weights = paths["models/versions/0001/weights.safetensors"].read_bytes()
    for number, path in enumerate(paths.values()):
        mutated(path, MUTATIONS[number % len(MUTATIONS)], rng)
    printed = run("pipeline.py", *COMMAND, cwd=cwd)
    assert "Traceback" not in printed
    for path in paths.values():
        # The last model is written anew each time.
        assert path.name in printed or path.parent.name == "final_model"
    assert figures(cwd) == expected
    assert paths["models/versions/0001/weights.safetensors"].read_bytes() == weights
    again = run("pipeline.py", *COMMAND, cwd=cwd)
    assert "damaged" not in again
    assert "nothing trained: all finished before" in again
    for arguments in SHOWN:
        assert "damaged" not in fraud_ae(*arguments, cwd=cwd)


def test_what_is_shown_goes_on_without_what_is_damaged(cwd):
    rng = random.Random(1)
    names = (
        "data.json",
        "audit.json",
        "decision.json",
        "best_features.yaml",
        "leaderboards/features.csv",
    )
    names += ("models/decisions/0001.json", "models/versions/0001/model_info.yaml", *OF_RUNS[1:])
    paths = [path_of(cwd, name) for name in names]
    for number, path in enumerate(paths):
        mutated(path, MUTATIONS[number % len(MUTATIONS)], rng)
    told = [fraud_ae(*arguments, cwd=cwd) for arguments in SHOWN]
    told.append(run("pipeline.py", "summary=true", "experiment=small", cwd=cwd))
    for printed in told:
        assert "Traceback" not in printed
    for path in paths:
        assert any(path.name in printed for printed in told)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_a_damaged_model_in_production_is_refused_in_one_line(cwd, name):
    model = cwd / "outputs/small/models/production"
    mutated(model / name, "halved", random.Random(0))
    printed = fraud_ae("retrain", "experiment=small", cwd=cwd, code=2)
    assert "Traceback" not in printed
    assert name in printed.splitlines()[-1]
    assert len(printed.splitlines()) <= 2


def test_encoded_features_with_zeros_change_nothing(cwd):
    words = (*(word for word in COMMAND[:6] if "gate" not in word), "seed=7", "features=combined")
    first = run("train.py", *words, cwd=cwd)
    folder = cwd / "outputs" / "small"
    for store in ("runs", "trainings"):
        shutil.rmtree(folder / store)
    for inputs in folder.glob("encoded/*/inputs.npy"):
        mutated(inputs, "zeros", random.Random(0))
    again = run("train.py", *words, cwd=cwd)
    (line,) = [line for line in again.splitlines() if "damaged" in line]
    assert "inputs.npy: damaged (" in line
    assert again.splitlines()[-1] == first.splitlines()[-1]
