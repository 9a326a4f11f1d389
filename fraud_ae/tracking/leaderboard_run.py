"""The ranking of a sweep as a W&B run of its own, which no single training could show."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from fraud_ae.tracking.target import TrackingTarget
from fraud_ae.tracking.tracker import track


def track_board(board: pd.DataFrame, label: str, target: TrackingTarget, folder: Path) -> None:
    """Log a leaderboard as a table, and as bars of its final_auc.

    board: see `leaderboard`. label: the column that names the bars, such as `features`. folder:
    where W&B keeps the run, which is called after it.
    """
    target = replace(target, tags=(*target.tags, "leaderboard"))
    with track(target, folder) as tracker:
        tracker.log_board(board, label)
