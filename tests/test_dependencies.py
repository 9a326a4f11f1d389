"""What the lock files hold: hashes, licences that are allowed, and nothing unreviewed."""

import json
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from dependencies.packages import (
    IMAGE_LOCK,
    LOCK,
    REVIEW,
    ROOT,
    SCALE_LOCK,
    direct,
    licence_of,
    packages,
    pins,
    pre_releases,
)
from dependencies.page import PAGE, page

HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@pytest.mark.promise("A6")
@pytest.mark.parametrize(
    ("lock", "fewest"),
    [(LOCK, 150), (IMAGE_LOCK, 50), (SCALE_LOCK, 2)],
    ids=["requirements", "image", "scale"],
)
def test_every_package_of_a_lock_file_has_hashes(lock, fewest):
    blocks = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert len(blocks) == len(pins(lock)) >= fewest
    for block in blocks:
        pin, *hashes = block.replace("\\\n", "\n").splitlines()
        assert "==" in pin
        assert hashes, pin
        assert all(HASH.fullmatch(line.strip()) for line in hashes), pin


@pytest.mark.promise("A6")
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
    scale = pins(SCALE_LOCK)
    missing = {name for name in direct() if name not in locked}
    # On macOS alone.
    assert missing - set(scale) == {"xgboost"}
    assert not set(scale) & set(locked)
    assert set(pins(IMAGE_LOCK).items()) <= set(locked.items())


@pytest.mark.promise("A6")
def test_the_page_of_dependencies_is_up_to_date():
    """Red after a change of pyproject.toml or of a lock file: `make dependencies`."""
    assert PAGE.read_text() == page()


@pytest.mark.promise("A6")
def test_every_licence_is_allowed():
    """Neither GPL nor AGPL in what users run."""
    allowed = REVIEW["licences"]["everywhere"]
    forbidden = {package.name: package.forbidden() for package in packages()}
    assert {name: licences for name, licences in forbidden.items() if licences} == {}
    assert not any(licence.startswith(("GPL", "AGPL")) for licence in allowed)
    assert set(REVIEW["scale"].values()) <= set(allowed)
    assert set(REVIEW["scale"]) == set(pins(SCALE_LOCK))


@pytest.mark.scale
def test_licences_of_engines_are_those_that_they_declare():
    assert {name: licence_of(name) for name in pins(SCALE_LOCK)} == REVIEW["scale"]


@pytest.mark.promise("A6")
def test_every_direct_dependency_says_what_it_is_for():
    assert set(REVIEW["why"]) == set(direct())
    assert all(REVIEW["why"].values())


@pytest.mark.promise("A6")
def test_every_pre_release_has_a_reason_and_a_day_to_look_again():
    assert set(REVIEW["pre_releases"]) == set(pre_releases())
    told = PAGE.read_text()
    for name, version in pre_releases().items():
        entry = REVIEW["pre_releases"][name]
        assert isinstance(entry["look_again"], date)
        assert f"| `{name}` | {version} | {entry['reason']} | {entry['look_again']} |" in told


@pytest.mark.slow
@pytest.mark.promise("A6")
def test_make_sbom_lists_every_package_with_licences_and_hashes(tmp_path):
    (tmp_path / "docker").mkdir()
    for name in ("Makefile", "pyproject.toml", "docker/requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    command = ["make", "-o", ".venv/.installed", f"BIN={Path(sys.executable).parent}", "sbom"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    materials = {
        path.name.partition(".")[0]: json.loads(path.read_text())
        for path in (tmp_path / "sbom").glob("*.cdx.json")
    }
    assert set(materials) == {"environment", "image"}
    assert {each["bomFormat"] for each in materials.values()} == {"CycloneDX"}
    installed = {canonicalize_name(c["name"]): c for c in materials["environment"]["components"]}
    assert set(pins(LOCK)) <= set(installed)
    without = {name for name in pins(LOCK) if not installed[name].get("licenses")}
    # Its metadata say it in a field of their own words alone.
    assert without <= {"protobuf"}
    image = {canonicalize_name(c["name"]): c for c in materials["image"]["components"]}
    assert {name: c["version"] for name, c in image.items()} == pins(IMAGE_LOCK)
    for component in image.values():
        hashes = [h for r in component["externalReferences"] for h in r.get("hashes", [])]
        assert hashes, component["name"]
