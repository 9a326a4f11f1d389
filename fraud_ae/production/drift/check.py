"""The check: what has drifted since a model was made, by transactions that came later."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold import alerts
from fraud_ae.production.drift.bins import Bins
from fraud_ae.production.drift.comparable import features_of
from fraud_ae.production.drift.findings import LEAST_PSI, Finding, correct
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
    correct(findings, alpha)
    judged_rows = period.transactions[period.judged]
    return {
        "drift": any(finding.drift for finding in findings),
        "alpha": alpha,
        "least_psi": LEAST_PSI,
        "period": {
            "from": judged_rows["timestamp"].iloc[0].isoformat(),
            "to": judged_rows["timestamp"].iloc[-1].isoformat(),
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
            kind: results.changed_weights(reference["members"][kind])
            for kind, results in self.members.items()
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
        results = []
        for name, known in self.reference["features"].items():
            reason = self._not_judged(known)
            if reason is None:
                judged_rows, features = parts[known["looks_back"]]
                counted = features[known["stands_for"] or name]
                results.append(
                    self._compared(name, "feature", known, counted, judged_rows, features[name])
                )
            else:
                results.append(Finding(name, "feature", not_judged=reason))
        return sorted(results, key=lambda f: -f.details["excess"] if f.details else np.inf)

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
        judged_rows = self.period.transactions[rows].reset_index(drop=True)
        values = pd.Series(scores.astype(np.float64))
        score = self._compared(
            "score", "score", {**known, "cycle": None}, values, judged_rows, values
        )
        return [score, *self._alert_rate(scores, judged_rows), *self._figures(scores, judged_rows)]

    def unseen(self) -> list[Finding]:
        """Values of categories that the training data did not have, the most frequent first."""
        judged_rows = self.period.transactions[self.period.judged].reset_index(drop=True)
        results = []
        for name, known in self.reference["categories"].items():
            if known["values"] is None or name in self.period.missing:
                continue
            new = judged_rows[name].notna() & ~judged_rows[name].isin(known["values"])
            share = float(new.mean())
            # Rows of one customer mostly have one value: customers are what comes by chance.
            owners = owners_of(judged_rows)
            bring, now = owners[new].nunique(), owners.nunique()
            # Both counts are of rare events; at least one is what another sample may have had.
            before = max(known["of_one"], 1)
            p_value = stats.binom.sf(bring - 1, bring + before, now / (now + known["of"]))
            counts = judged_rows[name][new].value_counts()
            details = {
                "share": share,
                "values": {str(value): int(count) for value, count in counts.head(5).items()},
                "distinct": len(counts),
            }
            matters = share >= LEAST_UNSEEN
            results.append(
                Finding(name, "unseen values", float(p_value), matters=matters, details=details)
            )
        return results

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
        judged_rows: pd.DataFrame,
        values: pd.Series,
    ) -> Finding:
        """Compare what is counted in bins; values are those of the feature itself."""
        whole = whole_periods(judged_rows["timestamp"], known["cycle"])
        counted, judged_rows = counted[whole], judged_rows[whole].reset_index(drop=True)
        bins, before = bins_from(known["bins"]), Spread.from_dict(known["spread"])
        now = spread_of(bins, counted, judged_rows, known["cycle"])
        results = compare(before, now, self._counting(known, bins.codes(counted)))
        details = {
            **_figures_of(results),
            "rows": now.rows,
            "missing": [before.shares[-1], now.shares[-1]],
            "quantiles": [known["quantiles"], quantiles(values[whole])],
            "bins": bins.names(),
            "shares": [list(before.shares), list(now.shares)],
            "comparison": results,
        }
        matters = results.excess >= LEAST_PSI
        return Finding(name, kind, results.p_value, matters=matters, details=details)

    def _counting(self, known: Mapping, codes: np.ndarray) -> dict[str, float]:
        """How much of the likeness within customers and terminals counts, see `compare`."""
        counting = {}
        for kind, means in known.get("means", {}).items():
            if kind in self.changed:
                sketch = self.reference["members"][kind]
                alike = self.members[kind].alike(codes, sketch, means)
                counting[kind] = 1 - (1 - self.changed[kind]) * alike
        return counting

    def _alert_rate(self, scores: np.ndarray, judged_rows: pd.DataFrame) -> list[Finding]:
        threshold = self.detector.threshold
        if threshold is None:
            return []
        # From the kept scores, as the threshold may be another one by now.
        kept = self.detector.held_out_scores()
        bins = Bins(edges=(0.5,))
        before, now = (
            spread_of(bins, pd.Series(alerts(results, threshold).astype(np.float64)), rows)
            for results, rows in ((kept["score"].to_numpy(), kept), (scores, judged_rows))
        )
        # Alerts come in bursts, of which a short period may have had none: its likeness, or that of
        # the reference, whichever lets more happen by chance.
        results = max((compare(before, now, {}), compare(now, before, {})), key=lambda c: c.p_value)
        then, rate = before.shares[1], now.shares[1]
        low, high = sorted((then, rate))
        matters = high >= LEAST_RATIO * low and high - low >= LEAST_RATE
        details = {**_figures_of(results), "rates": [then, rate], "threshold": threshold}
        return [
            Finding("alert rate", "alert rate", results.p_value, matters=matters, details=details)
        ]

    def _figures(self, scores: np.ndarray, judged_rows: pd.DataFrame) -> list[Finding]:
        known = self.reference["ranking"]
        labels = (
            judged_rows["is_fraud"]
            if "is_fraud" in judged_rows
            else pd.Series(np.nan, index=judged_rows.index)
        )
        labelled = labels.notna().to_numpy()
        frauds = int((labels == 1).sum())
        findings = [Finding(name, "figure") for name in _FIGURES.values()]
        if min(frauds, known["frauds"]) < LEAST_FRAUDS:
            few = f"needs {LEAST_FRAUDS} known frauds, has {min(frauds, known['frauds'])}"
            for finding in findings:
                finding.not_judged = few
            return findings
        clusters = {k: v[labelled] for k, v in clusters_of(judged_rows).items()}
        results = ranking(
            labels[labelled].to_numpy(),
            scores[labelled],
            clusters,
            fraud_share=known["fraud_share"],
            replicates=REPLICATES,
        )
        for name, finding in zip(_FIGURES, findings, strict=True):
            fallen = fall(known[name], results[name])
            if fallen is None:
                finding.not_judged = "needs more customers"
                continue
            finding.p_value = float(stats.norm.sf(fallen))
            finding.matters = known[name]["value"] - results[name]["value"] >= LEAST_FALL[name]
            finding.details = {
                "before": known[name],
                "now": results[name],
                "labelled": int(labelled.sum()),
                "frauds": frauds,
                "fraud_share": [known["fraud_share"], results["fraud_share"]],
            }
        return findings


def _figures_of(results: Comparison) -> dict:
    return {
        "psi": results.psi,
        "expected": results.expected,
        "excess": results.excess,
        "design_effect": results.design_effect,
    }
