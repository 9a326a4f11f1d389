"""Retraining as it is typed: a challenger on new data, and who is in production afterwards."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fraud_ae.data.columns import REQUIRED
from fraud_ae.data.sources import from_file, synthetic
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.versions import Versions
from tests.commands import ROOT, fraud_ae, run, start_warm
from tests.disturbed.killing import Moment, run_killed
from tests.tracking.offline_runs import Tracked

pytestmark = pytest.mark.slow

SETTINGS = (
    "experiment=shop",
    "data=custom",
    "data.columns.is_fraud=chargeback",
    "features=combined",
    "model.hidden_sizes=[16]",
    "trainer.max_epochs=2",
    'overrides.production=["candidate=features_01"]',
)
STAGES = ("stages=[features,production]", "gate.force=true")


def write(path: Path, start: str, *, garbage: bool = False) -> None:
    """Transactions of half a year, with labels that mean nothing before the newest fifth."""
    made = synthetic(n_transactions=3500, fraud_ratio=0.1, start=start).transactions
    if garbage:
        early = np.arange(len(made)) < 0.8 * len(made)
        shuffled = np.random.default_rng(0).permutation(made["is_fraud"].to_numpy())
        made = made.assign(is_fraud=made["is_fraud"].where(~early, shuffled))
    made.rename(columns={"is_fraud": "chargeback"}).to_csv(path, index=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a model in production, and files of newer transactions; tests copy it."""
    folder = tmp_path_factory.mktemp("shop")
    write(folder / "old.csv", "2024-01-01")
    write(folder / "new.csv", "2024-07-01")
    write(folder / "garbage.csv", "2024-07-01", garbage=True)
    run("pipeline.py", *SETTINGS, *STAGES, f"data.path={folder / 'old.csv'}", cwd=folder)
    return folder


@pytest.fixture
def shop(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "shop", symlinks=True)
    return tmp_path / "shop"


def versions_of(folder: Path) -> Versions:
    return Versions(folder / "outputs" / "shop" / "models")


def test_a_challenger_that_learned_nothing_is_kept_but_not_promoted(shop):
    printed = fraud_ae("retrain", "data.path=garbage.csv", *STAGES, cwd=shop)
    versions = versions_of(shop)
    assert versions.in_production == "0001"
    assert versions.numbers == ["0001", "0002"]
    decision = versions.decisions()["0002"]
    assert (decision["champion"], decision["verdict"]) == ("0001", "worse or unclear")
    assert decision["figures"]["average_precision"]["low"] < -0.02
    assert decision["rows"]["frauds"] >= 10
    # What it says last, and on how wide a screen.
    told = printed[printed.index("\nretrain: ") :]
    assert "retrain: not promoted, 0001 stays in production, 0002 is kept" in told
    assert all(len(line) <= 80 for line in told.splitlines())
    assert "Versions of the model" in printed
    report = (shop / "outputs" / "shop" / "report.html").read_text()
    assert "Versions and retraining" in report
    assert "the challenger was not promoted" in report
    assert "challenger made on" in (shop / "outputs" / "shop-0002" / "report.html").read_text()
    # The settings of the champion's pipeline held, but for the new file.
    told = json.loads((shop / "outputs" / "shop-0002" / "data.json").read_text())["commands"][-1]
    assert "data.columns.is_fraud=chargeback" in told
    assert "data.path=garbage.csv" in told
    # The decision is logged, too, and nothing of it is called production.
    (file,) = versions.folder.glob("decisions/wandb/offline-run-*/run-*.wandb")
    (artifact,) = [a for a in Tracked(file).artifacts if a["type"] == "model"]
    assert artifact["name"] == "shop-detector"
    assert set(artifact["aliases"]) == {"latest", "challenger"}


def test_a_better_challenger_is_promoted_and_can_be_rolled_back(shop):
    # What learned nothing is put into production by force.
    forced = ("data.path=garbage.csv", "promotion.policy=always", *STAGES)
    fraud_ae("retrain", *forced, "--experiment", "shop", cwd=shop)
    versions = versions_of(shop)
    assert versions.in_production == "0002"
    # Its data reach into the newer rows, of which those are left out that it was fitted on.
    again = ("retrain", "data.path=new.csv", *STAGES)
    printed = fraud_ae(*again, cwd=shop)
    assert "retrain: promoted, 0003 is in production, 0002 was before" in printed
    decision = versions.decisions()["0003"]
    assert decision["verdict"] == "better"
    assert decision["figures"]["average_precision"]["low"] > 0
    assert "back to 0002: fraud-ae rollback --experiment shop" in printed

    assert "version 0002 is in production, 0003 was before" in fraud_ae("rollback", cwd=shop)
    # The same command trains and decides nothing anew, so that it undoes no rollback.
    printed = fraud_ae(*again, cwd=shop)
    assert "this retraining has been decided" in printed
    assert "0003 was promoted, and 0002 is in production by now" in printed
    assert "python train.py" not in printed
    assert versions.in_production == "0002"
    # Another policy is asked anew, of the challenger that is there.
    printed = fraud_ae(*again, "promotion.policy=better", cwd=shop)
    assert "nothing trained: all finished before" in printed
    assert versions.in_production == "0003"
    printed = fraud_ae("rollback", "-e", "shop", cwd=shop)
    assert printed.endswith("shop: version 0002 is in production, 0003 was before\n")
    fraud_ae("rollback", "--experiment", "shop", cwd=shop)
    assert "none was before it" in fraud_ae("rollback", cwd=shop, code=2)


def test_the_very_same_model_and_too_few_frauds_promote_nothing(shop):
    same = fraud_ae("retrain", *STAGES, cwd=shop)
    assert "no new version, 0001 stays in production" in same
    assert "same model" in same
    few = ("data.path=new.csv", "promotion.least_frauds=5000", *STAGES)
    printed = fraud_ae("retrain", *few, cwd=shop)
    assert "cannot tell" in printed
    assert "5000 are needed" in printed
    assert versions_of(shop).in_production == "0001"


def test_without_a_model_or_a_known_experiment_it_says_what_to_do(shop):
    printed = fraud_ae("retrain", "--experiment", "other", cwd=shop, code=2)
    assert "there is no model in production to compare a challenger with" in printed
    assert "Traceback" not in printed
    printed = fraud_ae("retrain", "data.path=none.csv", cwd=shop, code=2)
    assert "none.csv: no such file" in printed
    printed = fraud_ae("retrain", "promotion.confidence=2", cwd=shop, code=2)
    assert "promotion.confidence=2.0: must be between 0 and 1" in printed


def test_killed_while_the_challenger_is_trained_the_same_command_goes_on(shop):
    outcomes = pd.read_csv(shop / "new.csv", dtype=str)[["transaction_id", "chargeback"]]
    outcomes.rename(columns={"chargeback": "is_fraud"}).to_csv(shop / "late.csv", index=False)
    command = ("retrain", "data.path=garbage.csv", "data.labels=late.csv", *STAGES)
    challenger = shop / "outputs" / "shop-0002"
    process = start_warm("-m", "fraud_ae", *command, cwd=shop)
    deadline = time.monotonic() + 600
    while not list(challenger.glob("leaderboards/features.csv")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    versions = versions_of(shop)
    assert versions.in_production == "0001"
    FraudDetector.load(versions.folder / "production")
    trained = {p: p.stat().st_mtime_ns for p in challenger.glob("runs/*/metrics.json")}
    assert trained
    # At exact moments, too: before the decision, and between it and the version it is about.
    for moment in (Moment("before", "*/decisions/0002.json"), Moment("before", "*/versions/0002")):
        code, printed = run_killed(moment, "-m", "fraud_ae", *command, cwd=shop)
        assert code == -signal.SIGKILL, printed
        assert versions.in_production == "0001"

    printed = fraud_ae(*command, cwd=shop)
    assert {p: p.stat().st_mtime_ns for p in trained} == trained
    assert versions.numbers == ["0001", "0002"]
    assert versions.decisions()["0002"]["promoted"] == (versions.in_production == "0002")
    assert "\nretrain: " in printed
    # With the outcomes that came later, the data are those without garbage.
    optional = yaml.safe_load((ROOT / "conf" / "data" / "custom.yaml").read_text())["columns"]
    columns = {**{n: n for n in REQUIRED}, **optional, "is_fraud": "chargeback"}
    good = from_file(shop / "new.csv", columns=columns)
    assert versions.info("0002")["data"]["fingerprint"] == good.fingerprint
    kept = FraudDetector.load(versions.version("0002"))
    assert kept.threshold == FraudDetector.load(challenger / "models" / "final_model").threshold
