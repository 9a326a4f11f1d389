"""The audit of a strategy before a model of it is published, made in a worker meanwhile."""

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fraud_ae.audit.stored import audit_identity, keep_audit, kept_findings
from fraud_ae.errors import LeakRefused
from fraud_ae.runtime.workers.workers import Workers

if TYPE_CHECKING:
    from fraud_ae.audit.leakage import Finding
    from fraud_ae.configuration.job import Job

# Of a longer table some customers are audited: it computes the features many times.
_MOST_ROWS = 200_000


class BackgroundAudit:
    """Audits a strategy once, unless that was done before.

    name: the option of `features`. job: with that strategy.
    """

    def __init__(self, name: str, job: "Job", workers: Workers) -> None:
        self._name = name
        self._job = job
        self._workers = workers
        self._identity = audit_identity(job.features_identity, job.allowed_features)
        is_audited = kept_findings(job.folder, name, self._identity) is not None
        self._future = None if is_audited else workers.submit(_findings, job)

    def finish(self) -> None:
        """Wait for the findings, keep them, and say that there were none.

        Raises LeakRefused where a check failed, also where that was known before.
        """
        if self._future is not None:
            findings = self._workers.outcome_at_last(self._future)
            keep_audit(self._job.folder, self._name, self._identity, findings)
            self._future = None
            if all(finding.passed for finding in findings):
                print(f"leak audit of {self._name}: {len(findings)} checks passed")
        found = kept_findings(self._job.folder, self._name, self._identity)
        if failed := [finding for finding in found if not finding["passed"]]:
            raise LeakRefused(_told(self._name, failed, len(found)))


def _told(name: str, failed: list[dict], checks: int) -> str:
    lines = [
        f"LEAK AUDIT of {name}: {len(failed)} of {checks} checks failed, no figure can be trusted, "
        "and nothing is published"
    ]
    lines += [f"  {finding['check']}: {', '.join(finding['features'])}" for finding in failed]
    lines.append(f"  what was found: fraud-ae audit {name}, with the same settings")
    alone = [f for finding in failed if _may_be_allowed(finding) for f in finding["features"]]
    if alone:
        names = ",".join(dict.fromkeys(alone))
        lines.append(
            f"  where it is known when a transaction is scored: 'allow_features=[{names}]'"
        )
    return "\n".join(lines)


def _may_be_allowed(finding: dict) -> bool:
    return finding["check"] == "single feature"


def _findings(job: "Job") -> "list[Finding]":
    from fraud_ae.audit.leakage import audit

    transactions = job.dataset.transactions
    return audit(
        job.strategy,
        _some_customers(transactions[job.split.before_test(transactions)]),
        job.split,
        label_delay_days=job.split_settings.label_delay_days,
        allowed=job.allowed_features,
        seed=job.seed,
    )


def _some_customers(transactions: pd.DataFrame) -> pd.DataFrame:
    """All transactions of every k-th customer, or every k-th where there are no customers."""
    step = math.ceil(len(transactions) / _MOST_ROWS)
    if step == 1:
        return transactions
    if "customer_id" in transactions:
        codes, _ = pd.factorize(transactions["customer_id"])
    else:
        codes = np.arange(len(transactions))
    return transactions[codes % step == 0].reset_index(drop=True)
