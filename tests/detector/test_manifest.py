import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.files import MODEL_FILES
from fraud_ae.detector.manifest import (
    FORMAT,
    MANIFEST,
    Origin,
    digest,
    sign_model,
    write_manifest,
)
from fraud_ae.detector.package_files import copy_model
from fraud_ae.errors import UserError
from fraud_ae.runtime.named_objects import VARIABLE
from fraud_ae.runtime.signatures import make_key


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


JSON_FILES = ("detector.json", "strategy.json", "encoder.json", "scorer.json")


@pytest.mark.parametrize("name", [*JSON_FILES, MANIFEST])
def test_json_without_end_is_refused(folder, name):
    (folder / name).write_text("[" * 100_000)
    if name != MANIFEST:
        write_manifest(folder)
    assert name in refusal(folder)


@pytest.mark.parametrize("text", ["NaN", "Infinity", '"abc"', "null", "[]", "true"])
def test_a_threshold_that_is_no_number_is_refused(folder, text):
    saved = json.loads((folder / "detector.json").read_text())
    assert saved["threshold_policy"] is not None
    saved["threshold"] = json.loads(text)
    (folder / "detector.json").write_text(json.dumps(saved))
    write_manifest(folder)
    assert "is no finite number" in refusal(folder)


@pytest.mark.promise("A3")
@pytest.mark.parametrize("name", ["notes.txt", "encoder.json", MANIFEST, "folder"])
def test_a_link_is_refused_whatever_it_leads_to(folder, tmp_path, name):
    outside = tmp_path / "outside"
    if name == "folder":
        outside.mkdir()
    else:
        outside.write_text("secret")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    assert f"{name}: is a link" in refusal(folder)
    with pytest.raises(UserError, match="is a link"):
        write_manifest(folder)
    with pytest.raises(UserError, match="is a link"):
        copy_model(folder, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.promise("A2")
@pytest.mark.parametrize(("file", "key"), [("strategy.json", "class"), ("detector.json", "scorer")])
def test_nothing_is_imported_that_a_model_names(folder, tmp_path, monkeypatch, file, key):
    imported = tmp_path / "imported"
    (tmp_path / "evil.py").write_text(
        f"import pathlib\npathlib.Path({str(imported)!r}).touch()\nclass Evil: ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    saved = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**saved, key: "evil.Evil"}))
    write_manifest(folder)
    with pytest.raises(UserError, match="the module evil is not allowed"):
        FraudDetector.load(folder)
    assert not imported.exists()
    assert "evil" not in sys.modules
    # The same name is asked of a module that is allowed, and checked for what it is.
    monkeypatch.setenv(VARIABLE, "evil")
    with pytest.raises(UserError, match="must be a"):
        FraudDetector.load(folder)
    assert imported.exists()
    del sys.modules["evil"]


@pytest.fixture
def key(tmp_path) -> Path:
    make_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


@pytest.mark.promise("A2")
def test_a_signed_model_loads_and_is_known_by_its_signature_and_digest(folder, key):
    public = key.with_name("key.pem.pub")
    with pytest.raises(UserError, match="is not signed"):
        Origin(public_key=public).check(folder)
    assert sign_model(folder, key) == digest(folder)
    Origin(digest(folder), public).check(folder)
    Origin(digest(folder)[:16]).check(folder)
    FraudDetector.load(folder)
    # A manifest that was made again says that the files are whole, and not who made them.
    (folder / "notes.txt").write_text("changed")
    write_manifest(folder)
    FraudDetector.load(folder)
    with pytest.raises(UserError, match="its signature is not of this model"):
        Origin(public_key=public).check(folder)


@pytest.mark.parametrize("asked", ["", "0" * 64, "abc"])
def test_another_digest_is_refused(folder, asked):
    with pytest.raises(UserError, match="has the digest"):
        Origin(asked).check(folder)
    with pytest.raises(UserError, match="has the digest"):
        Origin(digest(folder)[:15]).check(folder)


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
