"""Leaderboards: the results of a sweep, best first."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.runtime.kept_files import read_kept, write_kept

RESULT = "result.json"
# Only where anomalies were planted.
_PLANTED = (PLANTED_AUC, f"{PLANTED_AUC}_low", f"{PLANTED_AUC}_high")
_FIGURES = (
    "final_auc",
    "final_auc_low",
    "final_auc_high",
    "average_precision",
    "average_precision_low",
    "average_precision_high",
    "recall_at_1pct_fpr",
    "value_caught",
    "precision",
    "recall",
    "f1",
    "threshold",
    "alert_rate",
    "best_epoch",
    "epochs",
    "feature_count",
    "fraud_ratio",
    "train_seconds",
)


def read_results(sweep_folder: Path) -> list[dict]:
    """What the jobs of a sweep left, in the order in which they were started."""
    paths = sorted(sweep_folder.glob(f"*/{RESULT}"), key=lambda path: int(path.parent.name))
    return [json.loads(path.read_text()) for path in paths]


def ranked(results: list[dict]) -> list[dict]:
    """Distinct combinations, best first: by the objective, then by F1, then with fewer alerts.

    The others count between combinations that differ in the threshold alone; without labels there
    is no F1. Refused and failed jobs come last.
    """
    distinct = {json.dumps([r["choices"], r["parameters"]]): r for r in results}
    return sorted(distinct.values(), key=_merit)


def winners(results: list[dict], keep: int) -> list[dict]:
    """The best `keep` combinations that are different trainings and have a figure."""
    best: dict[str, dict] = {}
    for result in ranked(results):
        if _has_figure(result):
            best.setdefault(result["run_id"], result)
    return list(best.values())[:keep]


def leaderboard(results: list[dict]) -> pd.DataFrame:
    """A row for each combination, best first: rank, what was chosen, what it reached."""
    is_planted = any(PLANTED_AUC in result["metrics"] for result in results)
    names = (*_PLANTED, *_FIGURES) if is_planted else _FIGURES
    rows = []
    for rank, result in enumerate(ranked(results), start=1):
        figures = {name: result["metrics"].get(name) for name in names}
        others = {k: v for k, v in result["metrics"].items() if k in result["extra"]}
        rows.append(
            {
                "rank": rank,
                "run_id": result["run_id"],
                "status": result["status"],
                "reused": result["reused"],
                **{k: v for k, v in result["choices"].items() if v is not None},
                **result["parameters"],
                **figures,
                **others,
                "data": result["data"],
                "reason": result["reason"],
            }
        )
    return pd.DataFrame(rows)


def leaderboard_path(experiment_folder: Path, stage: str) -> Path:
    """Where the leaderboard of a stage lies."""
    return experiment_folder / "leaderboards" / f"{stage}.csv"


def write_leaderboard(experiment_folder: Path, stage: str, results: list[dict]) -> None:
    """Write the leaderboard of a stage as CSV."""
    text = leaderboard(results).to_csv(index=False)
    write_kept(leaderboard_path(experiment_folder, stage), text)


def read_leaderboard(experiment_folder: Path, stage: str) -> pd.DataFrame | None:
    """The leaderboard of a stage, or None where that stage has not been run."""
    return read_kept(leaderboard_path(experiment_folder, stage), _board)


def _board(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"run_id": "str"})


def tuning_gain(
    boards: Mapping[str, pd.DataFrame | None], objective: str, stage: str | None = None
) -> dict | None:
    """What tuning brought: the best of a sweep beside the best strategy before it.

    boards: stage -> leaderboard. stage: that the winner comes from, by default the last sweep; of
    `features` itself there is no gain. None where no sweep after that of the features has a figure
    of the same data, or the objective is not in both.
    """
    features = boards.get("features")
    later = [s for s in ("final", "refined", "broad") if boards.get(s) is not None]
    if features is None or not later:
        return None
    judged = stage if boards.get(stage or "") is not None else later[0]
    board = boards[judged]
    if objective not in features or objective not in board:
        return None
    untuned, tuned = features[objective].iloc[0], board[objective].iloc[0]
    if pd.isna(untuned) or pd.isna(tuned) or features["data"].iloc[0] != board["data"].iloc[0]:
        return None
    values = {"untuned": float(untuned), "tuned": float(tuned), "gain": float(tuned - untuned)}
    return {"stage": judged, "objective": objective, **values}


def _merit(result: dict) -> tuple[float, float, float]:
    if not _has_figure(result):
        return (math.inf, 0.0, 0.0)
    metrics = result["metrics"]
    f1 = metrics["f1"]
    has_f1 = f1 is not None and not math.isnan(f1)
    return (-result["objective"], -f1 if has_f1 else 0.0, metrics.get("alert_rate", 0.0))


def _has_figure(result: dict) -> bool:
    """Whether there is something to rank by: comparisons with NaN put it anywhere."""
    objective = result["objective"]
    return result["status"] == "finished" and objective is not None and not math.isnan(objective)
