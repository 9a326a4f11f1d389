"""The command, its files, and its exit codes."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from fraud_ae.cli.app import main
from fraud_ae.detector.manifest import write_manifest
from fraud_ae.production.drift.reference import REFERENCE
from tests.browsers import NEEDS_BROWSER, browsers


@pytest.fixture(scope="module")
def folder(watched, tmp_path_factory) -> Path:
    """A folder with the model and files to check."""
    folder, newest = tmp_path_factory.mktemp("command"), watched.newest
    os.symlink(watched.detector.folder, folder / "model")
    shutil.copytree(watched.detector.folder, folder / "no_reference")
    (folder / "no_reference" / REFERENCE).unlink()
    write_manifest(folder / "no_reference")
    newest.to_csv(folder / "new.csv", index=False)
    watched.earlier.to_csv(folder / "old.csv", index=False)
    drifted = newest.assign(amount=newest["amount"] * 3).drop(columns="device")
    drifted.to_parquet(folder / "drifted.parquet")
    newest.drop(columns="amount").to_csv(folder / "no_amount.csv", index=False)
    (folder / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    return folder


@pytest.fixture
def drift(folder, monkeypatch, capsys):
    """Runs the command in the folder; returns its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["fraud-ae", "drift", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, "".join(capsys.readouterr())

    return run


def test_stable_is_0(drift):
    code, printed = drift("--model=model", "new.csv", "--history", "old.csv")
    assert code == 0, printed
    assert printed.startswith("stable: nothing ")
    assert ("could not be judged" in printed.splitlines()[0]) == ("not judged," in printed)
    assert "terminal_delayed_fraud_rate_30d" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_drift_is_1_and_is_written_as_json_and_as_a_page(drift, folder):
    code, printed = drift(
        "--model=model", "drifted.parquet", "-o", "drift.json", "-o", "drift.html"
    )
    assert code == 1, printed
    assert printed.startswith("drift: device (missing column)")
    checked = json.loads((folder / "drift.json").read_text())
    assert checked["drift"] is True
    names = {finding["name"] for finding in checked["findings"] if finding["drift"]}
    assert {"device", "amount", "log_amount"} <= names
    assert "log_amount" in (folder / "drift.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "file", "message"),
    [
        ("model", "no_amount.csv", "amount: no column 'amount'"),
        ("model", "nowhere.csv", "nowhere.csv: no such file"),
        ("model", "torn.parquet", "torn.parquet: cannot be read"),
        ("no_reference", "new.csv", "no reference.json"),
    ],
)
def test_an_error_is_2_and_says_what_to_mend(drift, model, file, message):
    code, printed = drift(f"--model={model}", file)
    assert code == 2
    assert message in printed


@pytest.mark.slow
@NEEDS_BROWSER[0]
@NEEDS_BROWSER[1]
def test_the_page_has_pictures_in_both_themes_and_asks_for_nothing(watched, tmp_path):
    from fraud_ae.report.drift import drift_page

    checked = {"model": "model", "file": "a<b>.csv", **watched.check(watched.newest)}
    page_file = tmp_path / "drift.html"
    page_file.write_text(drift_page(checked), encoding="utf-8")
    complaints = []
    with browsers() as launch:
        page = launch().new_context(offline=True, color_scheme="light").new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(page_file.as_uri())
        assert page.locator("#distributions tbody tr").count() == page.locator(".bars-of").count()
        assert page.locator(".bars-of").first.bounding_box()["height"] > 20
        assert "a<b>.csv" in page.locator(".byline").inner_text()
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        page.set_viewport_size({"width": 375, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert complaints == []
