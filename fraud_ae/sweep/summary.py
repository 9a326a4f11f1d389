"""What has been run, read back from an experiment's folder."""

import json
from pathlib import Path

import pandas as pd
import yaml
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from fraud_ae.errors import UserError
from fraud_ae.model_info import flat_metrics
from fraud_ae.sweep.command_line import OUTPUTS
from fraud_ae.sweep.gate import DECISION, explain
from fraud_ae.sweep.leaderboard import read_leaderboard

_SWEEPS = ("features", "broad", "refined", "final")
_COLUMNS = ("final_auc", "average_precision", "precision", "recall", "f1")


def print_summary(pattern: str) -> None:
    """Print the summary of every experiment whose name matches, such as `*`.

    Raises UserError if there is none.
    """
    folders = sorted(path.parent for path in OUTPUTS.glob(f"{pattern}/runs") if path.is_dir())
    if not folders:
        there = ", ".join(sorted(path.parent.name for path in OUTPUTS.glob("*/runs"))) or "none"
        raise UserError(f"{OUTPUTS / pattern}: nothing has been run (experiments: {there})")
    console = Console(highlight=False)
    for folder in folders:
        _print_experiment(folder, console)


def _print_experiment(folder: Path, console: Console) -> None:
    runs = len(list(folder.glob("runs/*/metrics.json")))
    console.print(f"\n[bold]{folder.name}[/bold]: {runs} finished runs in {folder / 'runs'}")
    boards = {stage: read_leaderboard(folder, stage) for stage in _SWEEPS}
    if boards["features"] is not None:
        console.print(_strategies(boards["features"]))
    if any(board is not None for board in boards.values()):
        console.print(_stages(boards))
    data = {s: b["data"].iloc[0] for s, b in boards.items() if b is not None}
    if len(set(data.values())) > 1:
        console.print(
            "these stages saw different data, so do not compare them: "
            + ", ".join(f"{stage} {fingerprint[:8]}" for stage, fingerprint in data.items())
        )
    decision = folder / DECISION
    if decision.is_file():
        console.print(explain(json.loads(decision.read_text())))
    _print_model(folder, console)
    files = [*folder.glob("*.yaml"), *folder.glob("leaderboards/*.csv")]
    for file in sorted(files):
        console.print(f"  {file}", soft_wrap=True)


def _strategies(board: pd.DataFrame) -> Table:
    table = Table("strategy", "features", "final_auc", "AP", title="Strategies")
    _right(table, 1)
    for row in board.to_dict("records"):
        if row["status"] == "finished":
            count = f"{row['feature_count']:.0f}"
            table.add_row(
                row["features"], count, _figure(row["final_auc"]), _figure(row["average_precision"])
            )
        else:
            table.add_row(row["features"], row["status"], "", "")
    return table


def _stages(boards: dict[str, pd.DataFrame | None]) -> Table:
    table = Table("stage", "results", "final_auc", "AP", "prec", "recall", "f1", "run")
    table.title = "The best of each stage, on validation"
    _right(table, 1, last=-1)
    for stage, board in boards.items():
        if board is None:
            table.add_row(stage, "not run")
            continue
        best = board.iloc[0]
        figures = [_figure(best[name]) for name in _COLUMNS]
        table.add_row(stage, str(len(board)), *figures, str(best["run_id"])[:7])
    return table


def _print_model(folder: Path, console: Console) -> None:
    path = folder / "model_info.yaml"
    if not path.is_file():
        console.print("no production model yet")
        return
    info = yaml.safe_load(path.read_text())
    flat = flat_metrics(info["figures"])
    deployed = info["figures"]["deployed"]
    console.print(f"production model of {info['created'][:16]}: {folder / 'models/final_model'}")
    console.print(
        f"  winner    fitted on train, ROC AUC {_figure(flat['final_auc'])} on validation, "
        f"{_figure(flat['test_auc'])} on test"
    )
    console.print(
        f"  deployed  fitted on {deployed['fitted_on']}, threshold {deployed['threshold']:.4f}"
    )
    if "test" in deployed:
        console.print(
            f"            alerts on {deployed['test']['alert_rate']:.2%} of the test rows, "
            f"{_asked(deployed['threshold_policy'])}"
        )
    parameters = {
        **{k: v for k, v in info["configuration"]["model"].items() if k != "_target_"},
        **{k: info["configuration"]["trainer"][k] for k in ("learning_rate", "batch_size")},
    }
    shown = ", ".join(f"{name}={value}" for name, value in parameters.items())
    console.print(Padding(shown, (0, 0, 0, 2)))


def _asked(policy: dict) -> str:
    if policy["method"] == "percentile":
        return f"{1 - policy['percentile'] / 100:.2%} asked"
    return f"threshold.method={policy['method']}"


def _right(table: Table, first: int, last: int | None = None) -> None:
    for column in table.columns[first:last]:
        column.justify = "right"


def _figure(value: float | None) -> str:
    return "undefined" if value is None or pd.isna(value) else f"{value:.4f}"
