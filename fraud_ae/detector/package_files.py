"""The files of a saved model against its manifest, without loading the model."""

import hashlib
import shutil
from functools import partial
from pathlib import Path

from fraud_ae.detector.files import MODEL_FILES
from fraud_ae.detector.manifest import MANIFEST, ONNX_MODEL, check_manifest, refuse_links
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.errors import UserError
from fraud_ae.runtime.atomic_files import write_folder
from fraud_ae.runtime.kept_files import parse_json, parse_yaml, read_checked, warn_once


def info_of(path: Path) -> dict:
    """What a `model_info.yaml` says. Raises ValueError where its manifest says otherwise."""
    info = parse_yaml(path)
    if not (path.parent / MANIFEST).is_file():
        return info
    listed = _listed_files(path.parent).get(MODEL_INFO, {})
    if hashlib.sha256(path.read_bytes()).hexdigest() != listed.get("sha256"):
        raise ValueError("other content than the manifest says")
    return info


def _listed_files(package: Path) -> dict[str, dict]:
    """The files of a package, as its manifest has them. Raises DamagedFile."""
    return read_checked(package / MANIFEST, _files_of_manifest)


def _files_of_manifest(path: Path) -> dict[str, dict]:
    files = parse_json(path).get("files")
    if not isinstance(files, dict) or not all("sha256" in file for file in files.values()):
        raise ValueError("not the manifest of a detector")
    return files


def hashes(package: Path) -> dict[str, str]:
    """Name -> SHA-256 of the files that make a model what it is. Raises DamagedFile."""
    files = _listed_files(package)
    # An exported file is the same model once more.
    return {n: file["sha256"] for n, file in files.items() if n not in (MODEL_INFO, ONNX_MODEL)}


def mend(version: Path, package: Path) -> None:
    """Make a damaged version again from a package that has its very files."""
    try:
        check_manifest(version, (*MODEL_FILES, MODEL_INFO))
    except UserError as error:
        write_folder(version, partial(copy_model, package))
        warn_once(f"{str(error).partition(';')[0]}; made again, as it was")


def copy_model(package: Path, draft: Path) -> None:
    """Copy the files of a model into an existing folder. Raises UserError where one is a link."""
    refuse_links(package)
    shutil.copytree(package, draft, dirs_exist_ok=True)
