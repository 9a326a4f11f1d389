"""What the lock files hold: hashes, licences that are allowed, and nothing unreviewed."""

import re
import subprocess
import sys
from datetime import date

import pytest

from dependencies.packages import (
    IMAGE_LOCK,
    LOCK,
    REVIEW,
    direct,
    packages,
    pins,
    pre_releases,
)
from dependencies.page import PAGE, page

HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@pytest.mark.promise(29)
@pytest.mark.parametrize("lock", [LOCK, IMAGE_LOCK], ids=["requirements", "image"])
def test_every_package_of_a_lock_file_has_hashes(lock):
    blocks = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert len(blocks) == len(pins(lock)) > 50
    for block in blocks:
        pin, *hashes = block.replace("\\\n", "\n").splitlines()
        assert "==" in pin
        assert hashes, pin
        assert all(HASH.fullmatch(line.strip()) for line in hashes), pin


@pytest.mark.promise(29)
def test_a_file_that_was_changed_is_not_installed(tmp_path):
    """A wheel with another content under the name that the lock file has."""
    whole = tmp_path / "idna.lock"
    blocks = re.split(r"\n(?=\S)", LOCK.read_text().strip())
    (block,) = (block for block in blocks if block.startswith("idna=="))
    whole.write_text(block + "\n")
    version = pins(LOCK)["idna"]
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / f"idna-{version}-py3-none-any.whl").write_bytes(b"something else")
    command = [
        *(sys.executable, "-m", "pip", "install", "--no-index", "--find-links", str(folder)),
        *("--no-deps", "--target", str(tmp_path / "there"), "--require-hashes", "-r", str(whole)),
    ]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert not (tmp_path / "there").exists()


def test_pyproject_and_lock_file_name_the_same_packages():
    locked = pins(LOCK)
    missing = {name for name in direct() if name not in locked}
    # On macOS alone.
    assert missing == {"xgboost"}
    assert set(pins(IMAGE_LOCK).items()) <= set(locked.items())


@pytest.mark.promise(29)
def test_the_page_of_dependencies_is_up_to_date():
    """Red after a change of pyproject.toml or of a lock file: `make dependencies`."""
    assert PAGE.read_text() == page()


@pytest.mark.promise(29)
def test_every_licence_is_allowed():
    """Neither GPL nor AGPL in what users run."""
    forbidden = {package.name: package.forbidden() for package in packages()}
    assert {name: licences for name, licences in forbidden.items() if licences} == {}
    assert not any("GPL" in licence for licence in REVIEW["licences"]["everywhere"])


@pytest.mark.promise(29)
def test_every_direct_dependency_says_what_it_is_for():
    assert set(REVIEW["why"]) == set(direct())
    assert all(REVIEW["why"].values())


@pytest.mark.promise(29)
def test_every_pre_release_has_a_reason_and_a_day_to_look_again():
    assert set(REVIEW["pre_releases"]) == set(pre_releases())
    told = PAGE.read_text()
    for name, version in pre_releases().items():
        entry = REVIEW["pre_releases"][name]
        assert isinstance(entry["look_again"], date)
        assert f"| `{name}` | {version} | {entry['reason']} | {entry['look_again']} |" in told
