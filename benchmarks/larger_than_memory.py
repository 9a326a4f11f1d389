"""Features of more transactions than memory holds: generated, divided, computed and encoded.

    python -m benchmarks.larger_than_memory --rows 30000000 --memory 4GB --folder /data/large

Each part is a process of its own, whose peak memory (its children's included) is printed.
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

DAYS = 90
_CATEGORIES = {
    "payment_method": 5,
    "product_category": 10,
    "device": 12,
    "customer_location": 60,
}


def generate(folder: Path, rows: int, seed: int = 0) -> None:
    """Canonical transactions as hive partitions by day, in no order within a day."""
    per_day = rows // DAYS
    for day in range(DAYS):
        rng = np.random.default_rng((seed, day))
        n = per_day if day < DAYS - 1 else rows - per_day * (DAYS - 1)
        place = folder / f"day={day:03d}"
        place.mkdir(parents=True)
        # A few customers and terminals have many transactions.
        customers = (rng.random(n) ** 2 * rows / 100).astype(np.int64)
        terminals = (rng.random(n) ** 2 * rows / 1_000).astype(np.int64)
        texts = {
            name: pd.Categorical.from_codes(
                rng.integers(0, count, n), [f"{name} {i}" for i in range(count)]
            ).astype("str")
            for name, count in _CATEGORIES.items()
        }
        pd.DataFrame(
            {
                "transaction_id": [f"T{day:03d}{i:08d}" for i in range(n)],
                "customer_id": pd.Series(customers).map("C{:07d}".format),
                "timestamp": pd.Timestamp("2024-01-01", tz="UTC").as_unit("us")
                + pd.to_timedelta(day * 86_400 + rng.integers(0, 86_400, n), unit="s"),
                "amount": rng.lognormal(3, 1, n).round(2),
                "is_fraud": (rng.random(n) < 0.01).astype("int8"),
                "quantity": rng.integers(1, 5, n).astype("float64"),
                "customer_age": rng.integers(18, 90, n).astype("float64"),
                "account_age_days": rng.integers(0, 2_000, n).astype("float64"),
                **texts,
                "terminal_id": pd.Series(terminals).map("M{:06d}".format),
            }
        ).to_parquet(place / "part-0.parquet", index=False)


def put_in_order(folder: Path, out: Path) -> list[Path]:
    """Each day in order of time: the canonical files that features are made of."""
    out.mkdir()
    files = []
    for file in sorted(folder.rglob("*.parquet")):
        frame = pd.read_parquet(file, partitioning=None).sort_values("timestamp", kind="stable")
        files.append(out / f"{len(files):03d}.parquet")
        frame.to_parquet(files[-1], index=False)
    return files


def encode_all(files: list[Path], folder: Path, memory: str | None, engine: str) -> dict:
    """Encode all rows, fitted on the first 60 %; what it took."""
    from fraud_ae.features import Baseline, Behavioural, Combined, DemographicRisk, Temporal
    from fraud_ae.features.encoded_data import encode
    from fraud_ae.features.encoder import Encoder
    from fraud_ae.features.partitioned.batches import ParquetBatches
    from fraud_ae.features.partitioned.computation import FeatureComputation

    parts = (Baseline(), Temporal(), Behavioural([1, 7, 30], 7), DemographicRisk())
    strategy = Combined({type(part).__name__: part for part in parts})
    transactions = ParquetBatches(tuple(files))
    rows = len(transactions)
    fit_rows = np.arange(rows) < 0.6 * rows
    folder.mkdir()
    if memory is None:
        transactions = pd.concat(map(pd.read_parquet, files), ignore_index=True)
    computation = FeatureComputation.of(engine, memory)
    encoded = encode(strategy, Encoder(), transactions, fit_rows, "normal", folder, computation)
    return {"rows": rows, "inputs": encoded.encoder.n_inputs}


def measured(function: Callable, *arguments: object) -> dict:
    """What a function returns, of a process of its own, with its seconds and peak memory."""
    context = multiprocessing.get_context("spawn")
    with tempfile.NamedTemporaryFile() as file:
        process = context.Process(target=_measure, args=(file.name, function, arguments))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{function.__name__} ended with {process.exitcode}")
        return json.loads(Path(file.name).read_text())


def _measure(file: str, function: Callable, arguments: tuple) -> None:
    started = time.perf_counter()
    result = function(*arguments)
    seconds = time.perf_counter() - started
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = sum(resource.getrusage(each).ru_maxrss for each in who) * 1024
    told = {"seconds": round(seconds, 1), "peak_GB": round(peak / 1e9, 2)}
    Path(file).write_text(json.dumps({**(result if isinstance(result, dict) else {}), **told}))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--memory", default="4GB", help="features.memory; null: all in memory")
    parser.add_argument("--engine", default="local")
    parser.add_argument("--folder", type=Path, default=None, help="kept; a temporary one without")
    arguments = parser.parse_args()
    memory = None if arguments.memory == "null" else arguments.memory
    with tempfile.TemporaryDirectory(prefix="fraud_ae-") as temporary:
        folder = arguments.folder or Path(temporary)
        raw, ordered, encoded = folder / "raw", folder / "ordered", folder / "encoded"
        if not ordered.is_dir():
            print("generated", measured(generate, raw, arguments.rows))
            print("in order", measured(put_in_order, raw, ordered))
        shutil.rmtree(encoded, ignore_errors=True)
        files = sorted(ordered.iterdir())
        print("encoded", measured(encode_all, files, encoded, memory, arguments.engine))


if __name__ == "__main__":
    main()
