"""Nothing goes into production by itself: later pipelines, and `fraud-ae promote`, as typed."""

import os
import re
import shutil
from pathlib import Path

import pytest

from fraud_ae.detector.manifest import digest
from fraud_ae.detector.versions import Versions, copy_model, publish
from tests.commands import fraud_ae, run
from tests.detector.test_versions import other_model
from tests.tracking.offline_runs import Tracked

SETTINGS = (
    "experiment=shop",
    "data.n_transactions=2500",
    "features=baseline",
    "scorer=reconstruction",
    "model.hidden_sizes=[16]",
    "trainer.max_epochs=2",
    "stages=[features,production]",
    "gate.force=true",
    'overrides.production=["candidate=features_01"]',
)


@pytest.fixture
def shop(model, tmp_path) -> Path:
    """An experiment with a version in production and a candidate."""
    folder = tmp_path / "outputs" / "shop"
    (folder / "models" / "final_model").mkdir(parents=True)
    copy_model(model, folder / "models" / "final_model")
    publish(folder)
    other_model(folder, 0.125)
    publish(folder)
    return folder


def test_a_version_is_put_into_production_by_its_number(shop):
    cwd, versions = shop.parents[1], Versions(shop / "models")
    told = fraud_ae("promote", "0002", cwd=cwd)
    assert told.splitlines() == [
        "shop: version 0002 is in production, 0001 was before",
        f"digest {digest(versions.folder / 'production')}, not signed",
    ]
    assert versions.in_production == "0002"
    again = fraud_ae("promote", "0002", "-e", "shop", cwd=cwd)
    assert again.startswith("shop: version 0002 is in production, as before")
    assert len(versions.history) == 2
    table = fraud_ae("models", cwd=cwd)
    assert "promoted by hand since" in table
    assert "production -> 0002" in table
    fraud_ae("sign", "--key", "team.pem", "--new-key", cwd=cwd)
    assert "not signed" not in fraud_ae("promote", "0002", cwd=cwd)
    fraud_ae("rollback", cwd=cwd)
    assert versions.in_production == "0001"
    assert "promoted by hand" not in fraud_ae("models", cwd=cwd)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["7"], "no version '7' (versions: 0001, 0002)"),
        (["../../other"], "no version '../../other' (versions: 0001, 0002)"),
        (["0002", "-e", "none"], "outputs/none/models: there is no such folder"),
        (["0002", "-e", "../none"], "experiment=../none: must be a plain folder name"),
        ([], "missing argument 'VERSION'"),
    ],
)
def test_what_cannot_be_promoted_is_one_line(shop, arguments, told):
    cwd = shop.parents[1]
    before = sorted(cwd.rglob("*"))
    printed = fraud_ae("promote", *arguments, cwd=cwd, code=2)
    assert told in printed
    assert "Traceback" not in printed
    assert len(printed.splitlines()) == 1
    # Nothing is made where there is no experiment.
    assert [p for p in cwd.rglob("*") if p not in before and ".locks" not in p.parts] == []
    assert Versions(shop / "models").in_production == "0001"


@pytest.mark.promise("B12")
@pytest.mark.slow
def test_a_pipeline_with_other_data_or_settings_leaves_production_as_it_is(tmp_path):
    folder = tmp_path / "outputs" / "shop"
    first = run("pipeline.py", *SETTINGS, cwd=tmp_path)
    assert "version 0001, in production\n" in first
    assert "\nproduction model of " in first
    link = folder / "models" / "production"
    weights = (link / "weights.safetensors").read_bytes()
    again = run("pipeline.py", *SETTINGS, cwd=tmp_path)
    assert "version 0001, in production\n" in again
    for number, changed in (("0002", ["data.seed=8"]), ("0003", ["data.seed=8", "seed=5"])):
        told = run("pipeline.py", *SETTINGS, *changed, cwd=tmp_path)
        # What differs is told before anything is trained.
        differs = told.index("this experiment was run before, and not the same")
        assert differs < told.index("python train.py")
        (command,) = re.findall(
            rf"version {number}, not in production, where 0001 stays; to put it there: (.*)", told
        )
        assert command == f"fraud-ae promote {number} --experiment shop"
        assert "model, not in production, of " in told
        assert "production model of " not in told
        assert os.readlink(link) == "versions/0001"
        assert (link / "weights.safetensors").read_bytes() == weights
        page = (folder / "report.html").read_text()
        assert "The last model, which is not in production, was made on" in page
        assert "in production: version 0001" in page
        # A model that is not deployed is not called so at W&B either.
        logged = [
            set(artifact["aliases"])
            for file in folder.glob("runs/*/wandb/offline-run-*/run-*.wandb")
            for artifact in Tracked(file).artifacts
            if artifact["type"] == "model"
        ]
        assert sum("production" in aliases for aliases in logged) == 1
    # The very command that was printed.
    shutil.rmtree(folder / "models" / "final_model")
    printed = fraud_ae(*command.split()[1:], cwd=tmp_path)
    assert "shop: version 0003 is in production, 0001 was before" in printed
    told = run("pipeline.py", *SETTINGS, *changed, cwd=tmp_path)
    assert "version 0003, in production\n" in told
    assert "\nproduction model of " in told
