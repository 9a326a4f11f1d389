"""The check: what has drifted since a model was made, by transactions that came later."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from fraud_ae.data.files.reading import read_table
from fraud_ae.data.values.times import newest
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.errors import DataError, UserError
from fraud_ae.evaluation.threshold import alerts
from fraud_ae.production.drift.bins import Bins
from fraud_ae.production.drift.clusters import clusters_of, whole_periods
from fraud_ae.production.drift.entities import entities_of
from fraud_ae.production.drift.feature_properties import comparable_features
from fraud_ae.production.drift.findings import LEAST_PSI, Finding, correct
from fraud_ae.production.drift.homogeneity import ClusteredShares, Comparison, compare
from fraud_ae.production.drift.period import Period
from fraud_ae.production.drift.ranking import LEAST_FRAUDS, fall, ranking
from fraud_ae.production.drift.reference import (
    clustered_shares,
    customers_of,
    load_reference,
    quantiles,
)

LEAST_ROWS = 100
ALPHA = 0.05
LEAST_RATIO = 2.0
LEAST_RATE = 0.005
LEAST_UNSEEN = 0.01
LEAST_FALL = {"auc": 0.05, "average_precision": 0.1}
REPLICATES = 200
_FIGURES = {"auc": "ROC AUC", "average_precision": "average precision"}


def check_drift(
    model: Path,
    file: Path,
    *,
    history: Path | None = None,
    days: float | None = None,
    alpha: float = ALPHA,
) -> dict:
    """Compare the transactions of a file with what a model was made of.

    model: folder of a model for production. file, history: tables as the model's source has them,
    `is_fraud` where it is known. days: see `Period.of`. alpha: how likely a false alarm may be.
    Returns plain data: `drift`, whether anything has; `findings`, and facts about both periods.
    Raises UserError where nothing can be compared, DataError for what cannot be read or mapped.
    """
    detector, reference = FraudDetector.load(model), load_reference(model)
    source, columns = detector.source_format, reference["columns"]
    table = read_table(file, source)
    earlier = None if history is None else read_table(history, source)
    try:
        period = Period.of(
            table, source, columns, history=earlier, remembered=detector.history, days=days
        )
    except DataError as error:
        named = f"{file}" if history is None else f"{file}, {history}"
        raise DataError(f"{named}: {error}") from None
    checked = check_period(detector, reference, period, alpha=alpha)
    return {"model": str(model), "file": str(file), **checked}


def check_period(
    detector: FraudDetector, reference: Mapping, period: Period, *, alpha: float = ALPHA
) -> dict:
    """What `check_drift` returns, of a detector with its reference and a period at hand."""
    current = period.transactions[period.current]
    rows = len(current)
    if rows < LEAST_ROWS:
        raise UserError(f"{rows} transactions to be judged; a check needs {LEAST_ROWS} or more")
    check = _Check(detector, reference, period)
    findings = [*check.columns(), *check.features(), *check.scores(), *check.unseen()]
    correct(findings, alpha)
    return {
        "drift": any(finding.drift for finding in findings),
        "alpha": alpha,
        "least_psi": LEAST_PSI,
        "period": {
            "from": current["timestamp"].iloc[0].isoformat(),
            "to": current["timestamp"].iloc[-1].isoformat(),
            "rows": rows,
            "rows_per_day": period.rows_per_day(),
            "history_rows": len(period.transactions) - rows,
        },
        "reference": {k: reference[k] for k in ("from", "to", "rows", "rows_per_day")},
        "findings": [asdict(finding) for finding in findings],
    }


class _Check:
    """One check; what several comparisons need is made once.

    rows: (n,) bool, of the period: which can be compared in what looks back (True), and in what
    does not. samples: the transactions that these are.
    """

    def __init__(self, detector: FraudDetector, reference: Mapping, period: Period) -> None:
        self.detector, self.reference, self.period = detector, reference, period
        self.days = reference["history_days"]
        complete = period.with_history(self.days, reference["rows_per_day"], reference["gap_days"])
        times = period.transactions["timestamp"]
        late = times >= newest(times) - pd.Timedelta(days=max(reference["days"], 1))
        # As long a period as that of the reference, because history grows along it.
        self.rows = {False: period.current, True: complete & late.to_numpy()}
        self.samples = {
            looks_back: period.transactions[rows].reset_index(drop=True)
            for looks_back, rows in self.rows.items()
        }
        self.labels_known = period.labels_known(reference["label_delay_days"])
        self.entities = entities_of(self.samples[False])
        self.changed = {
            kind: entities.change_of_shares(reference["members"][kind])
            for kind, entities in self.entities.items()
            if kind in reference["members"]
        }

    def columns(self) -> list[Finding]:
        """Columns that the training data had and the file does not."""
        needed = self.reference["columns"]
        return [
            Finding(name, "missing column", matters=needed[name], drift=needed[name])
            for name in self.period.missing
        ]

    def features(self) -> list[Finding]:
        """Each feature, the most changed first."""
        learned_until = pd.Timestamp(self.reference["learned_until"])
        strategy, transactions = self.detector.strategy, self.period.transactions
        if "is_fraud" not in transactions:
            # Against a warning of what the findings say anyway.
            transactions = transactions.assign(is_fraud=np.nan)
        features = {}
        for looks_back, rows in self.rows.items():
            if rows.any():
                days = self.days if looks_back else 0.0
                features[looks_back] = comparable_features(
                    strategy, transactions, rows, days, learned_until
                )
        findings = []
        for name, known in self.reference["features"].items():
            reason = self._not_compared(known)
            if reason is None:
                values = features[known["looks_back"]]
                counted = values[known["stands_for"] or name]
                findings.append(self._compared(name, "feature", known, counted, values[name]))
            else:
                findings.append(Finding(name, "feature", not_judged=reason))
        return sorted(findings, key=lambda f: -f.details["excess"] if f.details else np.inf)

    def scores(self) -> list[Finding]:
        """The distribution of the score, the alert rate, and the figures where labels are."""
        labelled = any(f["reads_labels"] for f in self.reference["features"].values())
        known = {**self.reference["score"], "reads_labels": labelled, "cycle": None}
        reason = self._not_compared(known)
        if reason:
            names = [("score", "score"), ("alert rate", "alert rate")]
            names += [(name, "figure") for name in _FIGURES.values()]
            return [Finding(name, kind, not_judged=reason) for name, kind in names]
        rows, current = self.rows[known["looks_back"]], self.samples[known["looks_back"]]
        scores = self.detector.score_transactions(self.period.transactions, rows)
        values = pd.Series(scores.astype(np.float64))
        score = self._compared("score", "score", known, values, values)
        return [score, *self._alert_rate(scores, current), *self._figures(scores, current)]

    def unseen(self) -> list[Finding]:
        """Values of categories that the training data did not have, the most frequent first."""
        current = self.samples[False]
        findings = []
        for name, known in self.reference["categories"].items():
            if known["values"] is None or name in self.period.missing:
                continue
            new = current[name].notna() & ~current[name].isin(known["values"])
            share = float(new.mean())
            # Rows of one customer mostly have one value: customers are what comes by chance.
            customers = customers_of(current)
            number, with_new = customers.nunique(), customers[new].nunique()
            # Both counts are of rare events; at least one is what another sample may have had.
            before = max(known["of_one"], 1)
            p_value = stats.binom.sf(
                with_new - 1, with_new + before, number / (number + known["of"])
            )
            counts = current[name][new].value_counts()
            details = {
                "share": share,
                "values": {str(value): int(count) for value, count in counts.head(5).items()},
                "distinct": len(counts),
            }
            matters = share >= LEAST_UNSEEN
            findings.append(
                Finding(name, "unseen values", float(p_value), matters=matters, details=details)
            )
        return findings

    def _not_compared(self, known: Mapping) -> str | None:
        """Why something cannot be compared, None where it can be."""
        if known["cycle"] == "date":
            return "goes by the date"
        sample = self.samples[known["looks_back"]]
        if len(sample) < LEAST_ROWS:
            return f"needs {np.ceil(self.days):.0f} days of history without gaps (--history FILE)"
        if known["reads_labels"] and not self.labels_known:
            delay = self.reference["label_delay_days"]
            return f"needs is_fraud of the rows that are {delay:g} days old"
        if whole_periods(sample["timestamp"], known["cycle"]).sum() < LEAST_ROWS:
            return f"needs whole {known['cycle']}s"
        return None

    def _compared(
        self, name: str, kind: str, known: Mapping, counted: pd.Series, values: pd.Series
    ) -> Finding:
        """Compare what is counted in bins; values are those of the feature itself."""
        sample = self.samples[known["looks_back"]]
        whole = whole_periods(sample["timestamp"], known["cycle"])
        counted, sample = counted[whole], sample[whole].reset_index(drop=True)
        bins, reference = Bins(**known["bins"]), ClusteredShares(**known["spread"])
        current = clustered_shares(bins, counted, sample, known["cycle"])
        comparison = compare(reference, current, self._weights(known, bins.codes(counted)))
        details = {
            **_figures_of(comparison),
            "rows": current.rows,
            "missing": [reference.shares[-1], current.shares[-1]],
            "quantiles": [known["quantiles"], quantiles(values[whole])],
            "bins": bins.names(),
            "shares": [reference.shares, current.shares],
            "comparison": comparison,
        }
        matters = comparison.excess >= LEAST_PSI
        return Finding(name, kind, comparison.p_value, matters=matters, details=details)

    def _weights(self, known: Mapping, codes: np.ndarray) -> dict[str, float]:
        """How much of the dependence within customers and terminals counts, see `compare`."""
        weights = {}
        for kind, means in known.get("means", {}).items():
            if kind in self.changed:
                sketch = self.reference["members"][kind]
                correlation = self.entities[kind].correlation(codes, sketch, means)
                weights[kind] = 1 - (1 - self.changed[kind]) * correlation
        return weights

    def _alert_rate(self, scores: np.ndarray, transactions: pd.DataFrame) -> list[Finding]:
        threshold = self.detector.threshold
        if threshold is None:
            return []
        # From the saved scores, as the threshold may be another one by now.
        held_out = self.detector.held_out_scores()
        bins = Bins(edges=(0.5,))
        reference, current = (
            clustered_shares(bins, pd.Series(alerts(values, threshold).astype(np.float64)), rows)
            for values, rows in ((held_out["score"].to_numpy(), held_out), (scores, transactions))
        )
        # Alerts come in bursts, of which a short period may have had none: its likeness, or that of
        # the reference, whichever lets more happen by chance.
        comparisons = compare(reference, current, {}), compare(current, reference, {})
        comparison = max(comparisons, key=lambda c: c.p_value)
        rates = [reference.shares[1], current.shares[1]]
        low, high = sorted(rates)
        matters = high >= LEAST_RATIO * low and high - low >= LEAST_RATE
        details = {**_figures_of(comparison), "rates": rates, "threshold": threshold}
        p_value = comparison.p_value
        return [Finding("alert rate", "alert rate", p_value, matters=matters, details=details)]

    def _figures(self, scores: np.ndarray, transactions: pd.DataFrame) -> list[Finding]:
        known = self.reference["ranking"]
        unknown = pd.Series(np.nan, index=transactions.index)
        labels = transactions.get("is_fraud", unknown).to_numpy()
        findings = {figure: Finding(name, "figure") for figure, name in _FIGURES.items()}
        frauds = min(int((labels == 1).sum()), known["frauds"])
        if frauds < LEAST_FRAUDS:
            for finding in findings.values():
                finding.not_judged = f"needs {LEAST_FRAUDS} known frauds, has {frauds}"
            return list(findings.values())
        current = ranking(
            labels,
            scores,
            clusters_of(transactions),
            fraud_share=known["fraud_share"],
            replicates=REPLICATES,
        )
        for figure, finding in findings.items():
            fallen = fall(known[figure], current[figure])
            if fallen is None:
                finding.not_judged = "needs more customers"
                continue
            finding.p_value = float(stats.norm.sf(fallen))
            difference = known[figure]["value"] - current[figure]["value"]
            finding.matters = difference >= LEAST_FALL[figure]
            finding.details = {
                "before": known[figure],
                "now": current[figure],
                "labelled": current["rows"],
                "frauds": current["frauds"],
                "fraud_share": [known["fraud_share"], current["fraud_share"]],
            }
        return list(findings.values())


def _figures_of(comparison: Comparison) -> dict:
    names = ("psi", "expected", "excess", "design_effect")
    return {name: getattr(comparison, name) for name in names}
