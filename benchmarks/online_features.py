"""Milliseconds that the features of a short frame take, as an online service asks for them.

python -m benchmarks.online_features
python -m benchmarks.online_features --rows 50 500 --json online_features.json

A frame holds the newest transactions of the customers who paid last, with their histories. The
strategy is `combined` as it is configured, fitted on older transactions.
"""

import statistics

import pandas as pd

from benchmarks.features import strategy
from benchmarks.measuring import alternated, parser, show, write
from fraud_ae.data.sources import synthetic
from fraud_ae.features import compute_features, fit_strategy

_TRANSACTIONS = 50_000
_CALLS = 20


def short_frame(transactions: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """The newest so many rows of the customers who paid last, in order of time."""
    newest_first = transactions["customer_id"].iloc[::-1]
    rows_of = newest_first.value_counts(sort=False).cumsum()
    customers = rows_of.index[rows_of.shift(fill_value=0) < n_rows]
    own = transactions[transactions["customer_id"].isin(customers)]
    return own.tail(n_rows).reset_index(drop=True)


def milliseconds(sizes: list[int], repeats: int) -> list[dict]:
    """A row for each length of a frame: median milliseconds of one call."""
    transactions = synthetic(n_transactions=_TRANSACTIONS).transactions
    fitted = fit_strategy(strategy(), transactions.iloc[: _TRANSACTIONS * 3 // 4])
    frames = {f"{size:,} rows": short_frame(transactions, size) for size in sizes}

    def several(frame: pd.DataFrame) -> None:
        for _ in range(_CALLS):
            compute_features(fitted, frame)

    sides = {name: lambda f=frame: several(f) for name, frame in frames.items()}
    found = alternated(sides, repeats)
    seconds = {side: statistics.median(values) / _CALLS for side, values in found.items()}
    return [
        {"side": side, "milliseconds": 1e3 * each, "frames_per_second": 1 / each}
        for side, each in seconds.items()
    ]


def main() -> None:
    """Measure, print the table, and write JSON."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--rows", type=int, nargs="+", default=[10, 100, 1_000], help="of frames")
    chosen = options.parse_args()
    found = milliseconds(chosen.rows, chosen.repeats)
    notes = f"{chosen.repeats} rounds of {_CALLS} calls, medians of one call; combined"
    show("Features of short frames", found, notes)
    write(chosen.json, online_features=found)


if __name__ == "__main__":
    main()
