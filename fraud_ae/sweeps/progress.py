"""The view of a running sweep: how far it is, the best so far, the time left."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from fraud_ae.runtime.stopping import undone_when_stopped
from fraud_ae.sweeps.leaderboard import RESULT, ranked

_POLL_SECONDS = 0.5
# Below the folder of a sweep: how far the trainings are that go on, a file of JSON for each.
PROGRESS = "progress"


class SweepView:
    """Shows the results that jobs leave in a sweep's folder, from whichever process they come.

    On a terminal one live view; elsewhere a line for each job.
    """

    def __init__(
        self, stage: str, total: int, folder: Path, objective: str, swept: list[str]
    ) -> None:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.swept = swept
        self.stage = stage
        self.total = total
        self.folder = folder
        self.objective = objective
        self.console = Console(highlight=False)
        self.results: list[dict] = []
        self._seen: set[Path] = set()
        self._started = time.monotonic()
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

    def start(self) -> None:
        """Begin to follow the sweep."""
        self._thread.start()

    def close(self) -> None:
        """Show what came last, and end."""
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        if not self.console.is_terminal:
            while not self._ended.wait(_POLL_SECONDS):
                self._print_new()
            self._print_new()
            return
        shown = Live(self._render(), console=self.console, refresh_per_second=4)
        # Which gives the cursor back.
        with undone_when_stopped(shown.stop), shown as live:
            while not self._ended.wait(_POLL_SECONDS):
                live.update(self._render())
            live.update(self._render())

    def _print_new(self) -> None:
        count = len(self.results)
        self._read()
        for number, result in enumerate(self.results[count:], start=count + 1):
            best = ranked(self.results[:number])[0]["objective"]
            reached = "" if best is None else f"  best {best:.4f}"
            self.console.print(
                f"{self.stage} {number}/{self.total}{reached}  {self._describe(result)}",
                soft_wrap=True,
            )

    def _read(self) -> None:
        """Add what is new, in the order in which it came."""
        new = set(self.folder.glob(f"*/{RESULT}")) - self._seen
        self._seen |= new
        for path in sorted(new, key=lambda path: path.stat().st_mtime_ns):
            self.results.append(json.loads(path.read_text()))

    def _render(self) -> Group:
        self._read()
        done = len(self.results)
        self._progress.update(self._task, completed=done, left=self._time_left(done))
        lines: list = [self._progress, *map(Text, self._in_training())]
        if done:
            best = ranked(self.results)[0]
            lines.append(Text(f"best  {self._describe(best)}", overflow="ellipsis", no_wrap=True))
            last = self.results[-1]
            lines.append(Text(f"last  {self._describe(last)}", overflow="ellipsis", no_wrap=True))
        return Group(*lines)

    def _in_training(self) -> Iterator[str]:
        """A line for each loop that goes on."""
        for path in sorted((self.folder / PROGRESS).glob("*.json")):
            try:
                progress = json.loads(path.read_text())
            except FileNotFoundError:  # it has just ended
                continue
            together = (
                f"{progress['networks']} networks together"
                if progress["networks"] > 1
                else "1 network"
            )
            yield f"train {together}: epoch {progress['epoch']} of {progress['epochs']}"

    def _time_left(self, done: int) -> str:
        if not done or done >= self.total:
            return ""
        seconds = (time.monotonic() - self._started) / done * (self.total - done)
        left = f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
        return f"about {left} left"

    def _describe(self, result: dict) -> str:
        name = self._name(result)
        if result["status"] != "finished":
            return f"{name}  {result['status']}: {result['reason']}"
        objective = result["objective"]
        value = "undefined" if objective is None else f"{objective:.4f}"
        reused = f"  ({self._reused(result)})" if result["reused"] else ""
        return f"{self.objective} {value}  {name}{reused}"

    def _reused(self, result: dict) -> str:
        shared = any(r["run_id"] == result["run_id"] and not r["reused"] for r in self.results)
        return "shares a training" if shared else "already trained"

    def _name(self, result: dict) -> str:
        groups = [result["choices"][g] for g in ("candidate", "features") if g in self.swept]
        values = result["parameters"].items()
        varied = [f"{key.split('.')[-1]}={value}" for key, value in values if key in self.swept]
        # Of a single job nothing is varied.
        return " ".join([*groups, *varied]) or result["choices"]["features"]
