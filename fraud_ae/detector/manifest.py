"""The manifest of a saved detector: what it consists of, and a hash of each file."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from fraud_ae import __version__
from fraud_ae.errors import UserError
from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.runtime.signatures import check_signature, sign_file

MANIFEST = "manifest.json"
# Who made the model, see `sign_model`; of the manifest, and so of every file that it lists.
SIGNATURE = "manifest.signature.json"
# The same model once more, for those who score without PyTorch.
ONNX_MODEL = "model.onnx"
KIND = "fraud_ae detector"
FORMAT = 8

# So many characters of a digest nobody finds another model for.
_LEAST_DIGEST = 16
_AGAIN = "make the model again: python train.py stage=production"


def write_manifest(folder: Path) -> None:
    """Write down every file of a folder; what is added later needs this again.

    Raises UserError where one is a link.
    """
    refuse_links(folder)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    # Names that begin with a dot are drafts of files that are being written.
    named = [
        path
        for path in files
        if path.name not in (MANIFEST, SIGNATURE) and not path.name.startswith(".")
    ]
    listed = {path.name: _describe(path) for path in named}
    manifest = {"kind": KIND, "format": FORMAT, "fraud_ae": __version__, "files": listed}
    write_json(folder / MANIFEST, manifest)


def check_manifest(folder: Path, needed: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the files that a folder's manifest vouches for; every one of them was read.

    needed: names without which it is no detector. Raises UserError that names what is missing,
    changed, a link, of another format, or of another kind.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; a saved detector is a folder with {MANIFEST}")
    refuse_links(folder)
    manifest = _read(folder)
    if manifest["kind"] != KIND:
        raise UserError(f"{folder}: holds a {manifest['kind']!r}, where a {KIND!r} is expected")
    saved_in = manifest["format"]
    if saved_in > FORMAT:
        raise UserError(
            f"{folder}: saved in format {saved_in} by fraud_ae {manifest['fraud_ae']}, newer than "
            f"format {FORMAT}, the newest that this version reads; install a newer fraud_ae"
        )
    if saved_in < FORMAT:
        raise UserError(
            f"{folder}: saved in format {saved_in}, older than format {FORMAT}, which this version "
            f"reads; {_AGAIN}"
        )
    files = manifest["files"]
    missing = [n for n in dict.fromkeys((*needed, *files)) if not (folder / n).is_file()]
    if missing:
        raise UserError(f"{folder}: not a whole detector; missing {', '.join(missing)}")
    changed = [name for name in files if _describe(folder / name) != files[name]]
    # What is needed and was never listed has been added by somebody else.
    changed += [name for name in needed if name not in files]
    if changed:
        raise UserError(
            f"{folder}: changed since it was saved: {', '.join(changed)}; copy the model anew, "
            f"or {_AGAIN}"
        )
    return tuple(files)


def digest(folder: Path) -> str:
    """64 hexadecimal characters, the same for the same model: SHA-256 of its manifest."""
    return _describe(folder / MANIFEST)["sha256"]


def sign_model(folder: Path, key: Path) -> str:
    """Sign a saved detector with a private key, and return its digest.

    What changes it afterwards, a threshold or an export, makes the signature void. Raises UserError
    where it is damaged, or the key is none.
    """
    check_manifest(folder, ())
    sign_file(folder / MANIFEST, key, folder / SIGNATURE)
    return digest(folder)


@dataclass(frozen=True)
class Origin:
    """Which models are taken: that of a digest, those that the owner of a key has signed, or any.

    digest: the first 16 characters of it, or more. public_key: its file.
    """

    digest: str | None = None
    public_key: Path | None = None

    def check(self, folder: Path) -> None:
        """Raises UserError, saying what does not fit, where a saved detector is none of them."""
        if self.digest is not None:
            found = digest(folder)
            if len(self.digest) < _LEAST_DIGEST or not found.startswith(self.digest.lower()):
                raise UserError(f"{folder}: has the digest {found}, not {self.digest!r}")
        if self.public_key is not None:
            check_signature(folder / MANIFEST, self.public_key, folder / SIGNATURE)


# A model of whatever origin.
ANY = Origin()


def refuse_links(folder: Path) -> None:
    """Raises UserError for a link within a model's folder: what it leads to is not the model's."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise UserError(f"{path}: is a link, and a model is made of files alone; remove it")


def _read(folder: Path) -> dict:
    path = folder / MANIFEST
    if not path.is_file():
        if (folder / "detector.json").is_file():
            raise UserError(f"{folder}: has no {MANIFEST}: it is older than format 3; {_AGAIN}")
        raise UserError(f"{folder}: not a saved detector; missing {MANIFEST}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        shape = [type(manifest[key]) for key in ("kind", "format", "fraud_ae", "files")]
        # No path may lead out of the folder.
        names = [Path(name).name == name for name in manifest["files"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error})") from error
    if shape != [str, int, str, dict] or not all(names):
        raise UserError(f"{path}: not the manifest of a detector")
    return manifest


def _describe(path: Path) -> dict:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
