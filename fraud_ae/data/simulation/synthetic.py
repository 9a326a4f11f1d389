"""Transactions of a simulated marketplace with labelled fraud, for demonstrations and tests."""

import numpy as np
import pandas as pd

from fraud_ae.data.columns import SCENARIO
from fraud_ae.data.simulation.marketplace import (
    CATEGORIES,
    CHEAP,
    CITIES,
    CITY_WEIGHT,
    DAY,
    DEAR,
    DEVICES,
    PAYMENTS,
    STRANGER_DEVICE_WEIGHT,
    STRANGER_PAYMENT_WEIGHT,
    STREETS,
    World,
    at_hour,
    draw,
    grouped,
    honest_purchases,
    in_time_order,
    make_customers,
    make_merchants,
    other_address,
    purchases,
)
from fraud_ae.runtime.threads import side_by_side


def _episodes(rng, honest, sizes, n):
    """Split `n` frauds into episodes, each with a victim and a time.

    Both come from an honest purchase, and episodes follow the purchases' cumulative count, so that
    fraud keeps its share of the volume over the whole period.
    """
    episode, place = grouped(sizes, n)
    sizes = np.bincount(episode)
    position = (np.cumsum(sizes) - rng.random(sizes.size) * sizes) / max(n, 1)
    pick = (position * honest["second"].size).astype(np.int64)
    return episode, place, honest["customer"][pick], honest["second"][pick]


def _by_stranger(rng, world, rows, episode, device, address, remote):
    """Somebody else acts: each habit changes for an episode with the given probability."""
    n = episode.max(initial=0) + 1
    city = draw(rng, CITY_WEIGHT, n)
    new = {
        "device": (device, draw(rng, STRANGER_DEVICE_WEIGHT, n)),
        "address": (address, other_address(rng, world.people, n)),
        "payment": (0.5, draw(rng, STRANGER_PAYMENT_WEIGHT, n)),
        "city": (0.5 * remote, city),
        "ip": (remote, (city + 20) * 2**24 + rng.integers(0, 2**24, n)),
    }
    for name, (probability, values) in new.items():
        changed = rng.random(n) < probability
        rows[name] = np.where(changed[episode], values[episode], rows[name])
    return rows


def _move(rows, world, terminal, elasticity=1.0):
    """Move purchases to these merchants, and the amounts towards their prices."""
    price = world.merchants.price
    rows["amount"] = rows["amount"] * (price[terminal] / price[rows["terminal"]]) ** elasticity
    rows["terminal"] = terminal


def _card_testing(rng, world, honest, n):
    sizes = rng.integers(4, 10, n + 1)
    episode, place, customer, second = _episodes(rng, honest, sizes, n)
    second = second + rng.integers(-2 * DAY, 2 * DAY, second.size)
    gap = rng.integers(20, 300, second.size)
    rows = purchases(rng, world, customer[episode], second[episode] + place * gap[episode])
    cheap = world.merchants.draw(rng, n, CHEAP)
    _move(rows, world, np.where(rng.random(n) < 0.4, cheap, rows["terminal"]))
    rows["amount"] = np.exp(rng.normal(1.4, 0.7, n))
    rows["quantity"] = np.ones(n, dtype=np.int64)
    return _by_stranger(rng, world, rows, episode, device=0.5, address=0.1, remote=0.6)


def _account_takeover(rng, world, honest, n):
    sizes = 1 + draw(rng, (0.5, 0.3, 0.2), n + 1)
    episode, place, customer, second = _episodes(rng, honest, sizes, n)
    begin = at_hour(rng, second // DAY, world.people.peak_hour[customer] + 12, 3.5)
    second = begin[episode] + place * rng.integers(300, 7200, n)
    rows = purchases(rng, world, customer[episode], second)
    rows["amount"] = rows["amount"] * np.exp(rng.normal(0.45, 0.3, n))
    return _by_stranger(rng, world, rows, episode, device=0.95, address=0.75, remote=0.75)


def _stolen_card(rng, world, honest, n):
    sizes = rng.integers(1, 5, n + 1)
    episode, place, customer, second = _episodes(rng, honest, sizes, n)
    begin = at_hour(rng, second // DAY, 20.0, 5.0)
    second = begin[episode] + np.minimum(place, 1) * rng.integers(600, DAY * 3 // 2, n)
    rows = purchases(rng, world, customer[episode], second)
    dear = world.merchants.draw(rng, n, DEAR)
    _move(rows, world, np.where(rng.random(n) < 0.5, dear, rows["terminal"]), elasticity=0.7)
    rows["amount"] = rows["amount"] * np.exp(rng.normal(1.1, 0.4, n))
    rows["quantity"] = rows["quantity"] + rng.poisson(0.8, n)
    return _by_stranger(rng, world, rows, episode, device=0.5, address=0.45, remote=0.5)


def _compromised_merchant(rng, world, honest, n):
    n_terminals = world.merchants.price.size
    terminal = rng.integers(0, n_terminals, n + 1)
    window = np.minimum(rng.integers(14, 29, n + 1) * DAY, world.seconds)
    usual = np.bincount(honest["terminal"], minlength=n_terminals)
    usual = np.minimum(usual, usual.mean())[terminal]  # large merchants must not stand out
    sizes = np.maximum(usual * window / world.seconds * 0.7, 2).astype(np.int64)
    episode, _, _, middle = _episodes(rng, honest, sizes, n)
    window = window[: middle.size]
    begin = np.clip(middle - window // 2, 0, world.seconds - window)
    day = (begin[episode] + rng.random(n) * window[episode]).astype(np.int64) // DAY
    customer = rng.permutation(_episodes(rng, honest, np.ones(n + 1, dtype=np.int64), n)[2])
    second = at_hour(rng, day, world.people.peak_hour[customer], 4.0)
    rows = purchases(rng, world, customer, second)
    _move(rows, world, terminal[episode])
    rows["amount"] = rows["amount"] * np.exp(rng.normal(0.4, 0.25, n))
    return rows


FRAUDS = (_card_testing, _account_takeover, _stolen_card, _compromised_merchant)
FRAUD_SHARE = (0.24, 0.29, 0.31, 0.16)
PATTERNS = ("honest", "card_testing", "account_takeover", "stolen_card", "compromised_merchant")


def _text(values, codes):
    return pd.Series(values, dtype="str").take(codes).reset_index(drop=True)


def _numbered(prefix, first, n, width):
    return prefix + pd.Series(np.arange(first, first + n)).astype("str").str.zfill(width)


def _addresses(rng, people):
    """All addresses: the customers' homes, their second ones, and three others per customer."""
    city = np.concatenate((people.city, people.city, draw(rng, CITY_WEIGHT, 3 * people.size)))
    number = np.arange(city.size)
    house = pd.Series(1 + number // len(STREETS)).astype("str")
    return house + " " + _text(STREETS, number % len(STREETS)) + ", " + _text(CITIES, city)


def _frame(rng, world, rows, start):
    people, customer = world.people, rows["customer"]
    octets = [str(number) for number in range(256)]
    addresses = _addresses(rng, people)
    terminals = _numbered("M", 1, world.merchants.price.size, 4)
    moments = np.datetime64(start, "us") + rows["second"].astype("m8[s]")

    def ip_address():
        a, b, c, d = (_text(octets, rows["ip"] >> shift & 255) for shift in (24, 16, 8, 0))
        return a + "." + b + "." + c + "." + d

    columns = {
        "transaction_id": lambda: _numbered("T", 1, customer.size, 7),
        "customer_id": lambda: _text(_numbered("C", 1, people.size, 5), customer),
        "timestamp": lambda: pd.DatetimeIndex(moments).tz_localize("UTC"),
        "amount": lambda: np.maximum(rows["amount"], 0.5).round(2),
        "is_fraud": lambda: (rows["pattern"] > 0).astype(np.int8),
        "quantity": lambda: rows["quantity"].astype(np.float64),
        "customer_age": lambda: people.age[customer],
        "account_age_days": lambda: np.maximum(
            (rows["second"] - people.joined[customer]) // DAY, 0.0
        ),
        "payment_method": lambda: _text(PAYMENTS, rows["payment"]),
        "product_category": lambda: _text(CATEGORIES, world.merchants.category[rows["terminal"]]),
        "device": lambda: _text(DEVICES, rows["device"]),
        "customer_location": lambda: _text(CITIES, rows["city"]),
        "shipping_address": lambda: _text(addresses, rows["address"]),
        "billing_address": lambda: _text(addresses, customer),
        "ip_address": ip_address,
        "terminal_id": lambda: _text(terminals, rows["terminal"]),
    }
    made = side_by_side(*columns.values(), rows=len(customer))
    return pd.DataFrame(dict(zip(columns, made, strict=True)), copy=False)


def _first_day(start):
    try:
        moment = pd.to_datetime(str(start), utc=True)  # as text, so that no number is a date
        return np.datetime64(moment.strftime("%Y-%m-%d"), "D")
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"start is {start!r}; it should be a date such as '2024-01-01'") from None


def _whole(name, value, least, most=10**9):
    if not (isinstance(value, int | np.integer) and least <= value <= most):
        raise ValueError(f"{name} is {value!r}; it should be a whole number, {least} to {most}")


def simulate(
    n_transactions: int = 100_000,
    n_customers: int | None = None,
    n_terminals: int | None = None,
    days: int = 180,
    fraud_ratio: float = 0.025,
    start: str = "2024-01-01",
    seed: int = 7,
) -> tuple[pd.DataFrame, pd.Series]:
    """Simulate an online marketplace with fraud that overlaps its customers' honest habits.

    Returns `n_transactions` rows, sorted by time, with the columns of
    `fraud_ae.data.columns.CANONICAL`, and apart from them the pattern of each, one of PATTERNS:
    (n,) str. `timestamp` is datetime64[us, UTC] in whole seconds within `days` days from `start`,
    `amount` float64 above 0 in cents, `is_fraud` int8, the other numeric columns whole float64
    (`customer_age` is missing for about 1 % of the customers) and everything else str. A share
    `fraud_ratio` of the rows is fraud: card testing, account takeover, stolen cards and compromised
    merchants, at the same rates all through the period. By default there are 25 purchases per
    customer and 170 per terminal (merchant). The same arguments always give the same frame.

    Raises ValueError, naming the argument, for sizes that are too small (100 transactions, 10
    customers, 10 terminals, 1 day), a `fraud_ratio` outside (0, 0.5) or a `start` that is no date.

    Customers with habits of their own and terminals compromised for a few weeks follow the
    simulator of Le Borgne et al., "Reproducible Machine Learning for Credit Card Fraud Detection -
    Practical Handbook" (2022), chapter 3.
    """
    _whole("n_transactions", n_transactions, 100)
    if n_customers is None:
        n_customers = max(n_transactions // 25, 50)
    if n_terminals is None:
        n_terminals = max(n_transactions // 170, 20)
    _whole("n_customers", n_customers, 10)
    _whole("n_terminals", n_terminals, len(CATEGORIES))
    _whole("days", days, 1, 36_500)
    _whole("seed", seed, 0, 2**63)
    if not (isinstance(fraud_ratio, int | float | np.floating) and 0 < fraud_ratio < 0.5):
        raise ValueError(f"fraud_ratio is {fraud_ratio!r}; it should be between 0 and 0.5")
    first_day = _first_day(start)

    rng = np.random.default_rng(seed)
    merchants = make_merchants(rng, n_terminals)
    people = make_customers(rng, n_customers, merchants, days * DAY)
    world = World(people, merchants, days * DAY, int(first_day.astype(int) + 3) % 7)
    n_fraud = max(round(n_transactions * fraud_ratio), 1)
    honest = honest_purchases(rng, world, n_transactions - n_fraud)
    sizes = np.diff((np.cumsum((0, *FRAUD_SHARE)) * n_fraud).round().astype(int))
    parts = [fraud(rng, world, honest, n) for fraud, n in zip(FRAUDS, sizes, strict=True)]
    rows = {name: np.concatenate([part[name] for part in (honest, *parts)]) for name in honest}
    rows["pattern"] = np.repeat(np.arange(len(PATTERNS)), (n_transactions - n_fraud, *sizes))
    rows = in_time_order(rows)
    patterns = _text(PATTERNS, rows["pattern"]).rename(SCENARIO)
    return _frame(rng, world, rows, first_day), patterns


def generate_transactions(*arguments, **settings) -> pd.DataFrame:
    """The transactions of `simulate`, which takes the same arguments, without their pattern."""
    return simulate(*arguments, **settings)[0]
