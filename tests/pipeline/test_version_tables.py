"""Versions and decisions on the screen, in the report, and beside other experiments."""

import json
import re
from functools import partial

import pytest
import yaml
from rich.console import Console

from fraud_ae.configuration.parts import Promotion
from fraud_ae.detector.versions import Versions, copy_model
from fraud_ae.pipeline.comparison import compare_experiments
from fraud_ae.pipeline.comparison_tables import print_comparison
from fraud_ae.pipeline.version_tables import explain, print_versions
from fraud_ae.production.challenger import Contest, judge
from fraud_ae.report.content import report_content
from fraud_ae.report.page import write_report
from tests.pipeline.test_comparison import produce
from tests.production.test_challenger import rows
from tests.report.made import MadeExperiment


@pytest.fixture
def versions(tmp_path) -> Versions:
    """An experiment with a model of its pipeline as its first version."""
    made = MadeExperiment(tmp_path / "shop").until("production")
    package = made.folder / "package"
    package.mkdir()
    (package / "model_info.yaml").write_bytes((made.folder / "model_info.yaml").read_bytes())
    kept = Versions(made.folder / "models")
    first = {"kind": "pipeline", "promoted": True, "verdict": "first", "champion": None}
    kept.decide("0001", first, partial(copy_model, package))
    return kept


def retrain(versions: Versions, better: float, number: str = "0002", **policy) -> dict:
    contest = Contest(rows(better=better), 50, 12, 34, "train+validation")
    decision = judge(contest, Promotion(replicates=50, **policy))
    decision |= {"kind": "retrain", "champion": "0001", "request": {"policy": decision["policy"]}}
    package = versions.folder.parent / "package"
    return versions.decide(number, decision, partial(copy_model, package))


def printed(versions: Versions) -> str:
    console = Console(width=80, record=True, highlight=False)
    with console.capture() as captured:
        print_versions(versions.folder.parent, console)
    assert all(len(line) <= 80 for line in captured.get().splitlines() if "│" in line)
    return captured.get()


def test_an_experiment_without_versions_shows_none(tmp_path):
    made = MadeExperiment(tmp_path).until("production")
    assert printed(Versions(made.folder / "models")) == ""
    assert report_content(made.folder)["versions"] is None
    assert "in production since 1 May 2024" in write_report(made.folder).read_text()


def test_the_table_says_which_is_in_production_and_why(versions):
    assert "the first one" in printed(versions)
    decision = retrain(versions, better=1.0)
    figures = decision["figures"]["average_precision"]
    told = printed(versions)
    assert "promoted: better" in told
    assert f"AP {figures['difference']:+.4f} against 0001" in told
    assert f"95% {figures['low']:+.4f} to {figures['high']:+.4f}" in told
    assert "production -> 0002" in told
    retrain(versions, better=-1.5, number="0003")
    assert re.search(r"not promoted: .*\n.*worse or unclear ", printed(versions))
    assert "production -> 0002" in printed(versions)


@pytest.mark.parametrize(("better", "shown"), [(1.0, "promoted"), (-1.5, "not promoted")])
def test_a_decision_is_told_in_lines_of_80_columns(versions, better, shown):
    told = explain(retrain(versions, better), versions)
    assert told.startswith(f"retrain: {shown}, ")
    assert "without 12 that the champion has seen" in told
    assert "without 34 whose label is not known yet" in told
    assert "at 50 alerts" in told
    assert all(len(line) <= 80 for line in told.splitlines()[:-1])
    assert ("fraud-ae rollback" in told) == (better > 0)


def test_what_could_not_be_compared_is_told_without_figures(versions):
    told = explain(retrain(versions, 1.0, least_frauds=100), versions)
    assert "60 frauds in 2,000 rows; 100 are needed" in told
    assert "difference" not in told
    assert "cannot tell" in printed(versions)


def test_a_retraining_without_a_model_is_told(versions):
    decision = {"kind": "retrain", "promoted": False, "champion": "0001"}
    decision |= {"verdict": "stopped at the gate", "reason": "no gain", "request": {}}
    told = explain(versions.decide("0002", decision, None), versions)
    assert "no new version, 0001 stays in production" in told
    assert "stopped at the gate: no gain" in told


def test_the_report_has_the_versions_and_the_last_decision(versions):
    decision = retrain(versions, better=1.0)
    page = write_report(versions.folder.parent).read_text()
    figures = decision["figures"]["auc"]
    for text in (
        "Versions and retraining",
        "in production: version 0002",
        "the challenger was promoted (<b>better</b>)",
        f"{figures['champion']:.4f}",
        "12 rows that the champion had seen are left out",
    ):
        assert text in page
    json.dumps(report_content(versions.folder.parent), allow_nan=False)


def test_experiments_are_compared_by_what_is_in_production(tmp_path):
    for name in ("shop", "shop-0002"):
        produce(tmp_path / name, 0.9, "2024-06-01T00:00:00+00:00", "f1")
    kept = Versions(tmp_path / "shop" / "models")

    def fill(draft) -> None:
        info = yaml.safe_load((tmp_path / "shop" / "model_info.yaml").read_text())
        info["created"] = "2031-02-03T00:00:00+00:00"
        (draft / "model_info.yaml").write_text(yaml.safe_dump(info))

    kept.decide("0001", {"kind": "retrain", "promoted": True, "verdict": "better"}, fill)
    path = tmp_path / "shop-0002" / "model_info.yaml"
    info = yaml.safe_load(path.read_text())
    info["configuration"]["production"] = {"challenger": True}
    path.write_text(yaml.safe_dump(info))
    found = compare_experiments(tmp_path).set_index("experiment")
    assert found["in_production"]["shop"] == "2031-02-03T00:00:00+00:00"
    assert found["in_production"].isna()["shop-0002"]
    console = Console(width=80, highlight=False)
    with console.capture() as captured:
        print_comparison(found.reset_index(), console)
    assert "a challenger" in captured.get()


def test_the_report_of_a_challenger_calls_it_one(tmp_path):
    made = MadeExperiment(tmp_path).until("production")
    path = made.folder / "model_info.yaml"
    info = yaml.safe_load(path.read_text())
    info["configuration"]["production"] = {"challenger": True}
    path.write_text(yaml.safe_dump(info))
    page = write_report(made.folder).read_text()
    assert "challenger made on 1 May 2024" in page
    assert "The challenger was made on 1 May 2024" in page
