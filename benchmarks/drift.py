"""How often a check for drift alarms without a drift, and finds one: `python -m benchmarks.drift`.

    python train.py stage=production candidate=null data.n_transactions=20000 \
        trainer.max_epochs=2 wandb.mode=disabled experiment=watched
    python -m benchmarks.drift outputs/watched/models/final_model --checks 200

The model is one of generated data; fresh data come from the same simulation with other seeds, and
so have other customers and other merchants. Each line is a way of drawing transactions that have
not drifted, or of shifting one column of some that have not by half a standard deviation.
"""

import argparse
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table

from fraud_ae.data.simulation.synthetic import generate_transactions, simulate
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.production.drift.check import check_period
from fraud_ae.production.drift.period import Period
from fraud_ae.production.drift.reference import load_reference

# Frame to be judged, and the history before it.
Drawn = tuple[pd.DataFrame, pd.DataFrame | None]
SHIFT = 0.5
_SIMULATED = inspect.signature(simulate).parameters


class Watched:
    """A model with its reference, and the data that it was made of."""

    def __init__(self, folder: Path) -> None:
        self.detector, self.reference = FraudDetector.load(folder), load_reference(folder)
        info = yaml.safe_load((folder / MODEL_INFO).read_text())
        settings = info["configuration"]["data"]
        self.settings = {k: v for k, v in settings.items() if k in _SIMULATED}
        self.transactions = generate_transactions(**self.settings)
        parts = info["data"]["split"]
        times = self.transactions["timestamp"]
        self.parts = {
            name: self.transactions[
                (times >= pd.Timestamp(part["start"])) & (times < pd.Timestamp(part["end"]))
            ]
            for name, part in parts.items()
        }

    def fresh(self, seed: int) -> pd.DataFrame:
        """Transactions of another marketplace of the same kind."""
        return generate_transactions(**{**self.settings, "seed": seed})

    def check(self, file: pd.DataFrame, history: pd.DataFrame | None = None) -> dict:
        """What a check finds."""
        source, columns = self.detector.source_format, self.reference["columns"]
        period = Period.of(file, source, columns, history=history)
        return check_period(self.detector, self.reference, period)


def undrifted(watched: Watched, checks: int) -> dict[str, Callable[[], Iterator[Drawn]]]:
    """Ways of drawing transactions that have not drifted."""
    rng = np.random.default_rng(0)
    everything, test = watched.transactions, watched.parts["test"]

    def rows_of(part: str, n: int, history: bool) -> Iterator[Drawn]:
        rows = watched.parts[part]
        for _ in range(checks):
            drawn = rows.iloc[np.sort(rng.choice(len(rows), min(n, len(rows)), replace=False))]
            yield drawn, everything if history else None

    def bootstrap(part: str, n: int) -> Iterator[Drawn]:
        rows = watched.parts[part]
        for _ in range(checks):
            drawn = rows.iloc[np.sort(rng.choice(len(rows), n))]
            yield drawn.assign(transaction_id=[f"B{i}" for i in range(n)]), None

    def stretch(n: int) -> Iterator[Drawn]:
        for _ in range(checks):
            start = rng.integers(0, max(len(test) - n, 1))
            yield test.iloc[start : start + n], everything

    def weeks() -> Iterator[Drawn]:
        first = test["timestamp"].iloc[0]
        last = test["timestamp"].iloc[-1] - pd.Timedelta(days=7)
        for start in pd.date_range(first, last, periods=checks):
            within = test["timestamp"].between(start, start + pd.Timedelta(days=7))
            yield test[within], everything

    def fresh(days: float | None, history: bool) -> Iterator[Drawn]:
        for seed in range(1000, 1000 + checks):
            made = watched.fresh(seed)
            if days is None:
                yield made, None
                continue
            newest = made["timestamp"] > made["timestamp"].iloc[-1] - pd.Timedelta(days=days)
            yield made[newest], made[~newest] if history else None

    ways = {}
    for n in (500, 2_000, 10_000):
        ways[f"{n:,} test rows at random"] = lambda n=n: rows_of("test", n, history=False)
        ways[f"{n:,} test rows, all history"] = lambda n=n: rows_of("test", n, history=True)
        ways[f"{n:,} validation rows at random"] = lambda n=n: rows_of("validation", n, False)
        ways[f"{n:,} test rows, bootstrap"] = lambda n=n: bootstrap("test", n)
    ways["500 test rows in a row"] = lambda: stretch(500)
    ways["2,000 test rows in a row"] = lambda: stretch(2_000)
    ways["weeks of the test period"] = weeks
    for days in (7, 28):
        ways[f"fresh data, newest {days} days"] = lambda days=days: fresh(days, history=True)
    ways["fresh data, 28 days, no history"] = lambda: fresh(28, history=False)
    ways["fresh data, whole"] = lambda: fresh(None, history=False)
    return ways


def shift(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frame with one column shifted by half of its standard deviation."""
    if column == "log_amount":
        logs = np.log1p(frame["amount"])
        return frame.assign(amount=np.expm1(logs + SHIFT * logs.std()))
    return frame.assign(**{column: frame[column] + SHIFT * frame[column].std()})


def shifted(watched: Watched, checks: int) -> dict[str, tuple[str, Callable[[], Iterator[Drawn]]]]:
    """Ways of shifting one column of test rows, and the feature that is to be found."""
    rng = np.random.default_rng(1)
    test = watched.parts["test"]

    def rows_of(n: int, column: str) -> Iterator[Drawn]:
        for _ in range(checks):
            rows = test.iloc[np.sort(rng.choice(len(test), min(n, len(test)), replace=False))]
            yield shift(rows, column), None

    def fresh(column: str) -> Iterator[Drawn]:
        for seed in range(2000, 2000 + checks):
            made = watched.fresh(seed)
            newest = made["timestamp"] > made["timestamp"].iloc[-1] - pd.Timedelta(days=28)
            yield shift(made[newest], column), made[~newest]

    ways = {}
    for column in ("amount", "log_amount", "quantity", "account_age_days", "customer_age"):
        for n in (500, 1_000):
            draw = lambda n=n, column=column: rows_of(n, column)  # noqa: E731
            ways[f"{column}, {n:,} test rows"] = column, draw
        ways[f"{column}, fresh data, 28 days"] = column, lambda column=column: fresh(column)
    return ways


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a model of generated data")
    parser.add_argument("--checks", type=int, default=200, help="so many for each line")
    parser.add_argument("--only", default="", help="lines that have this in their names")
    asked = parser.parse_args()
    watched, console = Watched(asked.model), Console(highlight=False, width=80)
    table = Table("no drift", "checks", "alarms", "what alarmed", title="False alarms")
    for name, draw in undrifted(watched, asked.checks).items():
        if asked.only in name:
            alarms, causes, done = 0, Counter(), 0
            for file, history in draw():
                found = watched.check(file, history)
                alarms += found["drift"]
                causes.update(f["name"] for f in found["findings"] if f["drift"])
                done += 1
            told = ", ".join(f"{cause} {n}" for cause, n in causes.most_common(3))
            table.add_row(name, str(done), f"{alarms / done:.1%}", told)
            print(name, f"{alarms / done:.1%}", told, flush=True)
    console.print(table)
    table = Table("shift by half a sd", "checks", "found", "named first", title="Power")
    for name, (column, draw) in shifted(watched, asked.checks).items():
        if asked.only in name:
            hits, first, done = 0, Counter(), 0
            for file, history in draw():
                found = watched.check(file, history)
                drifted = [f["name"] for f in found["findings"] if f["drift"]]
                hits += column in drifted
                first.update(drifted[:1])
                done += 1
            told = ", ".join(f"{cause} {n}" for cause, n in first.most_common(2))
            table.add_row(name, str(done), f"{hits / done:.1%}", told)
            print(name, f"{hits / done:.1%}", told, flush=True)
    console.print(table)


if __name__ == "__main__":
    main()
