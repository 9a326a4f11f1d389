"""Whether alerts name their cause: `python -m benchmarks.reasons`.

python -m benchmarks.reasons --rows 40000 --each 200 --json reasons.json

One thing at a time is planted in copies of honest transactions of the validation period, which
have their history: an amount 10 to 20 times as high, a device never seen, six purchases within
minutes. A cause is found if a subject that tells of it is among the top three reasons. `of new
alerts` counts those alone that became an alert by it: a scorer need not mind everything.
`calibrated` knows what the frauds of the training rows have, and a payment method never seen is
nothing that frauds had.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.detectors import detectors
from benchmarks.measuring import parser, show, write
from fraud_ae.data.sources import synthetic
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.evaluation.planted_anomalies import KINDS, AnomalyKind, PlantedTransactions
from fraud_ae.evaluation.planted_anomalies import planted as plant

NETWORKS = {
    name: {"class": f"fraud_ae.models.network.{name}"}
    for name in ("Autoencoder", "MaskedAutoencoder")
}
_DELAY = pd.Timedelta(days=7)
_WEEK = pd.Timedelta(days=7)
# Frauds of a week at its merchant, which is nothing about the transaction itself.
ATTACK = "merchant under attack"
# The subjects of reasons that tell of a cause.
SUBJECTS = {
    "amount 10 to 20 times": ("amount",),
    "device never seen": ("device", "new device"),
    "6 purchases in minutes": ("pace of purchases",),
    "at 3 o'clock": ("time of day",),
    ATTACK: ("fraud at merchant",),
    "shipping address of nobody": ("new shipping address", "address mismatch"),
    "payment method never seen": ("payment method", "fraud by payment_method"),
    "category never seen": ("product category", "fraud by product_category"),
    "location never seen": ("location", "fraud by customer_location"),
    "account of today": ("account age",),
    "30 items": ("quantity",),
    "customer of 105 years": ("customer age",),
}


def planted(
    transactions: pd.DataFrame, cause: str, rows: np.ndarray, most: int
) -> PlantedTransactions:
    """A cause planted in copies of at most so many honest transactions, each of another customer.

    rows: (m,) int, of which they are.
    """
    mask = np.zeros(len(transactions), dtype=bool)
    mask[rows] = True
    mask &= (transactions["is_fraud"] == 0).to_numpy()
    kind = AnomalyKind(lambda copies, rng: None, ()) if cause == ATTACK else KINDS[cause]
    (anomaly,) = plant(transactions, mask, most=most, kinds={cause: kind})
    if cause == ATTACK:
        frame = anomaly.transactions
        for row in anomaly.copies:
            until = frame.loc[row, "timestamp"] - _DELAY
            recent = frame["timestamp"].between(until - _WEEK, until)
            attacked = (frame["terminal_id"] == frame.loc[row, "terminal_id"]) & recent
            frame.loc[attacked, "is_fraud"] = 1
    return anomaly


def measured(
    detector: FraudDetector, transactions: pd.DataFrame, rows: np.ndarray, each: int
) -> Iterator[dict]:
    """For each cause: in how many planted transactions it is among the top three reasons.

    `of new alerts`: the same, of those alone that are an alert and were none before.
    """
    before = detector.score_transactions(transactions) > detector.threshold
    for name, subjects in SUBJECTS.items():
        anomaly = planted(transactions, name, rows, each)
        mask = np.zeros(len(anomaly.transactions), dtype=bool)
        mask[anomaly.copies] = True
        # In order of time, as the copies are not.
        order = np.argsort(anomaly.copies)
        alerts = detector.score_transactions(anomaly.transactions, mask) > detector.threshold
        alerts &= ~before[anomaly.originals[order]]
        reasons = detector.explain_transactions(anomaly.transactions, anomaly.copies[order])
        named = np.array([any(r.subject in subjects for r in of_row) for of_row in reasons])
        yield {
            "cause": name,
            "planted": len(named),
            "found": float(named.mean()),
            "of new alerts": float(named[alerts].mean()) if alerts.any() else None,
            "new alerts": int(alerts.sum()),
        }


def main() -> None:
    """Train, plant, print a table for each network and scorer, and write JSON."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=40_000, help="generated transactions")
    options.add_argument("--each", type=int, default=200, help="transactions for each cause")
    chosen = options.parse_args()
    dataset = synthetic(n_transactions=chosen.rows)
    found = {}
    for kind, network in NETWORKS.items():
        for name, detector, rows in detectors(dataset, network, epochs=10):
            title = f"{kind}, scorer={name}"
            found[title] = list(measured(detector, dataset.transactions, rows, chosen.each))
            show(title, found[title], "found: the cause is among the top three reasons")
    write(chosen.json, reasons=found)


if __name__ == "__main__":
    main()
