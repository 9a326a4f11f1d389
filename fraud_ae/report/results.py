"""What an experiment's folder holds: all that a report is made of, read once."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_ae.audit.stored import read_audits
from fraud_ae.experiments.run_store import PLANTED_SCORES, SCORES, TEST_SCORES
from fraud_ae.pipeline.data_facts import read_data_facts
from fraud_ae.pipeline.gate import read_decision
from fraud_ae.runtime.kept_files import parse_json, parse_yaml, read_kept
from fraud_ae.scorers.scorer import SCORER_FILE
from fraud_ae.sweeps.leaderboard import read_leaderboard

SWEEPS = ("features", "broad", "refined", "final")
# By name, as importing it takes longer than writing a report.
_CALIBRATED = "fraud_ae.scorers.calibrated.CalibratedScorer"


class ExperimentResults:
    """An experiment as its folder has it; what has not been run is None, or not in `boards`.

    boards: stage -> leaderboard. decision: of the gate. info: of the model for production. data:
    facts about the transactions, see `write_data_facts`. audits: strategy -> its audit. best: the
    row of a leaderboard whose run the report is about, and its stage: the winner of the model for
    production, or else the first of the latest sweep. configuration: resolved, of the model, or
    else of the best of the latest sweep.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        boards = {stage: read_leaderboard(folder, stage) for stage in SWEEPS}
        self.boards = {stage: board for stage, board in boards.items() if board is not None}
        self.decision = read_decision(folder)
        self.info = read_kept(folder / "model_info.yaml", parse_yaml)
        self.data, self.audits = read_data_facts(folder), read_audits(folder)
        self.best, self.stage = _best(self.boards, self.info)
        names = ("final_config.yaml", "best_features.yaml")
        best = (read_kept(folder / name, parse_yaml) for name in names)
        configurations = [self.info["configuration"]] if self.info else best
        self.configuration = next(filter(None, configurations), None)

    @property
    def objective(self) -> str:
        """The name of the figure that the sweeps maximised."""
        return (self.configuration or {}).get("objective", "final_auc")

    @property
    def best_run(self) -> Path | None:
        """The folder of the run that the report is about."""
        best = self.info["figures"]["winner"] if self.info else self.best
        run_id = best["run_id"] if best else None
        return self.folder / "runs" / run_id if run_id else None

    @property
    def threshold(self) -> float | None:
        """The threshold that was chosen for that run."""
        if self.info:
            return self.info["figures"]["winner"]["validation"]["threshold"]
        return self.best["threshold"] if self.best else None

    @property
    def strategy(self) -> str | None:
        """The feature strategy of that run."""
        return self.best["features"] if self.best else None

    @property
    def has_probabilities(self) -> bool:
        """Whether the scores of that run are probabilities: of a scorer that was calibrated.

        The run's own scorer says so, and not that of the model for production, which is another
        fit. One that fell back gives errors, or odds that nothing has been compared with.
        """
        model = self.best_run / "model" if self.best_run else None
        if model is None:
            return False
        # Read as data: a scorer of the user's own need not be there to be imported.
        detector, scorer = (
            read_kept(model / name, parse_json) for name in ("detector.json", SCORER_FILE)
        )
        if detector is None or scorer is None:
            return False
        return detector["scorer"] == _CALIBRATED and scorer["fallback"] is None

    def scores(self) -> dict[str, pd.DataFrame]:
        """Scored frames of that run: validation and, once there is a model, test."""
        paths = {}
        if self.best_run:
            paths["validation"] = self.best_run / SCORES
        if self.info:
            paths["test"] = self.folder / "runs" / self.info["run_id"] / TEST_SCORES
        columns = ["timestamp", "amount", "is_fraud", "score"]
        frames = {
            part: read_kept(path, partial(pd.read_parquet, columns=columns))
            for part, path in paths.items()
        }
        return {part: frame for part, frame in frames.items() if frame is not None}

    def planted_scores(self) -> pd.DataFrame | None:
        """Planted scores of that run: of the test rows once there is a model, else validation.

        None where no anomaly was planted.
        """
        folder = self.folder / "runs" / self.info["run_id"] if self.info else self.best_run
        return read_kept(folder / PLANTED_SCORES, pd.read_parquet) if folder else None


def _best(boards: dict[str, pd.DataFrame], info: dict | None) -> tuple[dict | None, str | None]:
    winner = info["figures"]["winner"] if info else {}
    wanted = winner.get("run_id")
    # Several sweeps may have made the same run; the model says which one its winner is of.
    own = [stage for stage in boards if stage == winner.get("stage")]
    for stage in (*own, *reversed(boards)):
        for row in boards[stage].to_dict("records"):
            is_best = row["run_id"] == wanted if info else row["status"] == "finished"
            if is_best and not pd.isna(row["run_id"]):
                return row, stage
    return None, None


def plain(value: object) -> object:
    """Plain Python values, with None for what is missing or no finite number."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NaT or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
