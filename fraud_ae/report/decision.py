"""The decision and the final figures, in words and side by side."""

from fraud_ae.detector.model_info import is_challenger
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.evaluation.planted_figures import planted_by_kind
from fraud_ae.report.results import SWEEPS, ExperimentResults
from fraud_ae.sweeps.leaderboard import tuning_gain

# Name in the figures, name in the report, whether it is a share.
FIGURES = (
    (PLANTED_AUC, "ROC AUC of planted anomalies", False),
    ("final_auc", "ROC AUC", False),
    ("average_precision", "average precision", False),
    ("precision", "precision", True),
    ("recall", "recall", True),
    ("f1", "F1", False),
    ("recall_at_1pct_fpr", "recall at 1 % false positives", True),
    ("value_caught", "fraud value caught", True),
    ("alert_rate", "alert rate", True),
)


def decision(results: ExperimentResults) -> dict:
    """What the gate decided, what has not been run, and what speaks against comparing stages."""
    return {
        "gate": _gate(results.decision),
        "not_run": [stage for stage in SWEEPS if stage not in results.boards],
        "stages": [stage for stage in SWEEPS if stage in results.boards],
        "tuning": tuning_gain(results.boards, results.objective),
        "other_data": _other_data(results),
    }


def _gate(decision: dict | None) -> dict | None:
    if decision is None:
        return None
    gain = decision["gain_over_baseline_strategy"]
    known = gain is not None and gain["low"] is not None
    return {
        "tune": decision["tune"],
        "forced": decision["forced"],
        "strategy": decision["best_strategy"],
        "auc": decision[decision["figure"]],
        "figure": decision["figure"],
        "asked": decision["baseline_auc"],
        "baseline": decision["baseline_strategy_auc"],
        "gain": gain if known and decision["best_strategy"] != "baseline" else None,
        "baseline_from": decision["baseline_strategy_from"],
        "elsewhere": decision["best_elsewhere"],
        "min_gain": decision["min_gain"],
        "failed": decision["failed"],
    }


def _other_data(results: ExperimentResults) -> dict[str, str]:
    """Fingerprint of what each stage saw, where they did not all see the same transactions."""
    seen = {stage: str(board["data"].iloc[0]) for stage, board in results.boards.items()}
    if results.info:
        seen["production"] = results.info["data"]["fingerprint"]
    return seen if len(set(seen.values())) > 1 else {}


def final_figures(results: ExperimentResults) -> dict | None:
    """Figures of the run that the report is about: validation, and test once there is a model.

    None where no run has a figure.
    """
    if results.info:
        winner = results.info["figures"]["winner"]
        validation, test = winner["validation"], _as_validation(winner["test"])
    elif results.best:
        validation, test = results.best, None
    else:
        return None
    return {
        "run": results.best_run.name,
        "stage": results.stage,
        "strategy": results.strategy,
        "threshold": results.threshold,
        "rows": [
            _row(name, label, is_share, validation, test)
            for name, label, is_share in FIGURES
            if any(part and part.get(name) is not None for part in (validation, test))
        ],
        "extra": [
            _row(name, name, False, validation, test)
            for name in (results.configuration or {}).get("metrics", {}).get("extra", {})
            if name in validation
        ],
        "has_test": test is not None,
        "planted": _planted(results),
        "deployed": _deployed(results.info) if results.info else None,
    }


def _planted(results: ExperimentResults) -> list[dict]:
    """Kinds of planted anomalies, with how they rank and which share is alerted on."""
    scored = results.planted_scores()
    if scored is None:
        return []
    return planted_by_kind(scored, results.threshold).to_dict("records")


def _as_validation(test: dict) -> dict:
    return {name.replace("test_auc", "final_auc"): value for name, value in test.items()}


def _row(name: str, label: str, is_share: bool, validation: dict, test: dict | None) -> dict:
    parts = {"validation": validation, **({} if test is None else {"test": test})}
    cells = {
        part: {
            "value": figures.get(name),
            "low": figures.get(f"{name}_low"),
            "high": figures.get(f"{name}_high"),
        }
        for part, figures in parts.items()
    }
    values = [cells[part]["value"] for part in cells]
    optimism = values[0] - values[1] if test is not None and None not in values else None
    return {"key": name, "name": label, "is_share": is_share, **cells, "optimism": optimism}


def _deployed(info: dict) -> dict:
    deployed = info["figures"]["deployed"]
    policy = deployed["threshold_policy"]
    test = deployed.get("test")
    return {
        "challenger": is_challenger(info),
        "created": info["created"],
        "fitted_on": deployed["fitted_on"],
        "threshold": deployed["threshold"],
        "threshold_from": deployed["threshold_from"],
        "method": policy["method"],
        "asked": 1 - policy["percentile"] / 100 if policy["method"] == "percentile" else None,
        "percentile": policy["percentile"],
        "alert_rate": test["alert_rate"] if test else None,
        "test": _as_validation(test) if test else None,
        "labels": info["labels"],
    }
