"""A bar for what takes long, with rows per second."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from fraud_ae.runtime.stopping import undone_when_stopped


class _RowsPerSecond(ProgressColumn):
    """How fast it goes."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s")


@contextmanager
def row_progress() -> Iterator[Callable[..., Callable[[int], None]]]:
    """Gives a function that starts a bar, `start(name, total=None)`, and is told rows done.

    It goes to the screen's error stream; nothing is shown where that is no terminal.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,}"),
        _RowsPerSecond(),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=console, disable=not console.is_terminal)
    # Which gives the cursor back.
    with undone_when_stopped(bars.stop), bars as progress:

        def start(name: str, total: int | None = None) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)
            return lambda rows: progress.update(task, completed=rows)

        yield start
