"""Known vulnerabilities of what the lock files hold: `python -m dependencies.audit`.

pip-audit asks OSV (https://osv.dev), or what the variable OSV_URL names. Where it cannot be
reached, one line says that nothing was audited, and the exit code is 0.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date

import requests

from dependencies.packages import IMAGE_LOCK, LOCK, REVIEW, SCALE_LOCK

OSV_URL = "https://api.osv.dev/v1/query"
# Seconds for one answer and for all of them: about 200 packages, one question each.
ANSWER_S, ALL_S = 5, 180


def audit(
    url: str, ignored: Mapping[str, Mapping], today: date, *, limit_s: float = ALL_S
) -> tuple[int, list[str]]:
    """Exit code, and the lines that say what was found.

    ignored: id of a vulnerability -> `until`, a day, and `reason`; after the day it is found again.
    """
    if not _answers(url):
        return 0, [f"Dependencies were not audited: {url} cannot be reached"]
    kept = [name for name, entry in ignored.items() if today <= entry["until"]]
    command = [
        *(sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"),
        *(part for lock in (LOCK, IMAGE_LOCK, SCALE_LOCK) for part in ("--requirement", str(lock))),
        *("--vulnerability-service", "osv", "--osv-url", url, "--timeout", str(ANSWER_S)),
        *("--progress-spinner", "off", "--format", "json"),
        *(argument for name in kept for argument in ("--ignore-vuln", name)),
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return 0, [f"Dependencies were not audited: {url} took more than {limit_s:g} seconds"]
    try:
        audited = json.loads(answer.stdout)["dependencies"]
    except json.JSONDecodeError:
        if not _answers(url):
            return 0, [f"Dependencies were not audited: {url} can no longer be reached"]
        return 1, ["pip-audit failed:", *answer.stderr.splitlines()[-5:]]
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no release'}: "
        f"{vulnerability['description']}"
        for package in audited
        for vulnerability in package.get("vulns", [])
    ]
    skipped = [f"{p['name']}: {p['skip_reason']}" for p in audited if "skip_reason" in p]
    if found or skipped:
        return 1, [*dict.fromkeys([*found, *skipped])]
    names = {package["name"] for package in audited}
    return 0, [
        f"No known vulnerability in {len(names)} packages; {len(kept)} ignored by review.toml"
    ]


def to_look_at_again(today: date) -> list[str]:
    """A line for each pre-release whose day to look again has come."""
    return [
        f"Look again for a stable release: {name}, since {entry['look_again']}"
        for name, entry in REVIEW["pre_releases"].items()
        if today >= entry["look_again"]
    ]


def _answers(url: str) -> bool:
    question = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "26.0"}
    try:
        return requests.post(url, json=question, timeout=ANSWER_S).ok
    except requests.RequestException:
        return False


if __name__ == "__main__":
    code, told = audit(
        os.environ.get("OSV_URL", OSV_URL), REVIEW["ignored_vulnerabilities"], date.today()
    )
    print("\n".join([*told, *to_look_at_again(date.today())]))
    sys.exit(code)
