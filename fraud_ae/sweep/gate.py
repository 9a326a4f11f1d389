"""The gate: whether tuning is worth it, judged on the feature sweep."""

from pathlib import Path

import pandas as pd

from fraud_ae.atomic_files import write_json
from fraud_ae.errors import UserError
from fraud_ae.sweep.leaderboard import read_leaderboard

DECISION = "decision.json"


def decide(folder: Path, baseline_auc: float, force: bool) -> dict:
    """Judge the feature sweep of an experiment, and write `decision.json`.

    Tuning goes on if the best strategy's final_auc is above `baseline_auc` and above that of the
    `baseline` strategy, or in any case with `force`. Where the baseline strategy was not among the
    strategies compared, only the first is asked.

    Raises UserError if there is no feature sweep to judge.
    """
    board = read_leaderboard(folder, "features")
    finished = None if board is None else board[board["final_auc"].notna()]
    if finished is None or finished.empty:
        raise UserError(
            f"{folder}: no finished feature sweep with a ROC AUC to judge; validation rows of "
            "both classes are needed: python train.py -m 'features=glob(*)'"
        )
    # The leaderboard is in order of the objective, which need not be the ROC AUC.
    best = finished.iloc[0]
    baseline = finished[finished["features"] == "baseline"]
    own = float(baseline["final_auc"].iloc[0]) if len(baseline) else None
    failed = _failed(best, baseline_auc, own)
    decision = {
        "tune": force or not failed,
        "forced": force and bool(failed),
        "best_strategy": best["features"],
        "final_auc": float(best["final_auc"]),
        "run_id": best["run_id"],
        "baseline_strategy_auc": own,
        "baseline_auc": baseline_auc,
        "gain_over_baseline_strategy": None if own is None else float(best["final_auc"]) - own,
        "gain_over_baseline_auc": float(best["final_auc"]) - baseline_auc,
        "failed": failed,
    }
    write_json(folder / DECISION, decision)
    return decision


def _failed(best: pd.Series, baseline_auc: float, own: float | None) -> list[str]:
    """What speaks against tuning, in words."""
    failed = []
    reached = f"the best strategy, {best['features']}, reaches {best['final_auc']:.4f}"
    if best["final_auc"] <= baseline_auc:
        failed.append(f"{reached}, not above gate.baseline_auc={baseline_auc}")
    if own is not None and best["final_auc"] <= own:
        failed.append(f"{reached}, not above the {own:.4f} of the baseline strategy")
    return failed


def explain(decision: dict) -> str:
    """The decision in a few lines for the screen."""
    own = decision["baseline_strategy_auc"]
    lines = [
        f"gate: {'tune' if decision['tune'] else 'stop'}"
        + (" (gate.force=true)" if decision["forced"] else ""),
        f"  best strategy       {decision['final_auc']:.4f}  {decision['best_strategy']}",
        "  baseline strategy   " + ("not compared" if own is None else f"{own:.4f}"),
        f"  gate.baseline_auc   {decision['baseline_auc']:.4f}",
    ]
    lines += [f"  {reason}" for reason in decision["failed"]]
    if not decision["tune"]:
        lines.append("  To tune all the same: python pipeline.py gate.force=true")
    return "\n".join(lines)
