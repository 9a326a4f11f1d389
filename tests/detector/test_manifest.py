import json
import pickle
import shutil
from pathlib import Path

import pytest

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.files import MODEL_FILES
from fraud_ae.detector.manifest import FORMAT, MANIFEST, write_manifest
from fraud_ae.errors import UserError


@pytest.fixture
def folder(finished_run, tmp_path) -> Path:
    return shutil.copytree(finished_run.model_folder, tmp_path / "model")


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as raised:
        FraudDetector.load(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def change_manifest(folder: Path, **changes) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **changes}))


def test_every_file_is_listed_and_the_model_loads_from_anywhere(folder):
    files = json.loads((folder / MANIFEST).read_text())["files"]
    assert set(files) == {path.name for path in folder.iterdir()} - {MANIFEST} >= set(MODEL_FILES)
    assert FraudDetector.load(folder).folder == folder


class Trap:
    """What a pickle would do when it is loaded."""

    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was loaded')",)


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_file_that_is_changed_another_kind_or_missing_is_named(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert f"changed since it was saved: {name}" in refusal(folder)
    # Vouched for by the manifest, and never unpickled.
    (folder / name).write_bytes(pickle.dumps(Trap(), protocol=0))
    write_manifest(folder)
    assert str(folder / name) in refusal(folder)
    (folder / name).unlink()
    assert f"missing {name}" in refusal(folder)


def test_all_that_is_missing_is_named_at_once(folder):
    for name in ("encoder.json", "weights.safetensors"):
        (folder / name).unlink()
    assert "missing encoder.json, weights.safetensors" in refusal(folder)


def test_a_newer_and_an_older_format_are_told_apart(folder):
    change_manifest(folder, format=FORMAT + 1)
    assert f"format {FORMAT + 1}" in refusal(folder)
    assert "newer" in refusal(folder)
    change_manifest(folder, format=FORMAT - 1)
    assert "older" in refusal(folder)
    (folder / MANIFEST).unlink()
    assert "older than format 3" in refusal(folder)


def test_what_is_no_detector_is_refused(folder, tmp_path):
    change_manifest(folder, kind="fraud_ae encoder")
    assert "'fraud_ae encoder'" in refusal(folder)
    # No path may lead out of the folder.
    change_manifest(folder, files={"../secret": {"bytes": 1, "sha256": "0"}})
    assert "not the manifest" in refusal(folder)
    (folder / MANIFEST).write_text("[1, 2]")
    assert "damaged" in refusal(folder)
    (tmp_path / "empty").mkdir()
    assert MANIFEST in refusal(tmp_path / "empty")
    assert "no such folder" in refusal(tmp_path / "nothing_here")


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("detector.json", "scorer", "os.system"),
        ("detector.json", "scorer", "fraud_ae.scorers.trees.load_trees"),
        ("detector.json", "network", {"class": "os.system", "command": "true"}),
        ("strategy.json", "class", "os.path"),
    ],
)
def test_a_class_of_another_kind_is_refused(folder, file, key, value):
    saved = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**saved, key: value}))
    write_manifest(folder)
    with pytest.raises(UserError, match=r"system|load_trees|path"):
        FraudDetector.load(folder)
