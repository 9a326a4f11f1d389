"""Hashes of plain data, the same on every machine."""

import hashlib
import json


def identity_hash(identity: dict) -> str:
    """16 hexadecimal characters, equal where the identities, plain data in JSON, are."""
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
