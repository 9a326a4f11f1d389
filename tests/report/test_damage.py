"""The report of a damaged experiment: what is damaged is told by name, and the rest is there."""

import json
import random
from pathlib import Path

import pytest

from fraud_ae.report.content import report_content
from fraud_ae.runtime import kept_files
from fraud_ae.runtime.checksums import CHECKSUMS, difference, seal
from fraud_ae.runtime.kept_files import kept_file
from tests.damage import MUTATIONS, mutated
from tests.report.made import MadeExperiment

pytestmark = pytest.mark.slow

# What it reads of an experiment that has a model.
READ = (
    "audit.json",
    "data.json",
    "decision.json",
    "model_info.yaml",
    "leaderboards/broad.csv",
    "leaderboards/features.csv",
    "leaderboards/final.csv",
    "leaderboards/refined.csv",
    "runs/WINNER/history.csv",
    "runs/WINNER/top_transactions.json",
    "runs/WINNER/validation_scores.parquet",
    "runs/WINNER/model/detector.json",
    "runs/WINNER/model/scorer.json",
    "runs/PRODUCTION/test_scores.parquet",
)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """An experiment with all that it may have, each file with its checksum."""
    made = MadeExperiment(tmp_path_factory.mktemp("outputs") / "shop", calibrated=True).whole()
    folder = made.folder
    (folder / "audit.json").write_text(json.dumps({"combined": {"fingerprint": "f", "n": 1}}))
    report_content(folder)
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        inner = path.relative_to(folder).parts
        if inner[0] != "runs" and path.name != CHECKSUMS and not path.name.startswith("."):
            content = path.read_bytes()
            with kept_file(path) as draft:
                draft.write_bytes(content)
    for run in (folder / "runs").iterdir():
        files = [p for p in run.rglob("*") if p.is_file()]
        seal(run, {p.relative_to(run).as_posix(): p for p in files})
    return folder


def shown(folder: Path) -> str:
    """All that a report says of an experiment."""
    return json.dumps(report_content(folder), sort_keys=True)


def path_of(folder: Path, name: str) -> Path:
    return folder / name.replace("WINNER", "f" * 16).replace("PRODUCTION", "e" * 16)


def check(folder: Path, name: str, mutations: list[str], caplog) -> None:
    rng = random.Random(name)
    path = path_of(folder, name)
    whole, expected = path.read_bytes(), shown(folder)
    for mutation in mutations:
        kept_files.warn_once.cache_clear()
        caplog.clear()
        mutated(path, mutation, rng)
        shown(folder)
        (line,) = caplog.messages
        assert line.startswith(f"{path}: damaged (")
        assert "\n" not in line
        path.write_bytes(whole)
    kept_files.warn_once.cache_clear()
    caplog.clear()
    assert shown(folder) == expected
    assert not caplog.messages


def test_nothing_is_told_of_what_is_whole(experiment, caplog):
    shown(experiment)
    assert not caplog.messages


@pytest.mark.promise("B8")
@pytest.mark.parametrize("name", READ)
def test_each_damaged_file_is_told_in_one_line_and_passed_over(experiment, name, caplog):
    check(experiment, name, ["halved", "digit"], caplog)


@pytest.mark.promise("B8")
@pytest.mark.parametrize("name", READ)
def test_two_hundred_changes_to_each_file_are_all_found(experiment, name, caplog):
    rng, path = random.Random(5), path_of(experiment, name)
    whole = path.read_bytes()
    mutations = [rng.choice(MUTATIONS) for _ in range(200)]
    for mutation in mutations:
        mutated(path, mutation, rng)
        assert difference(path) is not None
        path.write_bytes(whole)
    assert difference(path) is None
    check(experiment, name, mutations[:5], caplog)
