"""The check: what has drifted since a model was made, by transactions that came later."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold import alerts
from fraud_ae.production.drift.bins import Bins
from fraud_ae.production.drift.comparable import features_of
from fraud_ae.production.drift.period import Period
from fraud_ae.production.drift.ranking import LEAST_FRAUDS, fall, ranking
from fraud_ae.production.drift.reference import (
    bins_from,
    clusters_of,
    load_reference,
    members_of,
    owners_of,
    quantiles,
    spread_of,
    whole_periods,
)
from fraud_ae.production.drift.spread import Comparison, Spread, compare

LEAST_ROWS = 100
ALPHA = 0.05
# The customary limit of a moderate shift (Siddiqi, 2006).
LEAST_PSI = 0.1
LEAST_RATIO = 2.0
LEAST_RATE = 0.005
LEAST_UNSEEN = 0.01
LEAST_FALL = {"auc": 0.05, "average_precision": 0.1}
REPLICATES = 200
_FIGURES = {"auc": "ROC AUC", "average_precision": "average precision"}


@dataclass
class Finding:
    """One thing that is compared.

    kind: `feature`, `score`, `alert rate`, `figure`, `unseen values` or `missing column`. p_value:
    by itself, None where nothing was tested; p_corrected: by Holm, for all tests of the check.
    matters: whether the change is large enough to count. not_judged: why it was not compared.
    details: figures for tables and pictures, plain data.
    """

    name: str
    kind: str
    p_value: float | None = None
    p_corrected: float | None = None
    matters: bool = False
    drift: bool = False
    not_judged: str | None = None
    details: dict[str, Any] | None = None


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
    Raises UserError where nothing can be compared.
    """
    detector, reference = FraudDetector.load(model), load_reference(model)
    period = Period.read(
        file, detector.source_format, reference["columns"], history=history, days=days
    )
    checked = check_period(detector, reference, period, alpha=alpha)
    return {"model": str(model), "file": str(file), **checked}


def check_period(
    detector: FraudDetector, reference: Mapping, period: Period, *, alpha: float = ALPHA
) -> dict:
    """What `check_drift` returns, of a detector with its reference and a period at hand."""
    rows = int(period.judged.sum())
    if rows < LEAST_ROWS:
        raise UserError(f"{rows} transactions to be judged; a check needs {LEAST_ROWS} or more")
    check = _Check(detector, reference, period)
    findings = [*check.columns(), *check.features(), *check.scores(), *check.unseen()]
    _decide(findings, alpha)
    own = period.transactions[period.judged]
    return {
        "drift": any(finding.drift for finding in findings),
        "alpha": alpha,
        "least_psi": LEAST_PSI,
        "period": {
            "from": own["timestamp"].iloc[0].isoformat(),
            "to": own["timestamp"].iloc[-1].isoformat(),
            "rows": rows,
            "rows_per_day": period.rows_per_day(),
            "history_rows": len(period.transactions) - rows,
        },
        "reference": {k: reference[k] for k in ("from", "to", "rows", "rows_per_day")},
        "findings": [asdict(finding) for finding in findings],
    }


class _Check:
    """One check; what several comparisons need is made once."""

    def __init__(self, detector: FraudDetector, reference: Mapping, period: Period) -> None:
        self.detector, self.reference, self.period = detector, reference, period
        self.days = reference["history_days"]
        complete = period.with_history(self.days, reference["rows_per_day"], reference["gap_days"])
        times = period.transactions["timestamp"]
        newest = times >= times.iloc[-1] - pd.Timedelta(days=max(reference["days"], 1))
        # As long a period as that of the reference, because history grows along it.
        self.with_history = complete & newest.to_numpy()
        self.labels_known = period.labels_known(reference["label_delay_days"])
        self.members = members_of(period.transactions[period.judged])
        self.changed = {
            kind: found.changed_weights(reference["members"][kind])
            for kind, found in self.members.items()
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
        judged, learned = self.period.judged, pd.Timestamp(self.reference["learned_until"])
        strategy, transactions = self.detector.strategy, self.period.transactions
        if "is_fraud" not in transactions:
            # Not to be warned of what is said anyway.
            transactions = transactions.assign(is_fraud=np.nan)
        parts = {}
        for looks_back, rows in ((False, judged), (True, self.with_history)):
            if rows.any():
                # Those that do not look back need no history, and the others no more than that.
                seen = transactions if looks_back else transactions[rows].reset_index(drop=True)
                kept = rows if looks_back else np.ones(len(seen), dtype=bool)
                features = features_of(strategy, seen, kept, self.days, learned)
                parts[looks_back] = transactions[rows].reset_index(drop=True), features
        found = []
        for name, known in self.reference["features"].items():
            reason = self._not_judged(known)
            if reason is None:
                own, features = parts[known["looks_back"]]
                counted = features[known["stands_for"] or name]
                found.append(self._compared(name, "feature", known, counted, own, features[name]))
            else:
                found.append(Finding(name, "feature", not_judged=reason))
        return sorted(found, key=lambda f: -f.details["excess"] if f.details else np.inf)

    def scores(self) -> list[Finding]:
        """The distribution of the score, the alert rate, and the figures where labels are."""
        known = self.reference["score"]
        labelled = any(f["reads_labels"] for f in self.reference["features"].values())
        reason = self._not_judged({**known, "reads_labels": labelled, "cycle": None})
        if reason:
            names = [("score", "score"), ("alert rate", "alert rate")]
            names += [(name, "figure") for name in _FIGURES.values()]
            return [Finding(name, kind, not_judged=reason) for name, kind in names]
        rows = self.with_history if known["looks_back"] else self.period.judged
        scores = self.detector.score_transactions(self.period.transactions, rows)
        own = self.period.transactions[rows].reset_index(drop=True)
        values = pd.Series(scores.astype(np.float64))
        score = self._compared("score", "score", {**known, "cycle": None}, values, own, values)
        return [score, *self._alert_rate(scores, own), *self._figures(scores, own)]

    def unseen(self) -> list[Finding]:
        """Values of categories that the training data did not have, the most frequent first."""
        own = self.period.transactions[self.period.judged].reset_index(drop=True)
        found = []
        for name, known in self.reference["categories"].items():
            if known["values"] is None or name in self.period.missing:
                continue
            new = own[name].notna() & ~own[name].isin(known["values"])
            share = float(new.mean())
            # Rows of one customer mostly have one value: customers are what comes by chance.
            owners = owners_of(own)
            bring, now = owners[new].nunique(), owners.nunique()
            # Both counts are of rare events; at least one is what another sample may have had.
            before = max(known["of_one"], 1)
            p_value = stats.binom.sf(bring - 1, bring + before, now / (now + known["of"]))
            counts = own[name][new].value_counts()
            details = {
                "share": share,
                "values": {str(value): int(count) for value, count in counts.head(5).items()},
                "distinct": len(counts),
            }
            matters = share >= LEAST_UNSEEN
            found.append(
                Finding(name, "unseen values", float(p_value), matters=matters, details=details)
            )
        return found

    def _not_judged(self, known: Mapping) -> str | None:
        """Why something cannot be compared, None where it can be."""
        if known["cycle"] == "date":
            return "goes by the date"
        rows = self.with_history if known["looks_back"] else self.period.judged
        if rows.sum() < LEAST_ROWS:
            return f"needs {np.ceil(self.days):.0f} days of history without gaps (--history FILE)"
        if known["reads_labels"] and not self.labels_known:
            delay = self.reference["label_delay_days"]
            return f"needs is_fraud of the rows that are {delay:g} days old"
        if known["cycle"]:
            whole = whole_periods(self.period.transactions["timestamp"][rows], known["cycle"])
            if whole.sum() < LEAST_ROWS:
                return f"needs whole {known['cycle']}s"
        return None

    def _compared(
        self,
        name: str,
        kind: str,
        known: Mapping,
        counted: pd.Series,
        own: pd.DataFrame,
        values: pd.Series,
    ) -> Finding:
        """Compare what is counted in bins; values are those of the feature itself."""
        whole = whole_periods(own["timestamp"], known["cycle"])
        counted, own = counted[whole], own[whole].reset_index(drop=True)
        bins, before = bins_from(known["bins"]), Spread.from_dict(known["spread"])
        now = spread_of(bins, counted, own, known["cycle"])
        found = compare(before, now, self._counting(known, bins.codes(counted)))
        details = {
            **_figures_of(found),
            "rows": now.rows,
            "missing": [before.shares[-1], now.shares[-1]],
            "quantiles": [known["quantiles"], quantiles(values[whole])],
            "bins": bins.names(),
            "shares": [list(before.shares), list(now.shares)],
            "comparison": found,
        }
        matters = found.excess >= LEAST_PSI
        return Finding(name, kind, found.p_value, matters=matters, details=details)

    def _counting(self, known: Mapping, codes: np.ndarray) -> dict[str, float]:
        """How much of the likeness within customers and terminals counts, see `compare`."""
        counting = {}
        for kind, means in known.get("means", {}).items():
            if kind in self.changed:
                sketch = self.reference["members"][kind]
                alike = self.members[kind].alike(codes, sketch, means)
                counting[kind] = 1 - (1 - self.changed[kind]) * alike
        return counting

    def _alert_rate(self, scores: np.ndarray, own: pd.DataFrame) -> list[Finding]:
        threshold = self.detector.threshold
        if threshold is None:
            return []
        # From the kept scores, as the threshold may be another one by now.
        kept = self.detector.held_out_scores()
        bins = Bins(edges=(0.5,))
        before, now = (
            spread_of(bins, pd.Series(alerts(found, threshold).astype(np.float64)), rows)
            for found, rows in ((kept["score"].to_numpy(), kept), (scores, own))
        )
        # Alerts come in bursts, of which a short period may have had none: its likeness, or that of
        # the reference, whichever lets more happen by chance.
        found = max((compare(before, now, {}), compare(now, before, {})), key=lambda c: c.p_value)
        then, rate = before.shares[1], now.shares[1]
        low, high = sorted((then, rate))
        matters = high >= LEAST_RATIO * low and high - low >= LEAST_RATE
        details = {**_figures_of(found), "rates": [then, rate], "threshold": threshold}
        return [
            Finding("alert rate", "alert rate", found.p_value, matters=matters, details=details)
        ]

    def _figures(self, scores: np.ndarray, own: pd.DataFrame) -> list[Finding]:
        known = self.reference["ranking"]
        labels = own["is_fraud"] if "is_fraud" in own else pd.Series(np.nan, index=own.index)
        labelled = labels.notna().to_numpy()
        frauds = int((labels == 1).sum())
        findings = [Finding(name, "figure") for name in _FIGURES.values()]
        if min(frauds, known["frauds"]) < LEAST_FRAUDS:
            few = f"needs {LEAST_FRAUDS} known frauds, has {min(frauds, known['frauds'])}"
            for finding in findings:
                finding.not_judged = few
            return findings
        clusters = {k: v[labelled] for k, v in clusters_of(own).items()}
        found = ranking(
            labels[labelled].to_numpy(),
            scores[labelled],
            clusters,
            fraud_share=known["fraud_share"],
            replicates=REPLICATES,
        )
        for name, finding in zip(_FIGURES, findings, strict=True):
            fallen = fall(known[name], found[name])
            if fallen is None:
                finding.not_judged = "needs more customers"
                continue
            finding.p_value = float(stats.norm.sf(fallen))
            finding.matters = known[name]["value"] - found[name]["value"] >= LEAST_FALL[name]
            finding.details = {
                "before": known[name],
                "now": found[name],
                "labelled": int(labelled.sum()),
                "frauds": frauds,
                "fraud_share": [known["fraud_share"], found["fraud_share"]],
            }
        return findings


def _figures_of(found: Comparison) -> dict:
    return {
        "psi": found.psi,
        "expected": found.expected,
        "excess": found.excess,
        "design_effect": found.design_effect,
    }


def _decide(findings: list[Finding], alpha: float) -> None:
    """Correct all p-values by Holm (1979), and say what has drifted."""
    tested = sorted((f for f in findings if f.p_value is not None), key=lambda f: f.p_value)
    highest = 0.0
    for place, finding in enumerate(tested):
        highest = max(highest, min(1.0, finding.p_value * (len(tested) - place)))
        finding.p_corrected = highest
        finding.drift = finding.matters and highest < alpha
    for finding in findings:
        comparison = (finding.details or {}).pop("comparison", None)
        if comparison is not None:
            smallest = comparison.smallest_found(alpha / len(tested), LEAST_PSI)
            finding.details["smallest_psi"] = smallest
            # Between two normal distributions of one variance the index is the squared distance.
            finding.details["smallest_shift"] = float(np.sqrt(smallest))
