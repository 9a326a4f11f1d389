"""Versions of a model: never changed, one in production, and whole whatever happens."""

import json
import os
import random
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
import yaml

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.onnx.export import export_model
from fraud_ae.detector.thresholds import change_threshold
from fraud_ae.detector.versions import Versions, copy_model, publish
from fraud_ae.errors import UserError
from fraud_ae.runtime import kept_files
from tests.commands import ROOT
from tests.damage import MUTATIONS, mutated


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    kept_files.warn_once.cache_clear()


@pytest.fixture
def experiment(model, tmp_path) -> Path:
    """An experiment whose pipeline has just made that model."""
    folder = tmp_path / "outputs" / "shop"
    (folder / "models" / "final_model").mkdir(parents=True)
    copy_model(model, folder / "models" / "final_model")
    return folder


@pytest.fixture
def versions(experiment) -> Versions:
    """Its versions: the first is in production."""
    assert publish(experiment) == "version 0001, in production"
    return Versions(experiment / "models")


def other_model(experiment: Path, threshold: float) -> Path:
    """The pipeline's model has another threshold from now on."""
    folder = experiment / "models" / "final_model"
    FraudDetector.load(folder).set_threshold(threshold).save(folder)
    return folder


def promote(versions: Versions, package: Path) -> str:
    """What a retraining does whose challenger is better."""
    decision = {"kind": "retrain", "promoted": True, "verdict": "better", "champion": "0001"}
    number = versions.next_number()
    versions.decide(number, decision, partial(copy_model, package))
    return number


def threshold_in_production(versions: Versions) -> float | None:
    return FraudDetector.load(versions.folder / "production").threshold


@pytest.mark.slow
def test_an_exported_file_makes_no_other_version(experiment, versions):
    production = versions.folder / "production"
    export_model(production)
    publish(experiment)
    assert versions.numbers == ["0001"]
    assert FraudDetector.load(production, onnx=True).onnx is not None


def test_the_first_model_is_a_version_and_in_production(versions):
    link, made = versions.folder / "production", versions.folder / "final_model"
    # Relative, so that the folder can be moved.
    assert os.readlink(link) == "versions/0001"
    first, second = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in (link, made))
    assert first == second
    assert versions.decisions()["0001"]["verdict"] == "first"


def test_the_same_model_made_at_another_time_is_no_new_version(experiment, versions):
    card = versions.folder / "final_model" / "model_info.yaml"
    info = yaml.safe_load(card.read_text())
    card.write_text(yaml.safe_dump({**info, "created": "2030-01-01T00:00:00+00:00"}))
    FraudDetector.load(versions.folder / "production").save(card.parent)
    assert publish(experiment) == "version 0001, in production"
    assert versions.numbers == ["0001"]


def kept_beside(experiment: Path, number: str, current: str) -> str:
    """What a pipeline says whose model is not put into production."""
    return (
        f"version {number}, not in production, where {current} stays; to put it there: fraud-ae "
        f"promote {number} --experiment shop --outputs {experiment.parent}"
    )


def test_another_model_of_the_pipeline_is_kept_beside_what_is_in_production(experiment, versions):
    package = other_model(experiment, 0.125)
    assert not versions.is_for_production(package)
    for _ in range(2):
        assert publish(experiment) == kept_beside(experiment, "0002", "0001")
    assert FraudDetector.load(versions.version("0002")).threshold == 0.125
    assert threshold_in_production(versions) != 0.125
    assert [event["version"] for event in versions.history] == ["0001"]
    assert versions.promote("0002") == "0001"
    assert threshold_in_production(versions) == 0.125
    assert versions.is_for_production(package)
    assert publish(experiment) == "version 0002, in production"
    # Who runs the finished pipeline again undoes no rollback.
    assert versions.rollback() == ("0002", "0001")
    assert publish(experiment) == kept_beside(experiment, "0002", "0001")
    assert versions.in_production == "0001"


def test_the_pipeline_takes_nothing_back_that_a_retraining_has_promoted(experiment, versions):
    challenger = other_model(experiment, 0.25)
    assert promote(versions, challenger) == "0002"
    other_model(experiment, 0.5)
    assert publish(experiment) == kept_beside(experiment, "0003", "0002")
    assert threshold_in_production(versions) == 0.25
    assert versions.rollback() == ("0002", "0001")
    other_model(experiment, 0.75)
    assert publish(experiment) == kept_beside(experiment, "0004", "0001")


def test_only_a_whole_version_that_there_is_can_be_promoted(experiment, versions):
    assert versions.promote("0001") == "0001"
    assert len(versions.history) == 1
    with pytest.raises(UserError, match=r"no version '0002' \(versions: 0001\)"):
        versions.promote("0002")
    other_model(experiment, 0.25)
    publish(experiment)
    with (versions.version("0002") / "weights.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match=r"0002: changed since it was saved: weights.safetensors"):
        versions.promote("0002")
    assert versions.in_production == "0001"
    assert len(versions.history) == 1


def test_what_was_promoted_stays_where_the_history_is_lost(experiment, versions):
    other_model(experiment, 0.25)
    publish(experiment)
    versions.promote("0002")
    (versions.folder / "decisions" / "history.json").write_text("lost")
    versions.settle()
    assert versions.in_production == "0002"
    assert versions.rollback() == ("0002", "0001")


def test_rollbacks_go_back_one_after_another_and_then_refuse(experiment):
    versions = Versions(experiment / "models")
    with pytest.raises(UserError, match="no model is in production"):
        versions.rollback()
    publish(experiment)
    for threshold in (0.25, 0.5):
        promote(versions, other_model(experiment, threshold))
    assert versions.rollback() == ("0003", "0002")
    assert threshold_in_production(versions) == 0.25
    assert versions.rollback() == ("0002", "0001")
    with pytest.raises(UserError, match="version 0001 is in production, and none was before it"):
        versions.rollback()
    assert versions.in_production == "0001"
    # A later retraining goes on from here, under a number that is new.
    assert promote(versions, other_model(experiment, 0.75)) == "0004"
    assert versions.rollback() == ("0004", "0001")


def test_a_clock_that_jumps_back_changes_no_order(experiment, versions):
    """Two promotions that a kill left undone, and a history that is lost, as the numbers say."""
    for threshold in (0.2, 0.3):
        promote(versions, other_model(experiment, threshold))
    history = versions.folder / "decisions" / "history.json"
    for year, number in enumerate(reversed(versions.numbers), start=1971):
        decision = json.loads(versions.decision_file(number).read_text())
        kept_files.write_kept_json(
            versions.decision_file(number), {**decision, "time": f"{year}-01-01T00:00:00+00:00"}
        )
    history.unlink()
    versions.settle()
    assert versions.stack() == ["0001", "0002", "0003"]
    first = {"time": "", "version": "0001", "because": "pipeline", "decided": None}
    first["decided"] = versions.decisions()["0001"]["time"]
    kept_files.write_kept_json(history, {"events": [first]})
    versions.settle()
    assert versions.stack() == ["0001", "0002", "0003"]
    assert versions.in_production == "0003"
    assert versions.next_number() == "0004"


def test_a_damaged_version_is_not_put_back(experiment, versions):
    promote(versions, other_model(experiment, 0.25))
    with (versions.version("0001") / "weights.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match=r"0001: changed since it was saved: weights.safetensors"):
        versions.rollback()
    assert versions.in_production == "0002"
    assert len(versions.history) == 2


@pytest.mark.parametrize("name", ["decisions/0002.json", "decisions/history.json"])
def test_a_damaged_decision_or_history_leaves_all_else_as_it_is(experiment, versions, name, caplog):
    promote(versions, other_model(experiment, 0.25))
    promote(versions, other_model(experiment, 0.5))
    versions.rollback()
    assert versions.stack() == ["0001", "0002"]
    path = versions.folder / name
    rng = random.Random(0)
    for mutation in MUTATIONS:
        whole = path.read_bytes()
        mutated(path, mutation, rng)
        caplog.clear()
        kept_files.warn_once.cache_clear()
        versions.settle()
        rows = {row["version"]: row["decision"] for row in versions.rows()}
        (line,) = caplog.messages
        assert line.startswith(f"{path}: damaged (")
        assert versions.in_production == "0002"
        assert versions.stack() == ["0001", "0002"]
        assert rows["0001"]["verdict"] == "first"
        assert (rows["0002"] is None) == (name == "decisions/0002.json")
        if rows["0002"] is None:
            path.write_bytes(whole)
    assert versions.rollback() == ("0002", "0001")


@pytest.mark.parametrize("name", ["manifest.json", "model_info.yaml", "weights.safetensors"])
def test_a_damaged_version_is_made_again_by_the_pipeline_that_made_it(
    experiment, versions, name, caplog
):
    path = versions.version("0001") / name
    whole = path.read_bytes()
    mutated(path, "halved", random.Random(0))
    rows = versions.rows()
    if name == "weights.safetensors":
        # No table reads the weights.
        assert [row["version"] for row in rows] == ["0001"]
    else:
        assert rows == []
        assert caplog.messages[0].startswith(f"{path}: damaged (")
    state = publish(experiment)
    assert name in " ".join(caplog.messages)
    if name == "manifest.json":
        # Nobody can tell any more which model it was.
        assert state == kept_beside(experiment, "0002", "0001")
        versions.promote("0002")
    else:
        assert state == "version 0001, in production"
        assert path.read_bytes() == whole
    FraudDetector.load(versions.folder / "production")


def test_a_folder_in_place_of_the_link_is_left_alone(experiment):
    (experiment / "models" / "production").mkdir()
    with pytest.raises(UserError, match="production: is no link to a version"):
        publish(experiment)


def test_another_threshold_for_a_version_is_another_version(experiment, versions, capsys):
    before = (versions.version("0001") / "manifest.json").read_bytes()
    change_threshold(versions.folder / "production", {"threshold": 0.375}, save=True)
    assert "threshold 0.375 kept as version 0002, in production" in capsys.readouterr().out
    assert (versions.version("0001") / "manifest.json").read_bytes() == before
    assert threshold_in_production(versions) == 0.375
    change_threshold(versions.version("0001"), {"threshold": 0.5}, save=True)
    assert versions.numbers == ["0001", "0002", "0003"]
    assert threshold_in_production(versions) == 0.375
    other_model(experiment, 0.75)
    assert publish(experiment) == kept_beside(experiment, "0004", "0002")


def test_whoever_reads_while_versions_are_switched_finds_a_whole_one(experiment, versions):
    known, found, failures, done = {None}, [], [], threading.Event()
    known.add(threshold_in_production(versions))

    def read() -> None:
        while not done.is_set():
            try:
                found.append(threshold_in_production(versions))
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 11):
            known.add(number / 16)
            promote(versions, other_model(experiment, number / 16))
            if number % 2:
                versions.rollback()
    finally:
        done.set()
        reader.join()
    assert not failures
    assert found
    assert set(found) <= known


# Does something with a copy of an experiment for every number of writes to the disk, is killed
# before the next one, and does it again. Forked, as imports take seconds.
KILLED = """
import os, shutil, signal, sys
from functools import partial
from pathlib import Path
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.versions import Versions, copy_model, publish

def promote(experiment):
    versions, package = Versions(experiment / "models"), experiment / "models" / "final_model"
    versions.settle()
    if versions.same_as(package) is None:
        decision = {"kind": "retrain", "promoted": True, "verdict": "better", "champion": "0001"}
        versions.decide("0002", decision, partial(copy_model, package))

def rollback(experiment):
    Versions(experiment / "models").rollback()

def by_hand(experiment):
    publish(experiment)
    Versions(experiment / "models").promote("0002")

def counted(function):
    def wrapped(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return wrapped

def do(experiment, writes):
    global left
    process = os.fork()
    if process == 0:
        left = writes
        for name in ("replace", "rename", "mkdir", "symlink", "unlink"):
            setattr(os, name, counted(getattr(os, name)))
        globals()[sys.argv[1]](experiment)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

experiment, copies = map(Path, sys.argv[2:])
# Whatever is imported when a model is loaded is there before the first fork.
FraudDetector.load(experiment / "models" / "final_model")
for writes in range(100):
    folder = copies / str(writes)
    shutil.copytree(experiment, folder, symlinks=True)
    code = do(folder, writes)
    if code == 0:
        break
    assert code == -signal.SIGKILL, code
    link = folder / "models" / "production"
    if link.is_symlink():
        shutil.copytree(link, folder / "read after the kill")
    assert do(folder, 1000) == 0
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["publish", "promote", "rollback", "by_hand"])
def test_killed_before_any_write_the_same_command_goes_on(experiment, tmp_path, what):
    expected = ["0001"] if what in ("publish", "rollback") else ["0001", "0002"]
    if what != "publish":
        publish(experiment)
        challenger = other_model(experiment, 0.25)
    if what == "rollback":
        promote(Versions(experiment / "models"), challenger)
    copies = tmp_path / "copies"
    arguments = [sys.executable, "-c", KILLED, what, str(experiment), str(copies)]
    subprocess.run(arguments, cwd=ROOT, check=True, timeout=300)
    folders = list(copies.iterdir())
    assert len(folders) > 4
    for folder in folders:
        versions = Versions(folder / "models")
        assert versions.stack() == expected
        for model in (*map(versions.version, versions.numbers), versions.folder / "production"):
            FraudDetector.load(model)
        assert versions.in_production == expected[-1]
        seen = folder / "read after the kill"
        if seen.exists():
            FraudDetector.load(seen)
