"""Our detectors against what people would use instead, on the same features and rows.

python -m benchmarks.detection handbook FILE --seeds 5 --json detection.json
python -m benchmarks.detection handbook FILE --train-start 2018-07-18
python -m benchmarks.detection ecommerce FILE
python -m benchmarks.detection synthetic

What has to be chosen (settings, number of epochs, calibration) is chosen by average precision on an
earlier task of the same protocol: on the handbook data the same weeks two weeks before, otherwise
the validation rows. The test rows are scored with what was chosen, once for each seed.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import ours, protocols
from benchmarks.measuring import parser
from benchmarks.peers import PEERS, Peer, available
from benchmarks.protocols import Protocol, Task
from fraud_ae.errors import exit_on_user_error
from fraud_ae.evaluation.alerting import card_precision
from fraud_ae.evaluation.metrics import ranking_metrics

FIGURES = ("roc_auc", "average_precision", "card_precision_at_100")


def figures(task: Task, scores: np.ndarray) -> dict[str, float]:
    """ROC AUC, average precision and card precision of scores of the test rows, (test.sum(),)."""
    scored = task.scored(scores)
    ranking = ranking_metrics(scored["is_fraud"].to_numpy(), scores)
    return {
        "roc_auc": ranking["auc"],
        "average_precision": ranking["average_precision"],
        "card_precision_at_100": card_precision(scored, 100),
    }


def chosen(peer: Peer, earlier: Task) -> dict:
    """The settings with the highest average precision on the earlier task."""
    if len(peer.choices) == 1:
        return peer.choices[0]
    reached = [
        figures(earlier, peer.score(earlier, 0, **settings))["average_precision"]
        for settings in peer.choices
    ]
    return peer.choices[int(np.argmax(reached))]


def run(
    protocol: Protocol, peers: dict[str, Peer], seeds: int, report: Callable[[str], None]
) -> tuple[list[dict], dict[str, dict]]:
    """A row for each method and seed, and what was chosen for each method."""
    methods = {**ours.methods(protocol.earlier, report), **peers}
    settings = {}
    for name, method in methods.items():
        report(f"{name}: choose")
        settings[name] = chosen(method, protocol.earlier)
    rows = []
    # Seed by seed, so that a machine that gets slower does so for all methods.
    for seed, (name, method) in itertools.product(range(seeds), methods.items()):
        report(f"{name}: seed {seed}")
        started = time.perf_counter()
        scores = method.score(protocol.final, seed, **settings[name])
        seconds = time.perf_counter() - started
        found = {"method": name, "seed": seed, **figures(protocol.final, scores)}
        rows.append({**found, "uses_labels": method.uses_labels, "seconds": seconds})
    return rows, settings


def table(protocol: Protocol, rows: list[dict], settings: dict[str, dict]) -> Table:
    """Means over the seeds, standard deviations behind them, and median seconds."""
    board = pd.DataFrame(rows)
    seeds = board["seed"].nunique()
    shown = Table("method", "labels", "ROC AUC", "AP", "CP@100", "sec", box=SIMPLE, pad_edge=False)
    shown.title = protocol.description
    for column in shown.columns[2:]:
        column.justify = "right"
    for name, seeded in board.groupby("method", sort=False):
        cells = [f"{_short(seeded[f].mean())} ±{_short(seeded[f].std(ddof=0))}" for f in FIGURES]
        uses = "yes" if seeded["uses_labels"].iloc[0] else "no"
        shown.add_row(name, uses, *cells, f"{seeded['seconds'].median():.1f}")
    test = protocol.final.test
    shown.caption = (
        f"{seeds} seeds, mean ± standard deviation; {test.sum():,} test rows, "
        f"{protocol.final.labels[test].sum():,} frauds. labels: whether the score learns from the "
        f"frauds of the {protocol.final.train.sum():,} training rows; all others are fitted on "
        "those not known to be fraud."
    )
    return shown


def _short(figure: float) -> str:
    return f"{figure:.3f}".removeprefix("0")


def _choice(settings: dict) -> str:
    """What was chosen for a method, in words."""
    values = dict(ours.NETWORKS[settings["network"]] if "network" in settings else settings)
    network = values.pop("class", "").rpartition(".")[2]
    return " ".join([network, *(f"{key}={value}" for key, value in values.items())]).strip()


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    options = parser(__doc__)
    options.add_argument("dataset", choices=("handbook", "ecommerce", "synthetic"))
    options.add_argument("file", nargs="?", help="not needed for synthetic")
    options.add_argument("--seeds", type=int, default=5, help="runs of each method (5)")
    options.add_argument(
        "--train-start", default="2018-07-25", help="first day of training, handbook (2018-07-25)"
    )
    given = options.parse_args()
    if given.dataset != "synthetic" and given.file is None:
        options.error(f"{given.dataset} needs the FILE of the data")
    if given.seeds < 1:
        options.error("--seeds must be 1 or more")
    return given


@exit_on_user_error
def main() -> None:
    """Run the benchmark, print a table, write the JSON."""
    given = arguments()
    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("read", total=None)

        def report(line: str) -> None:
            progress.update(task, description=line)

        protocol = {
            "handbook": lambda: protocols.handbook(given.file, given.train_start),
            "ecommerce": lambda: protocols.ecommerce(given.file),
            "synthetic": protocols.synthetic_market,
        }[given.dataset]()
        peers = available()
        rows, settings = run(protocol, peers, given.seeds, report)
    console.print(table(protocol, rows, settings))
    if protocol.labelled_features:
        console.print(
            "Features made from labels that are known by then, for every method: "
            + ", ".join(protocol.labelled_features)
        )
    for name, chosen_settings in settings.items():
        if chosen_settings:
            console.print(f"{name}: {_choice(chosen_settings)}")
    if len(peers) < len(PEERS):
        console.print("PyOD is not installed, so its detectors are left out: pip install pyod")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
        console.print(f"written to {given.json}")


if __name__ == "__main__":
    main()
