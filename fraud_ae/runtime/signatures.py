"""Signatures of files: who made them, where a hash only says that they are whole.

Ed25519 (RFC 8032) of the package `cryptography`. The private key is a PEM file for its owner alone,
the public one lies beside it as `NAME.pub`.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

from fraud_ae.errors import UserError
from fraud_ae.runtime.atomic_files import write_json


def make_key(path: Path) -> Path:
    """Write a new private key, and the public one beside it, whose path is returned.

    Raises UserError where one of them is there: what it has signed could not be checked any more.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    public = path.with_name(f"{path.name}.pub")
    _write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    text = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(public, text, 0o644)
    return public


def sign_file(file: Path, key: Path, signature: Path) -> None:
    """Write the signature of a file's bytes. key: the file of a private key.

    Raises UserError where the key cannot be read or is of another kind.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = _read_key(key, lambda text: load_pem_private_key(text, password=None))
    if not isinstance(private, Ed25519PrivateKey):
        raise UserError(f"{key}: is no private key of Ed25519; fraud-ae sign --new-key makes one")
    signed = b64encode(private.sign(file.read_bytes())).decode()
    write_json(signature, {"algorithm": "ed25519", "signature": signed})


def check_signature(file: Path, public_key: Path, signature: Path) -> None:
    """Raises UserError unless the signature is of the file's bytes, by the key's owner."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public = _read_key(public_key, load_pem_public_key)
    if not isinstance(public, Ed25519PublicKey):
        raise UserError(f"{public_key}: is no public key of Ed25519; it is named NAME.pub")
    if not signature.is_file():
        raise UserError(f"{file.parent}: is not signed; fraud-ae sign --model {file.parent}")
    try:
        said = json.loads(signature.read_text())
        public.verify(b64decode(said["signature"], validate=True), file.read_bytes())
    except (InvalidSignature, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(
            f"{file.parent}: its signature is not of this model by the owner of {public_key}"
        ) from error


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise UserError(f"{path}: is there already; a key is not replaced") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _read_key(path: Path, load: Callable[[bytes], object]) -> object:
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: is no key as fraud-ae sign --new-key writes it") from error
