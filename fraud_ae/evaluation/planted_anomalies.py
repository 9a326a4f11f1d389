"""Anomalies of stated kinds, planted in copies of transactions, where no label says what is fraud.

A detector that ranks them above the transactions that they are copies of sees what is unusual. How
well it finds the frauds of a data set is another question, which only labels answer.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraud_ae.data.columns import CANONICAL
from fraud_ae.errors import UserError

# A customer of whom less is known has no habits that a transaction could break.
_LEAST_EARLIER = 5
# With fewer customers, several copies are of the same one.
_LEAST_CUSTOMERS = 50
_NEVER_SEEN = "never seen before"

Plant = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame | None]


@dataclass(frozen=True)
class AnomalyKind:
    """One thing that is wrong with a transaction.

    plant: changes a frame of copies, (m, d), and may return further transactions that belong to
    them. columns: what it cannot do without. fits: in which transactions it can be planted, (m,)
    bool. moves_time: whether it needs to know when transactions were.
    """

    plant: Plant
    columns: tuple[str, ...]
    fits: Callable[[pd.DataFrame], pd.Series | None] = lambda rows: None
    moves_time: bool = False


def _set(column: str, value: object) -> Plant:
    def plant(copies: pd.DataFrame, rng: np.random.Generator) -> None:
        copies[column] = value

    return plant


def _high_amount(copies: pd.DataFrame, rng: np.random.Generator) -> None:
    copies["amount"] = (copies["amount"] * rng.uniform(10, 20, len(copies))).round(2)


def _burst(copies: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Five purchases in the minutes before."""
    purchases = []
    for number in range(1, 6):
        earlier = copies.copy()
        earlier["timestamp"] -= pd.to_timedelta(
            number * 60 + rng.integers(0, 30, len(copies)), unit="s"
        )
        earlier["transaction_id"] += f"-{number}"
        purchases.append(earlier)
    return pd.concat(purchases)


def _night(copies: pd.DataFrame, rng: np.random.Generator) -> None:
    minutes = pd.to_timedelta(180 + rng.integers(0, 60, len(copies)), unit="min")
    copies["timestamp"] = copies["timestamp"].dt.floor("D") + minutes


def _by_day(rows: pd.DataFrame) -> pd.Series:
    return rows["timestamp"].dt.hour.between(10, 20)


KINDS = {
    "amount 10 to 20 times": AnomalyKind(
        _high_amount, ("amount",), lambda rows: rows["amount"] > 0
    ),
    "device never seen": AnomalyKind(_set("device", _NEVER_SEEN), ("device",)),
    "6 purchases in minutes": AnomalyKind(_burst, ("customer_id",), moves_time=True),
    "at 3 o'clock": AnomalyKind(_night, (), _by_day, moves_time=True),
    "shipping address of nobody": AnomalyKind(
        _set("shipping_address", _NEVER_SEEN),
        ("shipping_address", "billing_address"),
        lambda rows: rows["shipping_address"] == rows["billing_address"],
    ),
    "payment method never seen": AnomalyKind(
        _set("payment_method", _NEVER_SEEN), ("payment_method",)
    ),
    "category never seen": AnomalyKind(
        _set("product_category", _NEVER_SEEN), ("product_category",)
    ),
    "location never seen": AnomalyKind(
        _set("customer_location", _NEVER_SEEN), ("customer_location",)
    ),
    "account of today": AnomalyKind(
        _set("account_age_days", 0.0),
        ("account_age_days",),
        lambda rows: rows["account_age_days"] > 60,
    ),
    "30 items": AnomalyKind(_set("quantity", 30.0), ("quantity",)),
    "customer of 105 years": AnomalyKind(_set("customer_age", 105.0), ("customer_age",)),
}


def anomaly_kinds(transactions: pd.DataFrame, has_times: bool = True) -> dict[str, AnomalyKind]:
    """The kinds that can be planted in transactions, (n, d) canonical, by name.

    Beside KINDS, one for columns of the source's own: a number far outside its range, a category
    never seen. has_times: whether their times are known; without them, none is planted that moves
    one.
    """
    kinds = {
        name: kind
        for name, kind in KINDS.items()
        if set(kind.columns) <= set(transactions) and (has_times or not kind.moves_time)
    }
    further = transactions.drop(columns=[c for c in CANONICAL if c in transactions])
    numbers = further.select_dtypes("number").columns.tolist()
    categories = further.select_dtypes(exclude="number").columns.tolist()
    if numbers:
        kinds["number out of range"] = AnomalyKind(_out_of_range(transactions[numbers]), ())
    if categories:
        kinds["further category never seen"] = AnomalyKind(_one_of(categories, _NEVER_SEEN), ())
    return kinds


def _out_of_range(numbers: pd.DataFrame) -> Plant:
    """One of the numbers of each copy becomes as far above the highest as that is above the lowest.

    Where all values are equal, 1 above them.
    """
    highest, spread = numbers.max(), numbers.max() - numbers.min()
    beyond = (highest + spread.where(spread > 0, 1.0)).astype("float64")

    def plant(copies: pd.DataFrame, rng: np.random.Generator) -> None:
        chosen = rng.integers(0, len(beyond), len(copies))
        for position, (column, value) in enumerate(beyond.items()):
            copies[column] = copies[column].astype("float64").mask(chosen == position, value)

    return plant


def _one_of(columns: list[str], value: str) -> Plant:
    def plant(copies: pd.DataFrame, rng: np.random.Generator) -> None:
        chosen = rng.integers(0, len(columns), len(copies))
        for position, column in enumerate(columns):
            copies[column] = copies[column].mask(chosen == position, value)

    return plant


@dataclass(frozen=True)
class PlantedTransactions:
    """Transactions with copies of some of them that have an anomaly of one kind.

    transactions: (n + m, d) canonical, in order of time. copies: (m,) int, the positions of the
    copies. originals: (m,) int, those of what they are copies of among the n.
    """

    kind: str
    transactions: pd.DataFrame
    copies: np.ndarray
    originals: np.ndarray


def planted(
    transactions: pd.DataFrame,
    rows: np.ndarray,
    *,
    most: int = 200,
    has_times: bool = True,
    kinds: Mapping[str, AnomalyKind] | None = None,
) -> Iterator[PlantedTransactions]:
    """For each kind, transactions with copies of at most so many of them that have its anomaly.

    transactions: (n, d) canonical, in order of time. rows: (n,) bool, of which copies are made: of
    as many different customers as there are, and of such as have some history, where there are
    enough. The same transactions give the same copies. has_times: see `anomaly_kinds`.
    kinds: by name; None for all that can be. Raises UserError where no kind can be planted.
    """
    positions = np.flatnonzero(rows)
    if "customer_id" in transactions:
        earlier = transactions.groupby("customer_id", dropna=False).cumcount().to_numpy()
        with_history = positions[earlier[positions] >= _LEAST_EARLIER]
        if transactions["customer_id"].iloc[with_history].nunique() >= _LEAST_CUSTOMERS:
            positions = with_history
    if kinds is None:
        kinds = anomaly_kinds(transactions.iloc[positions], has_times)
    any_planted = False
    for number, (name, kind) in enumerate(kinds.items()):
        rng = np.random.default_rng(number)
        usable = transactions.iloc[positions]
        fits = kind.fits(usable)
        where = positions if fits is None else positions[fits.fillna(False).to_numpy(bool)]
        originals = np.sort(_one_of_each_customer(transactions, rng.permutation(where), most))
        if len(originals) == 0:
            continue
        any_planted = True
        yield _with_copies(transactions, name, kind, originals, rng)
    if not any_planted:
        raise UserError(
            "objective=planted_auc: none of the anomalies that can be planted has its columns in "
            f"these transactions: {', '.join(KINDS)}, or extra_columns and extra_categories"
        )


def _one_of_each_customer(transactions: pd.DataFrame, rows: np.ndarray, most: int) -> np.ndarray:
    if "customer_id" in transactions:
        is_first = ~transactions["customer_id"].iloc[rows].duplicated().to_numpy()
        if is_first.sum() >= _LEAST_CUSTOMERS:
            rows = rows[is_first]
    return rows[:most]


def _with_copies(
    transactions: pd.DataFrame,
    name: str,
    kind: AnomalyKind,
    originals: np.ndarray,
    rng: np.random.Generator,
) -> PlantedTransactions:
    copies = transactions.iloc[originals].copy()
    copies["transaction_id"] += " planted"
    belonging = kind.plant(copies, rng)
    numbers = np.full(len(transactions), -1)
    frames, labels = [transactions, copies], [numbers, np.arange(len(copies))]
    if belonging is not None:
        frames.append(belonging)
        labels.append(np.full(len(belonging), -1))
    frame = pd.concat(frames, ignore_index=True)
    # Transactions of the same time do not see one another, so that their order means nothing.
    order = np.argsort(frame["timestamp"].to_numpy(), kind="stable")
    copy_of = np.concatenate(labels)[order]
    places = np.empty(len(copies), dtype=np.int64)
    found = np.flatnonzero(copy_of >= 0)
    places[copy_of[found]] = found
    return PlantedTransactions(name, frame.iloc[order].reset_index(drop=True), places, originals)
