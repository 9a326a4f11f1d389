"""The gate: whether tuning is worth it, judged on the feature sweep."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from fraud_ae.configuration.parts import Gate
from fraud_ae.errors import UserError
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.experiments.identity import validation_set
from fraud_ae.experiments.paired_gain import paired_gain
from fraud_ae.runtime.kept_files import (
    parse_json,
    parse_yaml,
    read_checked,
    read_kept,
    write_kept_json,
)
from fraud_ae.sweeps.leaderboard import read_leaderboard
from fraud_ae.tracking.remote_runs import RemoteRun

DECISION = "decision.json"


def decide(
    folder: Path,
    gate: Gate,
    remote_runs: Sequence[RemoteRun] = (),
    objective: str = "final_auc",
) -> dict:
    """Judge the feature sweep of an experiment, and write `decision.json`.

    Tuning goes on if the best strategy's ROC AUC is above `baseline_auc`, and its gain over the
    `baseline` strategy is above `min_gain` even at the lower end of a 95 % interval: a paired
    bootstrap over the customers of the same validation rows. With `force` it goes on in any case.
    Where the baseline strategy was not among the strategies compared, only the first is asked.
    objective: what the sweep maximised; with `planted_auc` the ROC AUC is that of planted
    anomalies, and no label is read.

    remote_runs: feature sweeps of others. Those of the very same validation rows stand in where the
    baseline strategy was not run here; without its scores there is no interval, so that the gain
    itself has to be above `min_gain`. A better strategy of theirs is named, and is no candidate.

    Raises UserError if there is no feature sweep to judge.
    """
    board = read_leaderboard(folder, "features")
    figure = PLANTED_AUC if objective == PLANTED_AUC else "final_auc"
    finished = None
    if board is not None and figure in board:
        finished = board[board[figure].notna()]
    if finished is None or finished.empty:
        raise UserError(
            f"{folder}: no finished feature sweep with a {figure} to judge; "
            + ("validation rows of both classes are needed: " if figure == "final_auc" else "")
            + f"python train.py -m 'features=glob(*)' objective={objective}"
        )
    # The leaderboard is in order of the objective, which need not be the ROC AUC.
    best = finished.iloc[0]
    baseline = finished[finished["features"] == "baseline"]
    local = baseline.iloc[0] if len(baseline) else None
    others = _comparable(folder, finished, remote_runs, figure)
    remote = _best((run for run in others if run.strategy == "baseline"), figure)
    gain = None
    if local is not None:
        gain = paired_gain(folder / "runs", best["run_id"], local["run_id"], figure)
    elif remote is not None:
        gain = _point_gain(float(best[figure]) - remote.figures[figure])
    failed = _failed(best, gate.baseline_auc, gain, gate.min_gain, figure)
    decision = {
        "tune": gate.force or not failed,
        "forced": gate.force and bool(failed),
        "best_strategy": best["features"],
        "figure": figure,
        figure: float(best[figure]),
        "run_id": best["run_id"],
        "baseline_strategy_auc": _auc(local, remote, figure),
        "baseline_strategy_from": _described(remote, figure) if local is None else None,
        "best_elsewhere": _described(_best(others, figure), figure),
        "baseline_auc": gate.baseline_auc,
        "gain_over_baseline_auc": float(best[figure]) - gate.baseline_auc,
        "gain_over_baseline_strategy": gain,
        "min_gain": gate.min_gain,
        "failed": failed,
    }
    write_kept_json(folder / DECISION, decision)
    return decision


def read_decision(folder: Path) -> dict | None:
    """What `decide` wrote into the folder of an experiment, None where it did not."""
    return read_kept(folder / DECISION, parse_json)


def _comparable(
    folder: Path, board: pd.DataFrame, remote_runs: Sequence[RemoteRun], figure: str
) -> list[RemoteRun]:
    """Runs of others whose figures are of the same validation rows, and which are not here."""
    if not remote_runs:
        return []
    first = read_checked(folder / "runs" / board["run_id"].iloc[0] / "config.yaml", parse_yaml)
    rows = validation_set(first["data"]["fingerprint"], first["data"]["split"])
    local_ids = set(board["run_id"])
    return [
        run
        for run in remote_runs
        if run.validation_set == rows and run.run_id not in local_ids and figure in run.figures
    ]


def _best(runs: Iterable[RemoteRun], figure: str) -> RemoteRun | None:
    return max(runs, key=lambda run: run.figures[figure], default=None)


def _auc(local: pd.Series | None, remote: RemoteRun | None, figure: str) -> float | None:
    if local is not None:
        return float(local[figure])
    return None if remote is None else remote.figures[figure]


def _described(run: RemoteRun | None, figure: str) -> dict | None:
    """Where a figure comes from."""
    if run is None:
        return None
    return {
        "strategy": run.strategy,
        figure: run.figures[figure],
        "run_id": run.run_id,
        "user": run.user,
        "url": run.url,
    }


def _point_gain(difference: float) -> dict:
    """A gain without the scores that an interval is made of."""
    return {"difference": difference, "low": difference, "high": None, "confidence": None}


def _failed(
    best: pd.Series, baseline_auc: float, gain: dict | None, min_gain: float, figure: str
) -> list[str]:
    """What speaks against tuning, in words."""
    failed = []
    name = f"the best strategy, {best['features']},"
    if best[figure] <= baseline_auc:
        reached = f"{best[figure]:.4f}, not above gate.baseline_auc={baseline_auc}"
        failed.append(f"{name} reaches {reached}")
    if gain is not None and best["features"] == "baseline":
        failed.append("no strategy is better than the baseline strategy")
    elif gain is not None and (gain["low"] is None or gain["low"] <= min_gain):
        failed.append(
            f"{name} gains {gain['difference']:+.4f} on the baseline strategy; {_bound(gain)} is "
            f"not above gate.min_gain={min_gain}"
        )
    return failed


def _bound(gain: dict) -> str:
    """What has to be above the least gain."""
    if gain["confidence"] is None:
        return "that"
    low = "unknown" if gain["low"] is None else f"{gain['low']:+.4f}"
    return f"the lower end of the interval, {low},"


def _from_wandb(described: dict) -> str:
    return f"{described['strategy']}, run by {described['user']}, {described['url']}"


def explain(decision: dict, overrides: Sequence[str] = ()) -> str:
    """The decision in a few lines for the screen. overrides: those of the pipeline's command."""
    local, gain = decision["baseline_strategy_auc"], decision["gain_over_baseline_strategy"]
    figure = decision["figure"]
    lines = [
        f"gate: {'tune' if decision['tune'] else 'stop'}"
        + (" (gate.force=true)" if decision["forced"] else "")
        + (", by planted anomalies, as no label is read" if figure == PLANTED_AUC else ""),
        f"  best strategy       {decision[figure]:.4f}  {decision['best_strategy']}",
        "  baseline strategy   " + ("not compared" if local is None else f"{local:.4f}"),
        f"  gate.baseline_auc   {decision['baseline_auc']:.4f}",
    ]
    if decision["baseline_strategy_from"]:
        lines[-2] += f"  {_from_wandb(decision['baseline_strategy_from'])}"
    other = decision["best_elsewhere"]
    if other and other[figure] > decision[figure]:
        lines.append(f"  best elsewhere      {other[figure]:.4f}  {_from_wandb(other)}")
        lines.append(f"    not run here: python train.py features={other['strategy']}")
    if gain is not None and gain["confidence"] is None:
        lines.append(
            f"  gain on baseline    {gain['difference']:+.4f}, without an interval: its scores are "
            "elsewhere"
        )
    elif gain is not None and gain["low"] is not None:
        lines.append(
            f"  gain on baseline    {gain['difference']:+.4f}, "
            f"{gain['confidence']:.0%} {gain['low']:+.4f} to {gain['high']:+.4f}, "
            f"gate.min_gain {decision['min_gain']}"
        )
    if figure == PLANTED_AUC and decision["tune"]:
        lines.append(
            "  settings chosen so need not be better than the usual ones, as measured in docs/"
        )
    lines += [f"  {reason}" for reason in decision["failed"]]
    if not decision["tune"]:
        again = shlex.join(["python", "pipeline.py", *overrides, "gate.force=true"])
        lines.append(f"  To tune all the same: {again}")
    return "\n".join(lines)
