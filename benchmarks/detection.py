"""Our detectors against what people would use instead, on the same features and rows.

python -m benchmarks.detection handbook FILE --seeds 5 --json detection.json
python -m benchmarks.detection handbook FILE --train-start 2018-07-18
python -m benchmarks.detection handbook FILE --known 0,5,20,80,all --weeks 3 --seeds 2
python -m benchmarks.detection ecommerce FILE
python -m benchmarks.detection synthetic
python -m benchmarks.detection --data shop --config conf data.path=shop.csv --known 20,all

`--data NAME` takes a table of one's own as `train.py data=NAME` does: with its columns, features,
encoder and split, all of which can be overridden, and the options in the folder of `--config`.

`--known K` is the question of a team that has found few frauds so far: K of the frauds in the
training rows are known, the same ones for every method, and the others lie among the normal rows,
as nobody has found them. Which ones is drawn by the seed. Features made of delayed labels stay as
they are, and so does the test. With 0, methods that learn from labels are left out.

`--weeks N` repeats it in N windows of time. On the handbook data each begins a week earlier, on
data that are split in order of time each ends earlier by the length of a test part.

What has to be chosen (settings, networks, calibration) is chosen by average precision on an earlier
task of the same protocol with as many known frauds in its training: on the handbook data the same
weeks two weeks before, otherwise the validation rows. With several windows it is the task before
the earliest of them, so that it ends before every test, and what it chose is kept for all. Its own
test has all labels: few known frauds make the training hard, not the choice, for all methods alike.
The test rows are scored with what was chosen, once for each seed.

Left out are pretrained models of tables such as TabPFN (Hollmann et al., Nature 2025), as their
weights have to be fetched, and PReNet (Pang et al., KDD 2023), as no release of PyOD has it.
"""

import argparse
import importlib.util
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from benchmarks import comparison_tables, protocols
from benchmarks.comparison import ALL, Comparison
from benchmarks.comparison_picture import draw
from benchmarks.measuring import parser
from benchmarks.own_data import own_protocol
from benchmarks.peers import PEERS, available
from benchmarks.protocols import Protocol
from fraud_ae.errors import UserError, exit_on_user_error
from fraud_ae.runtime.atomic_files import write_json

DATASETS = ("handbook", "ecommerce", "synthetic")


def known_frauds(text: str) -> list[int | str]:
    """`0,20,all` as numbers, without repetitions. Raises UserError for anything else."""
    found = []
    for part in text.split(","):
        word = part.strip()
        if word != ALL and not word.isdecimal():
            raise UserError(f"--known {text}: must be numbers and `all`, such as 0,5,20,80,all")
        found.append(word if word == ALL else int(word))
    return list(dict.fromkeys(found))


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    options = parser(__doc__)
    options.add_argument(
        "source",
        nargs="*",
        help=f"one of {', '.join(DATASETS)}, and its FILE; with --data settings, KEY=VALUE",
    )
    options.add_argument("--data", metavar="NAME", help="an option of the group data, as train.py")
    options.add_argument("--config", type=Path, metavar="DIR", help="with options of one's own")
    options.add_argument("--seeds", type=int, default=5, help="runs of each method (5)")
    options.add_argument(
        "--train-start", default="2018-07-25", help="first day of training, handbook (2018-07-25)"
    )
    options.add_argument("--weeks", type=int, default=1, help="windows of time (1)")
    options.add_argument(
        "--known", default=ALL, help="known frauds in training, such as 0,5,20,80,all (all)"
    )
    options.add_argument("--leave-out", default="", metavar="NAMES", help="methods, with commas")
    options.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw average precision over known frauds"
    )
    # Settings may stand between options.
    given = options.parse_intermixed_args()
    if given.data is None:
        _check_source(options, given.source)
    elif any("=" not in setting for setting in given.source):
        options.error("--data NAME takes settings besides, such as data.path=FILE")
    if given.config and not given.data:
        options.error("--config DIR goes with --data NAME")
    if given.picture and importlib.util.find_spec("matplotlib") is None:
        options.error("--picture needs matplotlib: pip install matplotlib")
    for name in ("seeds", "weeks"):
        if getattr(given, name) < 1:
            options.error(f"--{name} must be 1 or more")
    return given


def _check_source(options: argparse.ArgumentParser, source: list[str]) -> None:
    name, *files = source or [""]
    if name not in DATASETS:
        options.error(f"name one of {', '.join(DATASETS)}, or --data NAME for data of your own")
    if len(files) > 1:
        options.error(f"one FILE, not {len(files)}: {' '.join(files)}")
    if name != "synthetic" and not files:
        options.error(f"{name} needs the FILE of the data")


def protocol_of(given: argparse.Namespace) -> Protocol:
    """The tasks that were asked for."""
    if given.data is not None:
        return own_protocol(given.data, given.source, given.config, given.weeks)
    name, *files = given.source
    if name == "handbook":
        return protocols.handbook(files[0], given.train_start, given.weeks)
    if name == "ecommerce":
        return protocols.ecommerce(files[0], given.weeks)
    return protocols.synthetic_market(given.weeks)


@exit_on_user_error
def main() -> None:
    """Run the benchmark, print its tables, write the JSON."""
    given = arguments()
    console = Console(highlight=False)
    known = known_frauds(given.known)
    rows: list[dict] = []
    chosen: dict[tuple, str] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("read", total=None)

        def report(line: str) -> None:
            progress.update(task, description=line)

        protocol = protocol_of(given)
        peers = available()
        left_out = [name.strip() for name in given.leave_out.split(",")]
        compared = Comparison(protocol, known, given.seeds, peers, left_out)
        for found, settings in compared.rows(report):
            rows += found
            for name, values in settings.items():
                chosen[found[0]["known"], name] = comparison_tables.choice(values)
            # Round by round: a long comparison that is interrupted keeps what it has measured.
            _write(given.json, rows)
    _show(console, protocol, pd.DataFrame(rows), known, chosen)
    if len(peers) < len(PEERS):
        console.print("PyOD is not installed, so its detectors are left out: pip install pyod")
    if given.picture:
        draw(pd.DataFrame(rows), given.picture)
        console.print(f"drawn in {given.picture}")
    if given.json:
        console.print(f"written to {given.json}")


def _write(path: Path | None, rows: list[dict]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, rows)


def _show(
    console: Console,
    protocol: Protocol,
    rows: pd.DataFrame,
    known: list[int | str],
    chosen: dict[tuple, str],
) -> None:
    for number in known:
        console.print(comparison_tables.of_methods(protocol, rows, number))
        for (with_number, name), words in chosen.items():
            if with_number == number and words:
                console.print(f"{name}: {words}")
    if len(known) > 1:
        for figure in comparison_tables.BY_KNOWN:
            console.print(comparison_tables.by_known(rows, figure))
    if protocol.labelled_features:
        console.print(
            "Features made from labels that are known by then, for every method: "
            + ", ".join(protocol.labelled_features)
        )


if __name__ == "__main__":
    main()
