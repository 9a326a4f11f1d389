"""What has been run, read back from an experiment's folder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from fraud_ae.configuration.command_line import folder_name
from fraud_ae.configuration.job import Job
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.errors import UserError
from fraud_ae.experiments.result_tables import figure, print_model
from fraud_ae.pipeline.comparison import compare_experiments
from fraud_ae.pipeline.comparison_tables import print_comparison
from fraud_ae.pipeline.data_facts import read_data_facts
from fraud_ae.pipeline.gate import explain, read_decision
from fraud_ae.pipeline.remote_results import print_remote_results, read_remote_results
from fraud_ae.pipeline.version_tables import print_versions
from fraud_ae.runtime.atomic_files import write_whole
from fraud_ae.runtime.kept_files import parse_yaml, read_kept
from fraud_ae.sweeps.callback import BEST
from fraud_ae.sweeps.leaderboard import read_leaderboard, tuning_gain

COMPARISON = "experiments.csv"
_SWEEPS = ("features", "broad", "refined", "final")
_COLUMNS = ("final_auc", "average_precision", "precision", "recall", "f1")


def print_summary(outputs: Path, patterns: Sequence[str], job: Job | None = None) -> None:
    """Print the summary of every experiment whose name matches one of some patterns.

    outputs: the folder of all experiments. patterns: such as `*`. job: with its `wandb.read` it
    shows runs of others, too. Several are compared at the end, on the screen and in
    `experiments.csv`.

    Raises UserError if there is none, or where the comparison cannot be read or written.
    """
    folders = experiment_folders(outputs, patterns)
    console = Console(highlight=False)
    filters = {"group": {"$in": [folder.name for folder in folders]}}
    remote = read_remote_results(job, filters) if job else None
    for folder in folders:
        _print_experiment(folder, console)
        if remote and remote.project:
            runs = [run for run in remote.runs if run.experiment == folder.name]
            local_ids = [path.parent.name for path in folder.glob("runs/*/metrics.json")]
            print_remote_results(replace(remote, runs=tuple(runs)), local_ids, console)
    if len(folders) > 1:
        _compare(outputs, patterns, console)


def experiment_folders(outputs: Path, patterns: Sequence[str]) -> list[Path]:
    """The folders of the experiments that have been run and whose names match, in order.

    patterns: such as `*`, of which one has to match.

    Raises UserError if there is none, or where a pattern leads to another place.
    """
    patterns = [folder_name(pattern) for pattern in patterns]
    folders_found = {path.parent for each in patterns for path in outputs.glob(f"{each}/runs")}
    folders = sorted(folder for folder in folders_found if (folder / "runs").is_dir())
    if not folders:
        names = ", ".join(sorted(path.parent.name for path in outputs.glob("*/runs"))) or "none"
        asked = " or ".join(str(outputs / pattern) for pattern in patterns)
        raise UserError(f"{asked}: nothing has been run (experiments: {names})")
    return folders


def _compare(outputs: Path, patterns: Sequence[str], console: Console) -> None:
    experiments = compare_experiments(outputs, patterns)
    print_comparison(experiments, console)
    path = outputs / COMPARISON
    write_whole(path, experiments.to_csv(index=False))
    console.print(f"  {path}", soft_wrap=True)


def _print_experiment(folder: Path, console: Console) -> None:
    runs = len(list(folder.glob("runs/*/metrics.json")))
    console.print(f"\n[bold]{folder.name}[/bold]: {runs} finished runs in {folder / 'runs'}")
    boards = {stage: read_leaderboard(folder, stage) for stage in _SWEEPS}
    objective = _objective(folder)
    if boards["features"] is not None:
        console.print(_strategies(boards["features"], objective))
    if any(board is not None for board in boards.values()):
        console.print(_stages(boards, objective))
    for line in _skipped(boards):
        console.print(line, soft_wrap=True)
    tuning = tuning_gain(boards, objective, _stage_of_model(folder))
    if tuning and tuning["stage"] == "features":
        console.print("tuning did not help: the winner is a strategy as it was before tuning")
    elif tuning and tuning["gain"] < 0:
        console.print(
            f"tuning did not help: {objective} {tuning['tuned']:.4f} after the {tuning['stage']} "
            f"sweep, {tuning['untuned']:.4f} before tuning",
            soft_wrap=True,
        )
    data = {s: b["data"].iloc[0] for s, b in boards.items() if b is not None}
    if len(set(data.values())) > 1:
        console.print(
            "these stages saw different data, so do not compare them: "
            + ", ".join(f"{stage} {fingerprint[:8]}" for stage, fingerprint in data.items())
        )
    decision = read_decision(folder)
    if decision is not None:
        facts = read_data_facts(folder)
        overrides = facts["commands"][-1] if facts else [f"experiment={folder.name}"]
        explained = explain(decision, overrides)
        console.print(explained, soft_wrap=True)
    print_model(folder, console)
    print_versions(folder, console)
    files = [*folder.glob("*.yaml"), *folder.glob("leaderboards/*.csv")]
    for file in sorted(files):
        console.print(f"  {file}", soft_wrap=True)


def _skipped(boards: dict[str, pd.DataFrame | None]) -> list[str]:
    """Why results have no figures: strategies that were refused, trainings that failed."""
    return [
        f"{stage}: {row['features']} {row['status']}: {row['reason']}"
        for stage, board in boards.items()
        if board is not None
        for row in board[board["status"] != "finished"].to_dict("records")
    ]


def _objective(folder: Path) -> str:
    """What the sweeps of an experiment maximised."""
    return (read_kept(folder / BEST["features"], parse_yaml) or {}).get("objective", "final_auc")


def _stage_of_model(folder: Path) -> str | None:
    """The stage whose sweep found the winner of the model for production."""
    info = read_kept(folder / MODEL_INFO, parse_yaml)
    return info["figures"]["winner"].get("stage") if info else None


def _strategies(board: pd.DataFrame, objective: str) -> Table:
    names = _defined(_with_objective(("final_auc", "average_precision"), board, objective), [board])
    table = Table("strategy", "features", *map(_short, names), title="Strategies")
    _right(table, 1)
    for row in board.to_dict("records"):
        if row["status"] == "finished":
            figures = [figure(row[name]) for name in names]
            table.add_row(row["features"], f"{row['feature_count']:.0f}", *figures)
        else:
            table.add_row(row["features"], row["status"])
    return table


def _stages(boards: dict[str, pd.DataFrame | None], objective: str) -> Table:
    first = next(board for board in boards.values() if board is not None)
    run = [board for board in boards.values() if board is not None]
    names = _defined(_with_objective(_COLUMNS, first, objective), run)
    table = Table("stage", "results", *map(_short, names), "run")
    table.title = "The best of each stage, on validation"
    _right(table, 1, last=-1)
    for stage, board in boards.items():
        if board is None:
            table.add_row(stage, "not run")
            continue
        best = board.iloc[0]
        figures = [figure(best.get(name)) for name in names]
        table.add_row(stage, str(len(board)), *figures, str(best["run_id"])[:7])
    return table


def _with_objective(names: tuple[str, ...], board: pd.DataFrame, objective: str) -> tuple[str, ...]:
    """What the order of the rows comes from is shown too."""
    return names if objective in names or objective not in board else (objective, *names)


def _defined(names: tuple[str, ...], boards: list[pd.DataFrame]) -> list[str]:
    """The figures that some result has; without labels most are undefined."""
    return [name for name in names if any(board[name].notna().any() for board in boards)]


def _short(name: str) -> str:
    return {"average_precision": "AP", "precision": "prec", "planted_auc": "planted"}.get(
        name, name
    )


def _right(table: Table, first: int, last: int | None = None) -> None:
    for column in table.columns[first:last]:
        column.justify = "right"
