"""The audit of the strategy that won, made in a worker while the pipeline goes on."""

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fraud_ae.audit.stored import is_audited, keep_audit
from fraud_ae.configuration.build import dataset_of, experiment_folder, split_of, strategy_of
from fraud_ae.experiments.run_store import features_identity
from fraud_ae.runtime.workers import Workers

if TYPE_CHECKING:
    from fraud_ae.audit.leakage import Finding

# Of a longer table some customers are audited: it computes the features many times.
_MOST_ROWS = 200_000


class AuditBeside:
    """Audits a strategy once, unless that was done before.

    name: the option of `features`. config: resolved, with that strategy.
    """

    def __init__(self, name: str, config: dict, workers: Workers) -> None:
        self._name = name
        self._folder = experiment_folder(config)
        self._identity = features_identity(config, dataset_of(config).fingerprint)
        self._workers = workers
        self._future = None
        if not is_audited(self._folder, name, self._identity):
            self._future = workers.submit(_findings, config)

    def finish(self) -> None:
        """Wait for the findings, keep them, and say what they are; nothing if there were some."""
        if self._future is None:
            return
        findings = self._workers.outcome(self._future)
        keep_audit(self._folder, self._name, self._identity, findings)
        failed = [finding for finding in findings if not finding.passed]
        if not failed:
            print(f"leak audit of {self._name}: {len(findings)} checks passed")
            return
        print(f"LEAK AUDIT of {self._name}: {len(failed)} of {len(findings)} checks failed")
        for finding in failed:
            print(f"  {finding.check}: {', '.join(finding.features)}")
        print(f"  no figure can be trusted: python train.py audit=true features={self._name}")


def _findings(config: dict) -> "list[Finding]":
    from fraud_ae.audit.leakage import audit

    dataset = dataset_of(config)
    split = split_of(config, dataset)
    known = dataset.transactions[split.before_test(dataset.transactions)]
    return audit(
        strategy_of(config, dataset),
        _some_customers(known),
        split,
        label_delay_days=config["data"]["split"]["label_delay_days"],
        allowed=config["allow_features"],
        seed=config["seed"],
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
