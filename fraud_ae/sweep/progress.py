"""The view of a running sweep: how far it is, the best so far, the time left."""

import threading
import time
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from fraud_ae.sweep.leaderboard import RESULT, ranked, read_results

_POLL_SECONDS = 0.5


class SweepView(threading.Thread):
    """Shows the results that jobs leave in a sweep's folder, from whichever process they come.

    On a terminal one live view; elsewhere a line for each job.
    """

    def __init__(self, stage: str, total: int, folder: Path, objective: str) -> None:
        super().__init__(daemon=True)
        self.stage = stage
        self.total = total
        self.folder = folder
        self.objective = objective
        self.console = Console(highlight=False)
        self.results: list[dict] = []
        self._start_time = time.monotonic()
        self._ended = threading.Event()
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
        )
        self._task = self._progress.add_task(stage, total=total, left="")

    def run(self) -> None:
        """Follow the sweep until `close`."""
        if not self.console.is_terminal:
            while not self._ended.wait(_POLL_SECONDS):
                self._print_new()
            self._print_new()
            return
        with Live(self._render(), console=self.console, refresh_per_second=4) as live:
            while not self._ended.wait(_POLL_SECONDS):
                live.update(self._render())
            live.update(self._render())

    def close(self) -> None:
        """Show what came last, and end."""
        self._ended.set()
        self.join()

    def _print_new(self) -> None:
        shown = len(self.results)
        self._read()
        for number, result in enumerate(self.results[shown:], start=shown + 1):
            self.console.print(
                f"{self.stage} {number}/{self.total}  {self._describe(result)}", soft_wrap=True
            )

    def _read(self) -> None:
        if len(list(self.folder.glob(f"*/{RESULT}"))) > len(self.results):
            self.results = read_results(self.folder)

    def _render(self) -> Group:
        self._read()
        done = len(self.results)
        self._progress.update(self._task, completed=done, left=self._time_left(done))
        lines: list = [self._progress]
        if done:
            best = ranked(self.results)[0]
            lines.append(Text(f"best  {self._describe(best)}", overflow="ellipsis", no_wrap=True))
            last = self.results[-1]
            lines.append(Text(f"last  {self._describe(last)}", overflow="ellipsis", no_wrap=True))
        return Group(*lines)

    def _time_left(self, done: int) -> str:
        if not done or done >= self.total:
            return ""
        seconds = (time.monotonic() - self._start_time) / done * (self.total - done)
        left = f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
        return f"about {left} left"

    def _describe(self, result: dict) -> str:
        if result["status"] != "finished":
            return f"{_name(result)}  {result['status']}: {result['reason']}"
        objective = result["objective"]
        value = "undefined" if objective is None else f"{objective:.4f}"
        reused = "  (reused)" if result["reused"] else ""
        return f"{self.objective} {value}  {_name(result)}{reused}"


def _name(result: dict) -> str:
    candidate = result["choices"].get("candidate")
    parameters = " ".join(f"{k.split('.')[-1]}={v}" for k, v in result["parameters"].items())
    return " ".join(filter(None, [candidate, result["choices"]["features"], parameters]))
