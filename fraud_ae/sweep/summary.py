"""What has been run, read back from an experiment's folder."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from fraud_ae.atomic_files import write_whole
from fraud_ae.errors import UserError
from fraud_ae.sweep.command_line import OUTPUTS
from fraud_ae.sweep.comparison import compare_experiments
from fraud_ae.sweep.comparison_tables import print_comparison
from fraud_ae.sweep.elsewhere import print_elsewhere, read_elsewhere
from fraud_ae.sweep.gate import DECISION, explain
from fraud_ae.sweep.leaderboard import read_leaderboard
from fraud_ae.sweep.result_tables import figure, print_model

COMPARISON = "experiments.csv"
_SWEEPS = ("features", "broad", "refined", "final")
_COLUMNS = ("final_auc", "average_precision", "precision", "recall", "f1")


def print_summary(pattern: str, settings: dict) -> None:
    """Print the summary of every experiment whose name matches, such as `*`.

    settings: the resolved pipeline configuration; with `wandb.read` it shows runs of others, too.

    Several are compared first, on the screen and in `experiments.csv`.
    Raises UserError if there is none, or where the comparison cannot be read or written.
    """
    folders = experiment_folders(pattern)
    console = Console(highlight=False)
    if len(folders) > 1:
        _compare(pattern, console)
    elsewhere = read_elsewhere(settings, {"group": {"$in": [folder.name for folder in folders]}})
    for folder in folders:
        _print_experiment(folder, console)
        if elsewhere and elsewhere.project:
            own = [run for run in elsewhere.runs if run.experiment == folder.name]
            here = [path.parent.name for path in folder.glob("runs/*/metrics.json")]
            print_elsewhere(replace(elsewhere, runs=tuple(own)), here, console)


def experiment_folders(pattern: str) -> list[Path]:
    """The folders of the experiments that have been run and whose names match, in order.

    Raises UserError if there is none.
    """
    folders = sorted(path.parent for path in OUTPUTS.glob(f"{pattern}/runs") if path.is_dir())
    if not folders:
        there = ", ".join(sorted(path.parent.name for path in OUTPUTS.glob("*/runs"))) or "none"
        raise UserError(f"{OUTPUTS / pattern}: nothing has been run (experiments: {there})")
    return folders


def _compare(pattern: str, console: Console) -> None:
    experiments = compare_experiments(OUTPUTS, pattern)
    print_comparison(experiments, console)
    path = OUTPUTS / COMPARISON
    try:
        write_whole(path, experiments.to_csv(index=False))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    console.print(f"  {path}", soft_wrap=True)


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
    print_model(folder, console)
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
                row["features"], count, figure(row["final_auc"]), figure(row["average_precision"])
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
        figures = [figure(best[name]) for name in _COLUMNS]
        table.add_row(stage, str(len(board)), *figures, str(best["run_id"])[:7])
    return table


def _right(table: Table, first: int, last: int | None = None) -> None:
    for column in table.columns[first:last]:
        column.justify = "right"
