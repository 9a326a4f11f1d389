"""The card transactions of the Fraud Detection Handbook, simulated, to any number of days.

python -m benchmarks.handbook_simulation handbook.parquet
python -m benchmarks.handbook_simulation handbook.parquet --days 60

The simulator of the book (Le Borgne, Siblini, Lebichot and Bontempi, 2022, chapter 3.2): customers
and terminals lie in a square of 100 by 100, and a customer pays at terminals nearby. Every value is
drawn as there, in the same order from the same seeds, so that the default is the book's own data:
5,000 customers, 10,000 terminals, 183 days from 2018-04-01. Transactions of the same second are
put in order of their customer; in the book their order depends on the processor. Fraud is

1. every amount over 220,
2. everything at two terminals a day, for 28 days from then on,
3. a third of what three customers a day pay in the next 14 days, at five times the amount.

The file has the columns that `conf/data/handbook.yaml` names. It takes a minute or two.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress

from benchmarks.measuring import parser
from fraud_ae.errors import UserError, exit_on_user_error

START = "2018-04-01"
DAY_SECONDS = 86_400
# Of the moments of a day: most people pay about noon.
_NOON, _SPREAD = DAY_SECONDS / 2, 20_000
LARGE_AMOUNT = 220.0
TERMINALS_A_DAY, TERMINAL_DAYS = 2, 28
CUSTOMERS_A_DAY, CUSTOMER_DAYS, STOLEN_FACTOR = 3, 14, 5
_TYPES = {
    "TRANSACTION_ID": "int32",
    "TX_DATETIME": "datetime64[ms]",
    "CUSTOMER_ID": "int16",
    "TERMINAL_ID": "int16",
    "TX_AMOUNT": "float64",
    "TX_FRAUD": "int8",
    "TX_FRAUD_SCENARIO": "int8",
}


@dataclass(frozen=True)
class World:
    """How large it is; the defaults are the book's.

    radius: how far a customer goes to a terminal, in a square of 100 by 100.
    """

    customers: int = 5_000
    terminals: int = 10_000
    days: int = 183
    radius: float = 5.0


def simulate(world: World, advance: Callable[[], None] = lambda: None) -> pd.DataFrame:
    """All transactions of a world, in order of time, with the columns of the book's data.

    A shorter world is the beginning of a longer one, but for which payments of its last two weeks
    are fraud. advance: called after each customer.
    """
    # x, y, mean amount, payments a day.
    low, high = (0, 0, 5, 0), (100, 100, 100, 4)
    customers = np.random.RandomState(0).uniform(low, high, (world.customers, 4))
    terminals = np.random.RandomState(1).uniform(0, 100, (world.terminals, 2))
    parts = []
    for customer, (x, y, mean, per_day) in enumerate(customers.tolist()):
        near = np.flatnonzero(((terminals - (x, y)) ** 2).sum(axis=1) ** 0.5 < world.radius)
        parts.append(_payments(customer, near.tolist(), mean, per_day, world.days))
        advance()
    columns = ["customer", "terminal", "seconds", "amount"]
    payments = pd.concat([pd.DataFrame(part, columns=columns) for part in parts])
    if payments.empty:
        raise UserError("nobody pays in a world as small as this: more customers or days")
    payments = payments.sort_values("seconds", kind="stable", ignore_index=True)
    seconds = payments["seconds"].to_numpy(np.int64)
    amounts = payments["amount"].to_numpy(np.float64).round(2)
    amounts, scenario = _with_frauds(payments, seconds // DAY_SECONDS, amounts, world)
    columns = {
        "TRANSACTION_ID": np.arange(len(payments)),
        "TX_DATETIME": np.datetime64(START, "s") + seconds,
        "CUSTOMER_ID": payments["customer"],
        "TERMINAL_ID": payments["terminal"],
        "TX_AMOUNT": amounts,
        "TX_FRAUD": scenario > 0,
        "TX_FRAUD_SCENARIO": scenario,
    }
    return pd.DataFrame(columns).astype(_TYPES)


def _payments(
    customer: int, near: list[int], mean: float, per_day: float, days: int
) -> list[tuple[int, int, int, float]]:
    """Customer, terminal, seconds since the start and amount of all payments of a customer.

    One by one: how many numbers a payment takes depends on the ones before, and all are drawn from
    one stream.
    """
    if not near:
        return []
    stream, choices = np.random.RandomState(customer), random.Random(customer)
    paid = []
    for day in range(days):
        for _ in range(stream.poisson(per_day)):
            second = int(stream.normal(_NOON, _SPREAD))
            if 0 < second < DAY_SECONDS:
                amount = stream.normal(mean, mean / 2)
                if amount < 0:
                    amount = stream.uniform(0, mean * 2)
                paid.append((customer, choices.choice(near), day * DAY_SECONDS + second, amount))
    return paid


def _with_frauds(
    payments: pd.DataFrame, days: np.ndarray, amounts: np.ndarray, world: World
) -> tuple[np.ndarray, np.ndarray]:
    """Amounts, (n,), in which stolen details are used, and the scenario of each row, 0 for none."""
    amounts = amounts.copy()
    scenario = (amounts > LARGE_AMOUNT).astype(np.int8)
    terminals, customers = payments["terminal"].to_numpy(), payments["customer"].to_numpy()
    # As in the book, nothing begins on the last day.
    begins = range(days[-1])

    def rows_of(entities: np.ndarray, chosen: pd.Series, day: int, for_days: int) -> np.ndarray:
        first, end = np.searchsorted(days, (day, day + for_days))
        return first + np.flatnonzero(np.isin(entities[first:end], chosen))

    for day in begins:
        chosen = pd.Series(range(world.terminals)).sample(TERMINALS_A_DAY, random_state=day)
        scenario[rows_of(terminals, chosen, day, TERMINAL_DAYS)] = 2
    for day in begins:
        chosen = pd.Series(range(world.customers)).sample(CUSTOMERS_A_DAY, random_state=day)
        rows = rows_of(customers, chosen, day, CUSTOMER_DAYS).tolist()
        stolen = random.Random(day).sample(rows, len(rows) // 3)
        amounts[stolen] *= STOLEN_FACTOR
        scenario[stolen] = 3
    return amounts, scenario


@exit_on_user_error
def main() -> None:
    """Simulate, and write the file."""
    options = parser(__doc__)
    options.add_argument("out", type=Path, help="Parquet file to write")
    options.add_argument("--days", type=int, default=World.days, help="from 2018-04-01 on (183)")
    given = options.parse_args()
    if given.days < 2:
        options.error("--days must be 2 or more")
    world = World(days=given.days)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("customers", total=world.customers)
        transactions = simulate(world, lambda: progress.advance(task))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    transactions.to_parquet(given.out, index=False)
    frauds = transactions["TX_FRAUD"].mean()
    print(f"{len(transactions):,} transactions, {frauds:.2%} fraud, written to {given.out}")


if __name__ == "__main__":
    main()
