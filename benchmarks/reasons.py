"""Whether alerts name their cause: `python -m benchmarks.reasons`.

python -m benchmarks.reasons --rows 40000 --each 200 --json reasons.json

One thing at a time is planted in honest transactions of the validation period, which keep their
history: an amount 10 to 20 times as high, a device never seen, six purchases within minutes. A
cause is found if a subject that tells of it is among the top three reasons. `of new alerts` counts
those alone that became an alert by it: a scorer need not mind everything. `calibrated` knows what
the frauds of the training rows have, and a payment method never seen is nothing that frauds had.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.detectors import detectors
from benchmarks.measuring import parser, show, write
from fraud_ae.data.sources import synthetic
from fraud_ae.detector.detector import FraudDetector

NETWORKS = {
    name: {"class": f"fraud_ae.models.network.{name}"}
    for name in ("Autoencoder", "MaskedAutoencoder")
}
# Customers of whom less is known have no habits that one can break.
_KNOWN = 5
_DELAY = pd.Timedelta(days=7)
_WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong with a transaction.

    subjects: the reasons that tell of it. plant: changes the rows, (m,) int, of a frame of its own
    and may return rows to add. fits: which of the rows it can be planted in, (m,) bool.
    """

    subjects: tuple[str, ...]
    plant: Callable[[pd.DataFrame, np.ndarray, np.random.Generator], pd.DataFrame | None]
    fits: Callable[[pd.DataFrame], np.ndarray] = lambda rows: np.ones(len(rows), dtype=bool)


def _set(**values: object) -> Callable:
    def plant(frame: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> None:
        for column, value in values.items():
            frame.loc[rows, column] = value

    return plant


def _high_amount(frame: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> None:
    amounts = frame.loc[rows, "amount"] * rng.uniform(10, 20, len(rows))
    frame.loc[rows, "amount"] = amounts.round(2)


def _burst(frame: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    copies = []
    for number in range(1, 6):
        earlier = frame.loc[rows].copy()
        gaps = pd.to_timedelta(number * 60 + rng.integers(0, 30, len(rows)), unit="s")
        earlier["timestamp"] -= gaps
        earlier["transaction_id"] += f"-{number}"
        copies.append(earlier)
    return pd.concat(copies)


def _night(frame: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> None:
    minutes = pd.to_timedelta(180 + rng.integers(0, 60, len(rows)), unit="min")
    frame.loc[rows, "timestamp"] = frame.loc[rows, "timestamp"].dt.floor("D") + minutes


def _attacked_merchant(frame: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> None:
    for row in rows:
        until = frame.loc[row, "timestamp"] - _DELAY
        recent = frame["timestamp"].between(until - _WEEK, until)
        attacked = (frame["terminal_id"] == frame.loc[row, "terminal_id"]) & recent
        frame.loc[attacked, "is_fraud"] = 1


def _by_day(rows: pd.DataFrame) -> np.ndarray:
    return rows["timestamp"].dt.hour.between(10, 20).to_numpy()


def _grown(rows: pd.DataFrame) -> np.ndarray:
    return (rows["account_age_days"] > 60).to_numpy()


def _home(rows: pd.DataFrame) -> np.ndarray:
    return (rows["shipping_address"] == rows["billing_address"]).to_numpy()


CAUSES = {
    "amount 10 to 20 times": Cause(("amount",), _high_amount),
    "device never seen": Cause(("device", "new device"), _set(device="Smart fridge")),
    "6 purchases in minutes": Cause(("pace of purchases",), _burst),
    "at 3 o'clock": Cause(("time of day",), _night, _by_day),
    "merchant under attack": Cause(("fraud at merchant",), _attacked_merchant),
    "shipping address of nobody": Cause(
        ("new shipping address", "address mismatch"),
        _set(shipping_address="1 Nowhere Lane, Nowhere"),
        _home,
    ),
    "payment method never seen": Cause(
        ("payment method", "fraud by payment_method"), _set(payment_method="cryptocurrency")
    ),
    "category never seen": Cause(
        ("product category", "fraud by product_category"), _set(product_category="weapons")
    ),
    "location never seen": Cause(
        ("location", "fraud by customer_location"), _set(customer_location="Nowhere")
    ),
    "account of today": Cause(("account age",), _set(account_age_days=0.0), _grown),
    "30 items": Cause(("quantity",), _set(quantity=30.0)),
    "customer of 105 years": Cause(("customer age",), _set(customer_age=105.0)),
}


def planted(
    transactions: pd.DataFrame, cause: Cause, rows: np.ndarray, each: int, seed: int = 0
) -> tuple[pd.DataFrame, np.ndarray]:
    """A frame in which a cause is planted, in order of time, and the positions that have it.

    rows: (m,) int, of which honest ones of at most so many different customers are taken.
    """
    rng = np.random.default_rng(seed)
    usable = transactions.iloc[rows]
    known = transactions.groupby("customer_id").cumcount().to_numpy()[rows] >= _KNOWN
    usable = usable[known & (usable["is_fraud"] == 0).to_numpy() & cause.fits(usable)]
    usable = usable.sample(frac=1, random_state=seed).drop_duplicates("customer_id").head(each)
    frame, chosen = transactions.copy(), usable.index.to_numpy()
    frame["planted"] = False
    frame.loc[chosen, "planted"] = True
    added = cause.plant(frame, chosen, rng)
    if added is not None:
        frame = pd.concat([frame, added.assign(planted=False)])
    frame = frame.sort_values("timestamp", kind="stable", ignore_index=True)
    return frame.drop(columns="planted"), np.flatnonzero(frame["planted"])


def measured(
    detector: FraudDetector, transactions: pd.DataFrame, rows: np.ndarray, each: int
) -> Iterator[dict]:
    """For each cause: in how many planted transactions it is among the top three reasons.

    `of new alerts`: the same, of those alone that are an alert and were none before.
    """
    ids = transactions["transaction_id"]
    before = pd.Series(detector.score_transactions(transactions) > detector.threshold, index=ids)
    for name, cause in CAUSES.items():
        frame, places = planted(transactions, cause, rows, each)
        mask = np.zeros(len(frame), dtype=bool)
        mask[places] = True
        alerts = detector.score_transactions(frame, mask) > detector.threshold
        alerts &= ~before[frame["transaction_id"].iloc[places]].to_numpy()
        reasons = detector.explain_transactions(frame, places)
        named = np.array([any(r.subject in cause.subjects for r in of_row) for of_row in reasons])
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
