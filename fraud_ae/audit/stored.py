"""The file of the last audit of each strategy of an experiment."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_ae.runtime.hashing import identity_hash
from fraud_ae.runtime.kept_files import parse_json, read_kept, write_kept_json

if TYPE_CHECKING:
    from fraud_ae.audit.leakage import Finding

AUDITS = "audit.json"


def audit_identity(features: dict, allowed: Sequence[str]) -> dict:
    """Everything that decides what an audit finds.

    features: see `features_identity`; how they are encoded says nothing. allowed: the features that
    may tell fraud by themselves.
    """
    made = {key: value for key, value in features.items() if key != "encoder"}
    return {**made, "allowed": sorted(allowed)}


def keep_audit(folder: Path, strategy: str, identity: dict, findings: "Sequence[Finding]") -> None:
    """Save what an audit found in the folder of an experiment, instead of the one before it.

    identity: see `audit_identity`.
    """
    audited = {
        "fingerprint": identity["data"]["fingerprint"],
        "identity": identity_hash(identity),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "findings": [{**asdict(finding), "passed": bool(finding.passed)} for finding in findings],
    }
    write_kept_json(folder / AUDITS, {**read_audits(folder), strategy: audited})


def read_audits(folder: Path) -> dict[str, dict]:
    """Strategy -> fingerprint of its transactions, identity, created (ISO, UTC) and findings."""
    return read_kept(folder / AUDITS, parse_json) or {}


def kept_findings(folder: Path, strategy: str, identity: dict) -> list[dict] | None:
    """What the last audit of a strategy found, as plain data; None where it was of others.

    identity: see `audit_identity`.
    """
    audited = read_audits(folder).get(strategy, {})
    return audited["findings"] if audited.get("identity") == identity_hash(identity) else None
