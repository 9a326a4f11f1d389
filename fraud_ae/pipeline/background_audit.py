"""The audit of the strategy that won, made in a worker while the pipeline goes on."""

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fraud_ae.audit.stored import is_audited, keep_audit
from fraud_ae.configuration.job import Job
from fraud_ae.runtime.workers import Workers

if TYPE_CHECKING:
    from fraud_ae.audit.leakage import Finding

# Of a longer table some customers are audited: it computes the features many times.
_MOST_ROWS = 200_000


class BackgroundAudit:
    """Audits a strategy once, unless that was done before.

    name: the option of `features`. job: with that strategy.
    """

    def __init__(self, name: str, job: Job, workers: Workers) -> None:
        self._name = name
        self._job = job
        self._workers = workers
        self._future = None
        if not is_audited(job.folder, name, job.features_identity):
            self._future = workers.submit(_findings, job)

    def finish(self) -> None:
        """Wait for the findings, keep them, and say what they are; nothing if there were some."""
        if self._future is None:
            return
        findings = self._workers.outcome_at_last(self._future)
        keep_audit(self._job.folder, self._name, self._job.features_identity, findings)
        failed = [finding for finding in findings if not finding.passed]
        if not failed:
            print(f"leak audit of {self._name}: {len(findings)} checks passed")
            return
        print(f"LEAK AUDIT of {self._name}: {len(failed)} of {len(findings)} checks failed")
        for finding in failed:
            print(f"  {finding.check}: {', '.join(finding.features)}")
        print(f"  no figure can be trusted: fraud-ae audit {self._name}")


def _findings(job: Job) -> "list[Finding]":
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
