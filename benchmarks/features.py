"""Windows against pandas, and what a large table takes from its making to one epoch of training.

python -m benchmarks.features
python -m benchmarks.features --rows 1000000 --sizes 100000 1000000 10000000 --json features.json

The windows are counts and mean amounts of each customer in the last 1, 7 and 30 days. pandas is
`groupby.rolling` on the same table, one pass for the mean and one for the count of each window.
Each size of the second table is measured in a process of its own: synthetic transactions, the
features of `combined`, their encoding onto disk, one epoch of the default network.
"""

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.detectors import AUTOENCODER, combined, trained
from benchmarks.measuring import alternated, compared, parser, show, write
from fraud_ae.data.sources import synthetic
from fraud_ae.experiments.recipe import Recipe
from fraud_ae.features.encoded_data import encode
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.windows import amounts, key_codes
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.scorers.reconstruction import ReconstructionScorer

WINDOWS_DAYS = (1, 7, 30)
OURS, PANDAS = "fraud_ae", "pandas groupby.rolling"


def pandas_windows(transactions: pd.DataFrame) -> pd.DataFrame:
    """The windows of `amounts`, as pandas makes them, in the order of the transactions."""
    indexed = transactions[["customer_id", "timestamp", "amount"]].set_index("timestamp")
    amounts = indexed.groupby("customer_id")["amount"]
    columns = {}
    for days in WINDOWS_DAYS:
        rolling = amounts.rolling(f"{days}D")
        columns[f"count_{days}d"] = rolling.count().to_numpy()
        columns[f"mean_amount_{days}d"] = rolling.mean().to_numpy()
    # The results come customer by customer.
    rows = np.concatenate(list(amounts.indices.values()))
    return pd.DataFrame(columns, index=rows).sort_index()


def windows(n_rows: int, repeats: int) -> list[dict]:
    """Our windows and those of pandas on one table."""
    transactions = synthetic(n_transactions=n_rows).transactions
    sides = {
        OURS: lambda: amounts(transactions, key_codes(transactions["customer_id"]), WINDOWS_DAYS),
        PANDAS: lambda: pandas_windows(transactions),
    }
    return compared(alternated(sides, repeats), dict.fromkeys(sides, n_rows), OURS)


def large(n_rows: int) -> dict:
    """Seconds of each step on so many transactions, and the peak of memory.

    The first 60 % are trained on, and the first 80 % encoded, as in a run.
    """
    seconds = {}
    started = time.perf_counter()
    transactions = synthetic(n_transactions=n_rows).transactions
    seconds["synthetic"] = time.perf_counter() - started
    visible = transactions.iloc[: n_rows * 8 // 10]
    fit_rows = np.arange(len(visible)) < n_rows * 6 // 10
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        encoded = encode(combined(), Encoder(), visible, fit_rows, "normal", Path(folder))
        seconds["features_and_encoding"] = time.perf_counter() - started
        started = time.perf_counter()
        settings = TrainerSettings(max_epochs=1)
        trained(Recipe(AUTOENCODER, ReconstructionScorer(), settings, "normal", 0), encoded)
        seconds["one_epoch"] = time.perf_counter() - started
    total = sum(seconds.values())
    # Linux gives kilobytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    rates = {"total": total, "rows_per_second": n_rows / total, "peak_gb": peak}
    return {"rows": n_rows, **seconds, **rates}


def _in_a_process(n_rows: int) -> dict:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(large, (n_rows,))


def main() -> None:
    """Measure, print both tables, and write JSON."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--rows", type=int, default=1_000_000, help="of the windows")
    options.add_argument(
        "--sizes", type=int, nargs="*", default=[100_000, 1_000_000], help="of large tables"
    )
    chosen = options.parse_args()
    found = windows(chosen.rows, chosen.repeats)
    show(
        f"Windows of {chosen.rows:,} transactions",
        found,
        f"{chosen.repeats} rounds, medians; count and mean of 1, 7 and 30 days",
    )
    sizes = [_in_a_process(size) for size in chosen.sizes]
    if sizes:
        show("A table from its making to one epoch", sizes, "seconds; combined, 128 rows a batch")
    write(chosen.json, windows=found, sizes=sizes)


if __name__ == "__main__":
    main()
