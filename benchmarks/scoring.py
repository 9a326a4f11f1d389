"""How many transactions a saved detector scores in a second.

python -m benchmarks.scoring
python -m benchmarks.scoring --rows 300000 --json scoring.json

A frame of raw transactions brings its own history: checking, the features of `combined`, encoding,
network and scorer. `encoder and network` begins with the features and ends with their scores. The
other side is the same network and encoder as they are mostly written: pandas `groupby.rolling` for
three windows of each customer, scikit-learn's StandardScaler and OneHotEncoder, one pass through
the network.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.compose import make_column_transformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.detectors import AUTOENCODER, detectors
from benchmarks.features import pandas_windows
from benchmarks.measuring import alternated, compared, parser, show, write
from fraud_ae.data.sources import Dataset, synthetic
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.features import compute_features
from fraud_ae.models.network import Autoencoder
from fraud_ae.runtime.threads import available_cores

NETWORK = "encoder and network"
USUAL = "pandas, scikit-learn, torch"
_TRAINED_ON = 50_000


def loaded_detectors(folder: Path) -> dict[str, FraudDetector]:
    """A detector with each scorer, as it is loaded from disk."""
    loaded = {}
    for name, detector, _ in detectors(synthetic(n_transactions=_TRAINED_ON), AUTOENCODER, 1):
        detector.save(folder / name)
        loaded[name] = FraudDetector.load(folder / name)
    return loaded


def usual(dataset: Dataset) -> None:
    """Fewer features than ours, as they are mostly made, and one network."""
    transactions = dataset.transactions
    windows = pandas_windows(transactions).reset_index(drop=True)
    categories = ["payment_method", "product_category", "device"]
    table = pd.concat([transactions[["amount", "quantity", *categories]], windows], axis=1)
    numbers = [column for column in table if column not in categories]
    encoder = make_column_transformer(
        (StandardScaler(), numbers), (OneHotEncoder(sparse_output=False), categories)
    )
    inputs = torch.from_numpy(encoder.fit_transform(table).astype(np.float32))
    network = Autoencoder(inputs.shape[1]).eval()
    with torch.inference_mode():
        network.signals(inputs)[0].square().mean(dim=1)


def main() -> None:
    """Measure, print the table, and write JSON."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--rows", type=int, default=300_000)
    chosen = options.parse_args()
    dataset = synthetic(n_transactions=chosen.rows, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        made = loaded_detectors(Path(folder))
        # Training keeps to one thread; scoring has all.
        torch.set_num_threads(available_cores())
        first = made["reconstruction"]
        features = compute_features(first.strategy, dataset.transactions)
        sides = {
            f"raw frame, {name}": lambda d=detector: d.predict_anomaly_scores(dataset.transactions)
            for name, detector in made.items()
        }
        sides[NETWORK] = lambda: first.score_features(features)
        sides[USUAL] = lambda: usual(dataset)
        seconds = alternated(sides, chosen.repeats)
    ours = "raw frame, reconstruction"
    found = compared(seconds, dict.fromkeys(sides, chosen.rows), ours)
    for row in found:
        row[f"{ours} is faster"] = row.pop("ours_is_faster")
    show(f"Scoring, {chosen.rows:,} transactions", found, f"{chosen.repeats} rounds, medians")
    write(chosen.json, scoring=found)


if __name__ == "__main__":
    main()
