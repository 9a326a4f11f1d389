"""What decides a run, as plain data: runs of equal identity are the same run."""

import hashlib
import importlib.util
import json
from importlib.machinery import ModuleSpec
from pathlib import Path

from fraud_ae import __version__
from fraud_ae.runtime.named_objects import is_allowed

# Raised when a change of the code makes earlier runs worthless.
_FORMAT = 13
# Where a network is trained is no part of what is trained: the last digits alone differ.
_WHERE = ("accelerator", "devices", "strategy")


def features_identity(
    *, fingerprint: str, train_on: str, split: dict, features: dict, encoder: dict
) -> dict:
    """Everything that decides the encoded transactions, and nothing else.

    fingerprint: of the transactions. split, features, encoder: their settings. Where the data lie
    and all names are left out, so that what is encoded is shared between them.
    """
    return {
        "format": _FORMAT,
        "version": __version__,
        "data": {"fingerprint": fingerprint, "train_on": train_on, "split": split},
        "features": features,
        "encoder": encoder,
        "code": _code_of_users(features),
    }


def run_identity(encoded: dict, *, model: dict, trainer: dict, scorer: dict, seed: int) -> dict:
    """Everything that decides a run's weights and scores, and nothing else.

    encoded: its `features_identity`. The threshold and metrics are left out, as they only change
    how scores are read.
    """
    trainer = {key: value for key, value in trainer.items() if key not in _WHERE}
    recipe = {"model": model, "trainer": trainer, "scorer": scorer, "seed": seed}
    return {**encoded, **recipe, "code": {**encoded["code"], **_code_of_users(recipe)}}


def production_identity(winner: dict, fit_on: str, folds: int) -> dict:
    """What decides a deployed fit: the winner's identity, and the rows it is fitted on."""
    return {**winner, "production": {"fit_on": fit_on, "folds": folds}}


def validation_set(fingerprint: str, split: dict) -> str:
    """8 hexadecimal characters, the same where the validation rows are.

    fingerprint: of the transactions. split: the settings of their parts.
    """
    text = json.dumps([fingerprint, split], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _code_of_users(node: object) -> dict[str, str]:
    """Hashes of the files of classes that are not of this package: editing one makes new runs."""
    if isinstance(node, list):
        return {k: v for item in node for k, v in _code_of_users(item).items()}
    if not isinstance(node, dict):
        return {}
    hashes = {k: v for item in node.values() for k, v in _code_of_users(item).items()}
    module = str(node.get("_target_", "fraud_ae.")).rpartition(".")[0]
    if is_allowed(module):
        spec = _spec(module)
        if spec is not None and spec.origin and Path(spec.origin).is_file():
            hashes[module] = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:16]
    return hashes


def _spec(module: str) -> ModuleSpec | None:
    """Where a module lies, None where there is none: whoever imports it says so better."""
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
