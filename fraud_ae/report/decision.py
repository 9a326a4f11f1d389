"""The decision and the final figures, in words and side by side."""

import pandas as pd

from fraud_ae.detector.model_info import is_challenger
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.evaluation.planted_figures import planted_by_kind
from fraud_ae.report.results import SWEEPS, ExperimentResults
from fraud_ae.sweeps.leaderboard import tuning_gain
from fraud_ae.sweeps.winner import read_winner

# Name in the figures -> whether it is a share.
FIGURES = {
    PLANTED_AUC: False,
    "final_auc": False,
    "average_precision": False,
    "precision": True,
    "recall": True,
    "f1": False,
    "recall_at_1pct_fpr": True,
    "value_caught": True,
    "alert_rate": True,
}


def decision(results: ExperimentResults) -> dict:
    """What the gate decided, what has not been run, and what speaks against comparing stages."""
    return {
        "gate": _gate(results.decision),
        "not_run": [stage for stage in SWEEPS if stage not in results.boards],
        "stages": [stage for stage in SWEEPS if stage in results.boards],
        "tuning": tuning_gain(results.boards, results.objective, _winner(results).get("stage")),
        "other_data": _other_data(results),
    }


def _gate(decision: dict | None) -> dict | None:
    """The decision; `gain` is None where there is none that could be told from chance."""
    if decision is None:
        return None
    gain = decision["gain_over_baseline_strategy"]
    known = gain is not None and gain["low"] is not None
    return {**decision, "gain": gain if known and decision["best_strategy"] != "baseline" else None}


def _winner(results: ExperimentResults) -> dict:
    """What the model for production says of its winner."""
    return results.info["figures"]["winner"] if results.info else {}


def _contest(results: ExperimentResults) -> dict | None:
    """The candidates that competed with the winner, None where the model was made otherwise."""
    decision = read_winner(results.folder)
    if decision is None or decision["candidate"] != _winner(results).get("candidate"):
        return None
    return decision


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
        parts = {
            "validation": winner["validation"],
            "test": {k.replace("test_auc", "final_auc"): v for k, v in winner["test"].items()},
        }
    elif results.best:
        parts = {"validation": results.best}
    else:
        return None
    extra = (results.configuration or {}).get("metrics", {}).get("extra", {})
    return {
        "stage": results.stage,
        "strategy": results.strategy,
        "rows": [
            _row(name, is_share, parts)
            for name, is_share in (*FIGURES.items(), *((name, False) for name in extra))
            if any(not pd.isna(figures.get(name)) for figures in parts.values())
        ],
        "has_test": "test" in parts,
        "origin": {k: _winner(results).get(k) for k in ("candidate", "reason")},
        "contest": _contest(results),
        "planted": _planted(results),
        "deployed": _deployed(results.info) if results.info else None,
    }


def _planted(results: ExperimentResults) -> list[dict]:
    """Kinds of planted anomalies, with how they rank and which share is alerted on."""
    scored = results.planted_scores()
    if scored is None:
        return []
    return planted_by_kind(scored, results.threshold).to_dict("records")


def _row(name: str, is_share: bool, parts: dict[str, dict]) -> dict:
    cells = {
        part: {"value": figures.get(name)}
        | {end: figures.get(f"{name}_{end}") for end in ("low", "high")}
        for part, figures in parts.items()
    }
    values = [cell["value"] for cell in cells.values()]
    optimism = values[0] - values[1] if len(values) == 2 and None not in values else None
    return {"name": name, "is_share": is_share, **cells, "optimism": optimism}


def _deployed(info: dict) -> dict:
    deployed = info["figures"]["deployed"]
    policy = deployed["threshold_policy"]
    by_percentile = policy["method"] == "percentile"
    return {
        "test": None,
        **deployed,
        "challenger": is_challenger(info),
        "created": info["created"],
        "percentile": policy["percentile"],
        "alert_rate_asked": 1 - policy["percentile"] / 100 if by_percentile else None,
    }
