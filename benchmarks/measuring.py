"""Shared by the benchmarks: options, alternating rounds, medians and ratios, a table and JSON."""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table


def parser(description: str, repeats: int | None = None) -> argparse.ArgumentParser:
    """A parser with `--json` and, if there is a default for it, `--repeats`."""
    new = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if repeats is not None:
        new.add_argument("--repeats", type=int, default=repeats, help="rounds of all sides")
    new.add_argument("--json", type=Path, help="also write the figures here")
    return new


def alternated(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each side, round by round, so that a machine that gets slower does so for all."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    console = Console(stderr=True, highlight=False)
    for number in range(repeats):
        for name, run in sides.items():
            console.print(f"round {number + 1} of {repeats}: {name}")
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def compared(seconds: Mapping[str, list[float]], rows: Mapping[str, int], ours: str) -> list[dict]:
    """A row for each side: median seconds and rate, and how many times faster than it ours is.

    rows: how many rows each side goes through. The ratio is the median of those of the rounds.
    """
    rates = {name: [rows[name] / s for s in values] for name, values in seconds.items()}
    return [
        {
            "side": name,
            "seconds": statistics.median(seconds[name]),
            "rows_per_second": statistics.median(rates[name]),
            "ours_is_faster": statistics.median(
                mine / theirs for mine, theirs in zip(rates[ours], rates[name], strict=True)
            ),
        }
        for name in seconds
    ]


def show(title: str, rows: list[dict], notes: str) -> None:
    """Print rows as a table; numbers are shown with three digits that count."""
    table = Table(title=title, box=SIMPLE, title_style="", pad_edge=False, padding=(0, 1, 0, 0))
    for name in rows[0]:
        justify = "left" if isinstance(rows[0][name], str) else "right"
        table.add_column(name.replace("_", " "), justify=justify)
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    console = Console(highlight=False)
    console.print(table)
    console.print(notes)


def write(path: Path | None, **figures: object) -> None:
    """Write the figures, and on what they were measured, as JSON."""
    if path is None:
        return
    machine = {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()}
    path.write_text(json.dumps({"machine": machine, **figures}, indent=2) + "\n")
    print(f"written to {path}")


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"
