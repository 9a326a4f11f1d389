"""Our detectors against what people would use instead, on the same features and rows.

python -m benchmarks.detection handbook FILE --seeds 5 --json detection.json
python -m benchmarks.detection handbook FILE --train-start 2018-07-18
python -m benchmarks.detection handbook FILE --known 0,5,20,80,all --weeks 3 --seeds 2
python -m benchmarks.detection ecommerce FILE
python -m benchmarks.detection synthetic
python -m benchmarks.detection --data custom data.path=shop.csv data.columns.amount=Amt
python -m benchmarks.detection --known 20,all --config conf --data shop features=behavioural

`--known K` is the question of a team that has found few frauds so far: K of the frauds in the
training rows are known, the same ones for every method, and the others lie among the normal rows,
as nobody has found them. Which ones is drawn by the seed. Features made of delayed labels stay as
they are, and so does the test. With 0, methods that learn from labels are left out.

`--weeks N` repeats it in N windows of time. On the handbook data each begins a week earlier, on
data that are split in order of time each ends earlier by the length of a test part.

`--data NAME` is the user's data: it is followed by what `python train.py data=NAME` would be given,
so that transactions, split, features and encoder are those of train.py; networks and their training
are the benchmark's. `--config DIR` is a folder with further options, as its `--config-dir`. A row
without a label is not known to be fraud in training, and is left out of the test.

What has to be chosen (settings, networks, calibration) is chosen by average precision on an earlier
task of the same protocol with as many known frauds in its training: on the handbook data the same
weeks two weeks before, otherwise the validation rows. With several windows it is the task before
the earliest of them, so that it ends before every test, and what it chose is kept for all. Its own
test has all labels: few known frauds make the training hard, not the choice, for all methods alike.
The test rows are scored with what was chosen, once for each seed.

Deep SVDD, XGBOD and the autoencoder of PyOD take minutes for 60,000 rows: `--leave-out` takes names
of methods. The JSON is written anew after each round, so that an interrupt loses one at most.

Left out are pretrained models of tables such as TabPFN (Hollmann et al., Nature 2025): their
weights have to be fetched, and nothing here needs a network.
"""

import argparse
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from benchmarks import comparison_picture, comparison_tables, protocols, user_data
from benchmarks.comparison import ALL, Comparison
from benchmarks.measuring import parser
from benchmarks.peers import available, not_available
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
        "dataset", nargs="?", metavar="DATASET", help=f"{', '.join(DATASETS)}, or --data"
    )
    options.add_argument("file", nargs="?", metavar="FILE", help="not needed for synthetic")
    options.add_argument(
        "--data", nargs="+", metavar=("NAME", "KEY=VALUE"), help="as train.py data=NAME KEY=VALUE"
    )
    options.add_argument("--config", type=Path, metavar="DIR", help="further options, for --data")
    options.add_argument("--seeds", type=int, default=5, help="runs of each method (5)")
    options.add_argument(
        "--train-start", help="first day of training, handbook (2018-07-25)", metavar="DAY"
    )
    options.add_argument("--weeks", type=int, default=1, help="windows of time (1)")
    options.add_argument(
        "--known", default=ALL, help="known frauds in training, such as 0,5,20,80,all (all)"
    )
    options.add_argument("--leave-out", default="", metavar="NAMES", help="methods, with commas")
    options.add_argument(
        "--picture", type=Path, metavar="FILE", help="average precision by known frauds, svg or png"
    )
    given = options.parse_args()
    for name in ("seeds", "weeks"):
        if getattr(given, name) < 1:
            raise UserError(f"--{name} must be 1 or more")
    return given


def protocol_of(given: argparse.Namespace) -> Protocol:
    """The tasks that were asked for. Raises UserError where they cannot be made."""
    name, file = given.dataset, given.file
    if given.train_start and name != "handbook":
        raise UserError("--train-start is for handbook")
    if given.data is not None:
        if name is not None:
            raise UserError(f"{name} or --data {given.data[0]}: one of them")
        job = user_data.configured(given.data[0], given.data[1:], given.config)
        return user_data.protocol(job, given.weeks)
    if given.config is not None:
        raise UserError("--config is for --data NAME")
    if name not in DATASETS:
        asked = "a data set is needed" if name is None else f"{name}: no such data set"
        raise UserError(f"{asked}: {', '.join(DATASETS)}, or --data NAME")
    if name == "synthetic":
        return protocols.synthetic_market(given.weeks)
    if file is None:
        raise UserError(f"{name} needs the FILE of the data")
    if name == "ecommerce":
        return protocols.ecommerce(file, given.weeks)
    return protocols.handbook(file, given.train_start or "2018-07-25", given.weeks)


@exit_on_user_error
def main() -> None:
    """Run the benchmark, print its tables, write the JSON."""
    given = arguments()
    console = Console(highlight=False)
    known = known_frauds(given.known)
    if given.picture:
        comparison_picture.check(given.picture, len(known))
    rows: list[dict] = []
    chosen: dict[tuple, str] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("read", total=None)

        def report(line: str) -> None:
            progress.update(task, description=line)

        protocol = protocol_of(given)
        left_out = [name.strip() for name in given.leave_out.split(",") if name.strip()]
        compared = Comparison(protocol, known, given.seeds, available(), left_out)
        for found, settings in compared.rows(report):
            rows += found
            for name, values in settings.items():
                chosen[found[0]["known"], name] = comparison_tables.choice(values)
            # Round by round: a long comparison that is interrupted keeps what it has measured.
            _write(given.json, rows)
    _show(console, protocol, pd.DataFrame(rows), known, chosen)
    for line in not_available():
        console.print(line)
    if given.picture:
        comparison_picture.draw(pd.DataFrame(rows), given.picture)
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
