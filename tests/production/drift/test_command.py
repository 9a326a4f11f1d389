"""The command, its files, and its exit codes."""

import json
import os
import shutil
from pathlib import Path

import pytest

from fraud_ae.detector.manifest import write_manifest
from fraud_ae.errors import UserError
from fraud_ae.production.drift.check import check_drift
from fraud_ae.production.drift.reference import REFERENCE
from tests.browsers import NEEDS_BROWSER, browsers
from tests.commands import start


@pytest.fixture(scope="module")
def folder(watched, newest, earlier, tmp_path_factory) -> Path:
    """A folder with the model and files to check."""
    folder = tmp_path_factory.mktemp("command")
    os.symlink(watched.detector.folder, folder / "model")
    newest.to_csv(folder / "new.csv", index=False)
    earlier.to_csv(folder / "old.csv", index=False)
    newest.assign(amount=newest["amount"] * 3).drop(columns="device").to_parquet(
        folder / "drifted.parquet"
    )
    newest.drop(columns="amount").to_csv(folder / "no_amount.csv", index=False)
    (folder / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    return folder


def drift(folder: Path, *arguments: str) -> tuple[int, str]:
    process = start("-m", "fraud_ae", "drift", *arguments, cwd=folder)
    printed, _ = process.communicate(timeout=300)
    return process.returncode, printed


def test_stable_is_0(folder):
    code, printed = drift(folder, "--model=model", "new.csv", "--history", "old.csv")
    assert code == 0, printed
    assert printed.startswith("stable: nothing ")
    assert ("could not be judged" in printed.splitlines()[0]) == ("not judged," in printed)
    assert "terminal_delayed_fraud_rate_30d" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_drift_is_1_and_is_written_as_json_and_as_a_page(folder):
    code, printed = drift(
        folder, "--model=model", "drifted.parquet", "-o", "found.json", "-o", "found.html"
    )
    assert code == 1, printed
    assert printed.startswith("drift: device (missing column)")
    found = json.loads((folder / "found.json").read_text())
    assert found["drift"] is True
    names = {finding["name"] for finding in found["findings"] if finding["drift"]}
    assert {"device", "amount", "log_amount"} <= names
    assert "log_amount" in (folder / "found.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_error_is_2(folder):
    code, printed = drift(folder, "--model=model", "no_amount.csv")
    assert (code, "Traceback" in printed) == (2, False), printed
    assert "amount: no column 'amount'" in printed


@pytest.mark.parametrize(
    ("file", "told"), [("nowhere.csv", "no such file"), ("torn.parquet", "cannot be read")]
)
def test_a_file_that_cannot_be_read_is_named(folder, file, told):
    with pytest.raises(UserError, match=f"{file}: {told}"):
        check_drift(folder / "model", folder / file)


def test_a_model_without_a_reference_says_what_to_do(folder, watched, tmp_path):
    shutil.copytree(watched.detector.folder, tmp_path / "model")
    (tmp_path / "model" / REFERENCE).unlink()
    write_manifest(tmp_path / "model")
    with pytest.raises(UserError, match=r"no reference\.json"):
        check_drift(tmp_path / "model", folder / "new.csv")


@NEEDS_BROWSER[0]
@NEEDS_BROWSER[1]
def test_the_page_has_pictures_in_both_themes_and_asks_for_nothing(watched, newest, tmp_path):
    from fraud_ae.report.drift import drift_page

    checked = {"model": "model", "file": "a<b>.csv", **watched.check(newest)}
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
