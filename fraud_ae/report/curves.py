"""ROC and precision-recall curves, and how the networks were trained."""

import pandas as pd

from fraud_ae.evaluation.curves import precision_recall_points, roc_points
from fraud_ae.evaluation.labelled import labelled
from fraud_ae.evaluation.threshold import alerts
from fraud_ae.report.results import ExperimentResults
from fraud_ae.runtime.kept_files import read_kept

_DIGITS = 5


def score_curves(scored: dict[str, pd.DataFrame], chosen: float) -> dict[str, dict]:
    """Per part the points of both curves, and where the chosen threshold lies on them.

    scored: part -> scored frame. A part without both classes has no curve and is left out.
    """
    curves = {}
    for part, frame in scored.items():
        frame = labelled(frame)
        is_fraud, scores = frame["is_fraud"].to_numpy(), frame["score"].to_numpy()
        roc = roc_points(is_fraud, scores)
        if roc.empty:
            continue
        ranked = precision_recall_points(is_fraud, scores)
        fraud, flagged = is_fraud == 1, alerts(scores, chosen)
        caught = int((flagged & fraud).sum())
        curves[part] = {
            "false_positive_rate": _rounded(roc["false_positive_rate"]),
            "roc_recall": _rounded(roc["recall"]),
            "recall": _rounded(ranked["recall"]),
            "precision": _rounded(ranked["precision"]),
            "base_rate": float(fraud.mean()),
            "chosen": {
                "false_positive_rate": float((flagged & ~fraud).sum() / (~fraud).sum()),
                "recall": caught / int(fraud.sum()),
                "precision": caught / int(flagged.sum()) if flagged.any() else None,
            },
        }
    return curves


def training_curves(results: ExperimentResults) -> list[dict]:
    """Losses by epoch of the run that the report is about, and of the other final runs.

    Each has its run, its name, whether it is the best, epochs, train and validation losses.
    """
    board = results.boards.get("final")
    ranks = {} if board is None else dict(zip(board["run_id"], board["rank"], strict=True))
    ids = [results.best_run.name] if results.best_run else []
    ids += [run_id for run_id in ranks if not pd.isna(run_id) and run_id not in ids]
    curves = []
    for run_id in ids:
        path = results.folder / "runs" / run_id / "history.csv"
        history = read_kept(path, pd.read_csv)
        if history is None or history.empty:
            continue
        curves.append(
            {
                "run": run_id,
                "name": f"final {ranks[run_id]}" if run_id in ranks else f"run {run_id[:7]}",
                "is_best": run_id == ids[0],
                "epochs": history["epoch"].tolist(),
                "train": _rounded(history["train_loss"]),
                "validation": _rounded(history["val_loss"]),
            }
        )
    return curves


def _rounded(values: pd.Series) -> list[float]:
    """To five significant digits, which is more than can be seen."""
    return [float(f"{value:.{_DIGITS}g}") for value in values]
