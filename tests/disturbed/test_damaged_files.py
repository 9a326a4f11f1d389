"""200 changes to each file that an experiment is read from: told, refused, or without effect."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fraud_ae.audit.stored import read_audits
from fraud_ae.configuration.command_line import complete
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.versions import Versions
from fraud_ae.errors import UserError
from fraud_ae.pipeline.data_facts import read_data_facts
from fraud_ae.pipeline.gate import read_decision
from fraud_ae.runtime import kept_files
from fraud_ae.sweeps.leaderboard import read_leaderboard
from fraud_ae.sweeps.winner import read_winner
from tests.damage import MUTATIONS, mutated
from tests.disturbed.conftest import EXPERIMENT, PIPELINE
from tests.disturbed.killing import needs_linux

pytestmark = [pytest.mark.slow, needs_linux]
CHANGES = 200


def leaderboard(folder: Path) -> str | None:
    board = read_leaderboard(folder, "features")
    return None if board is None else board.to_csv()


def model(folder: Path) -> dict:
    version = FraudDetector.load(folder / "models" / "versions" / "0001")
    weights = {name: value.tolist() for name, value in version.network.state_dict().items()}
    return {"threshold": version.threshold, "weights": weights}


def history(folder: Path) -> list[dict]:
    return Versions(folder / "models").history


def decisions(folder: Path) -> dict:
    return Versions(folder / "models").decisions()


def candidate(folder: Path) -> list[str]:
    return complete(["stage=production", "experiment=small", "candidate=features_01"])


READERS: dict[str, Callable[[Path], object]] = {
    "data.json": read_data_facts,
    "audit.json": read_audits,
    "decision.json": read_decision,
    "winner.json": read_winner,
    "leaderboards/features.csv": leaderboard,
    "conf/candidate/features_01.yaml": candidate,
    "models/decisions/0001.json": decisions,
    "models/decisions/history.json": history,
    "models/versions/0001/detector.json": model,
    "models/versions/0001/encoder.json": model,
    "models/versions/0001/manifest.json": model,
    "models/versions/0001/scorer.json": model,
    "models/versions/0001/strategy.json": model,
    "models/versions/0001/weights.safetensors": model,
}


@pytest.fixture
def folder(undisturbed, tmp_path, monkeypatch) -> Path:
    made = undisturbed(*PIPELINE).cwd
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "work", symlinks=True))
    return EXPERIMENT


@pytest.mark.promise("B8")
@pytest.mark.parametrize("name", READERS)
def test_no_change_goes_unnoticed(folder, name, caplog):
    path, reader, chance = folder / name, READERS[name], random.Random(name)
    whole, expected = path.read_bytes(), reader(folder)
    for _ in range(CHANGES):
        kept_files.warn_once.cache_clear()
        caplog.clear()
        mutated(path, chance.choice(MUTATIONS), chance)
        refused = ""
        try:
            found = reader(folder)
        except UserError as error:
            found, refused = None, str(error)
        lines = [*caplog.messages, *filter(None, [refused])]
        named = [line for line in lines if path.name in line or path.parent.name in line]
        assert found == expected or named, path.read_bytes()
        assert all("\n" not in line for line in lines)
        path.write_bytes(whole)
    assert reader(folder) == expected
