"""The leakage audit of what a configuration asks for, printed as a report, and kept."""

import textwrap
from collections.abc import Mapping

from fraud_ae.audit.leakage import Finding, audit
from fraud_ae.audit.stored import audit_identity, keep_audit
from fraud_ae.configuration.job import Job
from fraud_ae.errors import LeakFound

_WIDTH = 80


def audit_strategies(jobs: Mapping[str, Job]) -> None:
    """Audit the strategies of jobs, print a line for each check and keep the findings.

    jobs: by the name of the strategy. Raises LeakFound naming the strategies and their features
    that leak.
    """
    failed = {name: _failures(name, job) for name, job in jobs.items()}
    lines = [
        f"  {name}: {', '.join(features or checks)}"
        for name, (features, checks) in failed.items()
        if checks
    ]
    if lines:
        if any("single feature" in checks for _, checks in failed.values()):
            lines.append("a feature that may tell fraud alone: 'allow_features=[NAME]'")
        raise LeakFound("\n".join(["the audit found leaks", *lines]))


def _failures(name: str, job: Job) -> tuple[list[str], list[str]]:
    """The features that leak, each once, and the checks that failed."""
    transactions = job.dataset.transactions
    rows = int(job.split.before_test(transactions).sum())
    print(f"audit of {name}: {rows:,} transactions before the test period", flush=True)
    findings = audit(
        job.strategy,
        transactions,
        job.split,
        label_delay_days=job.split_settings.label_delay_days,
        allowed=job.allowed_features,
        seed=job.seed,
        report=_print,
    )
    identity = audit_identity(job.features_identity, job.allowed_features)
    keep_audit(job.folder, name, identity, findings)
    failed = [finding for finding in findings if not finding.passed]
    features = dict.fromkeys(feature for finding in failed for feature in finding.features)
    return list(features), [finding.check for finding in failed]


def _print(finding: Finding) -> None:
    result = "passed" if finding.passed else "FAILED"
    text = f"  {result}  {finding.check}: {finding.detail}"
    shown = textwrap.wrap(text, _WIDTH, subsequent_indent=" " * 10, break_on_hyphens=False)
    print("\n".join(shown), flush=True)
