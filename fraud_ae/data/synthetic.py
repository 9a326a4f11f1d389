"""A simulated online marketplace with labelled fraud, for demonstrations and tests."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from fraud_ae.data.columns import CANONICAL

DAY = 86_400

CATEGORIES = ("digital", "games", "groceries", "books", "beauty", "clothing")
CATEGORIES += ("toys & sports", "home & garden", "electronics", "jewellery")
CATEGORY_PRICE = np.array((0.25, 0.35, 0.6, 0.45, 0.7, 0.95, 0.9, 1.2, 2.0, 2.4))
CATEGORY_WEIGHT = np.array((1.0, 0.8, 2.2, 1.1, 1.0, 1.7, 1.0, 1.3, 1.0, 0.35))
ALL, CHEAP, DEAR = (0, 10), (0, 4), (8, 10)  # [first, past the last) category

PAYMENTS = ("credit card", "debit card", "PayPal", "bank transfer", "gift card")
DEVICES = ("iPhone 15", "iPhone 13", "Galaxy S23", "Galaxy A54", "Pixel 8", "Redmi Note 12")
DEVICES += ("iPad", "Galaxy Tab", "Windows laptop", "MacBook", "Windows desktop", "Linux desktop")
PAYMENT_WEIGHT = (0.4, 0.27, 0.2, 0.1, 0.03)
DEVICE_WEIGHT = (0.15, 0.13, 0.12, 0.11, 0.05, 0.07, 0.06, 0.03, 0.14, 0.08, 0.05, 0.01)
# Fraudsters prefer cheap phones, emulators and payments that are hard to recall.
STRANGER_PAYMENT_WEIGHT = (0.35, 0.12, 0.05, 0.18, 0.3)
STRANGER_DEVICE_WEIGHT = (0.08, 0.06, 0.06, 0.1, 0.1, 0.14, 0.04, 0.12, 0.1, 0.03, 0.05, 0.12)

_TOWNS = ("Ash", "Brook", "Clay", "Dun", "East", "Fair", "Glen", "Hart", "Kings", "Lang")
CITIES = [a + b for a in _TOWNS for b in ("ton", "ford", "field", "mouth", "bury", "wick")]
CITY_WEIGHT = 1 / (np.arange(len(CITIES)) + 3)
_ROADS = ("Oak", "High", "Mill", "Church", "Park", "Station", "Lake", "School")
STREETS = [f"{a} {b}" for a in _ROADS for b in ("Street", "Road", "Lane", "Avenue", "Close")]


@dataclass(frozen=True)
class Merchants:
    """Terminals in order of category; `edges` is the cumulative popularity, from 0 to 1."""

    category: np.ndarray
    price: np.ndarray
    edges: np.ndarray

    def draw(self, rng, size, categories=ALL):
        low, high = self.edges[np.searchsorted(self.category, categories)]
        share = low + rng.random(size) * (high - low)
        return np.searchsorted(self.edges[1:-1], share, side="right")


@dataclass(frozen=True)
class World:
    """`people` holds one array per habit; times are seconds since midnight of the first day."""

    people: SimpleNamespace
    merchants: Merchants
    seconds: int
    first_weekday: int


def _draw(rng, weights, size):
    cdf = np.cumsum(weights)
    return np.searchsorted(cdf[:-1], rng.random(size) * cdf[-1], side="right")


def _merchants(rng, n):
    category = np.arange(n) * len(CATEGORIES) // n
    price = CATEGORY_PRICE[category] * np.exp(rng.normal(0, 0.3, n))
    popularity = CATEGORY_WEIGHT[category] * np.exp(rng.normal(0, 0.5, n))
    edges = np.concatenate(([0.0], np.cumsum(popularity) / popularity.sum()))
    return Merchants(category, price, edges)


def _customers(rng, n, merchants, seconds):
    newcomer = rng.random(n) < 0.25
    joined = np.where(newcomer, rng.random(n) * 0.95 * seconds, -rng.exponential(500 * DAY, n))
    n_devices = 1 + _draw(rng, (0.4, 0.4, 0.2), n)
    devices = _draw(rng, DEVICE_WEIGHT, (n, 3))
    age = np.clip(rng.normal(42, 14, n).round(), 18, 90)
    return SimpleNamespace(
        size=n,
        level=np.exp(rng.normal(4.0, 0.55, n)),
        age=np.where(rng.random(n) < 0.01, np.nan, age),
        joined=joined.astype(np.int64),
        activity=rng.gamma(1.5, 1.0, n) + 0.05,
        peak_hour=np.where(rng.random(n) < 0.7, rng.normal(19, 2.5, n), rng.normal(11, 3, n)),
        regularity=rng.uniform(1.2, 3.5, n),
        weekend=rng.random(n) * 0.5,
        devices=np.take_along_axis(devices, np.arange(3) % n_devices[:, None], axis=1),
        city=_draw(rng, CITY_WEIGHT, n),
        payment=_draw(rng, PAYMENT_WEIGHT, n),
        second_address=rng.random(n) < 0.25,
        favourites=merchants.draw(rng, (n, 5)),
    )


def _at_hour(rng, day, hour, spread):
    hour = (hour + rng.normal(0, 1, day.size) * spread) % 24
    return day * DAY + (hour * 3600).astype(np.int64)


def _split(sizes, n):
    """Lay groups of these sizes over `n` rows: each row's group and its place in the group."""
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), n) + 1]
    group = np.repeat(np.arange(sizes.size), sizes)[:n]
    return group, np.arange(n) - (np.cumsum(sizes) - sizes)[group]


def _purchases(rng, world, customer, second):
    """What these customers would honestly buy at these times; fraud starts from this, too."""
    people, n = world.people, customer.size
    second = np.abs(second) % (2 * world.seconds)  # fold times outside the period back into it
    second = np.minimum(second, 2 * world.seconds - 1 - second)
    odd = rng.random(n) < 0.05  # holidays, gifts, journeys: many habits change at once

    def happens(usually, when_odd):
        return rng.random(n) < np.where(odd, when_odd, usually)

    favourite = people.favourites[customer, (5 * rng.random(n) ** 2).astype(np.int64)]
    terminal = np.where(happens(0.3, 0.6), world.merchants.draw(rng, n), favourite)
    quantity = np.minimum(rng.geometric(0.7, n), 8)
    amount = people.level[customer] * world.merchants.price[terminal] * quantity**0.5
    amount *= np.exp(rng.normal(0, 0.45, n))
    amount *= np.where(happens(0.03, 0.35), np.exp(rng.normal(1.0, 0.4, n)), 1.0)
    amount *= np.where(happens(0.05, 0.1), rng.uniform(0.05, 0.3, n), 1.0)
    own = people.devices[customer, (3 * rng.random(n)).astype(np.int64)]
    away = happens(0.03, 0.4)
    city = np.where(away, _draw(rng, CITY_WEIGHT, n), people.city[customer])
    home = customer + people.size * (people.second_address[customer] & (rng.random(n) < 0.35))
    lease = (second // DAY + customer * 7) // 25  # providers change a home's address now and then
    home_ip = (customer * 2_654_435_761 + lease * 97_003_231) % 2**24
    mobile = away | (rng.random(n) < 0.25)
    payment = np.where(happens(0.12, 0.3), _draw(rng, PAYMENT_WEIGHT, n), people.payment[customer])
    return {
        "customer": customer,
        "second": second,
        "amount": amount,
        "quantity": quantity,
        "terminal": terminal,
        "payment": payment,
        "device": np.where(happens(0.03, 0.4), _draw(rng, DEVICE_WEIGHT, n), own),
        "city": city,
        "address": np.where(happens(0.03, 0.4), _other_address(rng, people, n), home),
        "ip": (city + 20) * 2**24 + np.where(mobile, rng.integers(0, 2**24, n), home_ip),
    }


def _other_address(rng, people, n):
    return rng.integers(2 * people.size, 5 * people.size, n)


def _honest(rng, world, n):
    people = world.people
    visit, place = _split(1 + _draw(rng, (0.9, 0.05, 0.03, 0.02), n), n)
    n_visits = visit[-1] + 1
    since = np.maximum(people.joined, 0)
    customer = _draw(rng, people.activity * (1 - since / world.seconds), n_visits)
    since = since[customer]
    day = (since + rng.random(n_visits) * (world.seconds - since)).astype(np.int64) // DAY
    weekday = (day + world.first_weekday) % 7
    to_weekend = (weekday < 5) & (rng.random(n_visits) < people.weekend[customer])
    day = np.where(to_weekend, day + 5 - weekday + (rng.random(n_visits) < 0.5), day)
    spread = np.where(rng.random(n_visits) < 0.85, people.regularity[customer], 8.0)
    arrival = _at_hour(rng, day, people.peak_hour[customer], spread)
    second = arrival[visit] + place * rng.integers(30, 400, n_visits)[visit]
    return _in_time_order(_purchases(rng, world, customer[visit], second))


def _in_time_order(rows):
    order = np.argsort(rows["second"], kind="stable")
    return {name: values[order] for name, values in rows.items()}


def _episodes(rng, honest, sizes, n):
    """Split `n` frauds into episodes, each with a victim and a time.

    Both come from an honest purchase, and episodes follow the purchases' cumulative count, so that
    fraud keeps its share of the volume over the whole period.
    """
    episode, place = _split(sizes, n)
    sizes = np.bincount(episode)
    position = (np.cumsum(sizes) - rng.random(sizes.size) * sizes) / max(n, 1)
    pick = (position * honest["second"].size).astype(np.int64)
    return episode, place, honest["customer"][pick], honest["second"][pick]


def _by_stranger(rng, world, rows, episode, device, address, remote):
    """Somebody else acts: each habit changes for an episode with the given probability."""
    n = episode.max(initial=0) + 1
    city = _draw(rng, CITY_WEIGHT, n)
    new = {
        "device": (device, _draw(rng, STRANGER_DEVICE_WEIGHT, n)),
        "address": (address, _other_address(rng, world.people, n)),
        "payment": (0.5, _draw(rng, STRANGER_PAYMENT_WEIGHT, n)),
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
    rows = _purchases(rng, world, customer[episode], second[episode] + place * gap[episode])
    cheap = world.merchants.draw(rng, n, CHEAP)
    _move(rows, world, np.where(rng.random(n) < 0.4, cheap, rows["terminal"]))
    rows["amount"] = np.exp(rng.normal(1.4, 0.7, n))
    rows["quantity"] = np.ones(n, dtype=np.int64)
    return _by_stranger(rng, world, rows, episode, device=0.5, address=0.1, remote=0.6)


def _account_takeover(rng, world, honest, n):
    sizes = 1 + _draw(rng, (0.5, 0.3, 0.2), n + 1)
    episode, place, customer, second = _episodes(rng, honest, sizes, n)
    begin = _at_hour(rng, second // DAY, world.people.peak_hour[customer] + 12, 3.5)
    second = begin[episode] + place * rng.integers(300, 7200, n)
    rows = _purchases(rng, world, customer[episode], second)
    rows["amount"] = rows["amount"] * np.exp(rng.normal(0.45, 0.3, n))
    return _by_stranger(rng, world, rows, episode, device=0.95, address=0.75, remote=0.75)


def _stolen_card(rng, world, honest, n):
    sizes = rng.integers(1, 5, n + 1)
    episode, place, customer, second = _episodes(rng, honest, sizes, n)
    begin = _at_hour(rng, second // DAY, 20.0, 5.0)
    second = begin[episode] + np.minimum(place, 1) * rng.integers(600, DAY * 3 // 2, n)
    rows = _purchases(rng, world, customer[episode], second)
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
    second = _at_hour(rng, day, world.people.peak_hour[customer], 4.0)
    rows = _purchases(rng, world, customer, second)
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
    city = np.concatenate((people.city, people.city, _draw(rng, CITY_WEIGHT, 3 * people.size)))
    number = np.arange(city.size)
    house = pd.Series(1 + number // len(STREETS)).astype("str")
    return house + " " + _text(STREETS, number % len(STREETS)) + ", " + _text(CITIES, city)


def _frame(rng, world, rows, start):
    people, customer = world.people, rows["customer"]
    octets = [str(number) for number in range(256)]
    a, b, c, d = (_text(octets, rows["ip"] >> shift & 255) for shift in (24, 16, 8, 0))
    addresses = _addresses(rng, people)
    terminals = _numbered("M", 1, world.merchants.price.size, 4)
    moments = np.datetime64(start, "us") + rows["second"].astype("m8[s]")
    columns = {
        "transaction_id": _numbered("T", 1, customer.size, 7),
        "customer_id": _text(_numbered("C", 1, people.size, 5), customer),
        "timestamp": pd.DatetimeIndex(moments).tz_localize("UTC"),
        "amount": np.maximum(rows["amount"], 0.5).round(2),
        "is_fraud": (rows["pattern"] > 0).astype(np.int8),
        "quantity": rows["quantity"].astype(np.float64),
        "customer_age": people.age[customer],
        "account_age_days": np.maximum((rows["second"] - people.joined[customer]) // DAY, 0.0),
        "payment_method": _text(PAYMENTS, rows["payment"]),
        "product_category": _text(CATEGORIES, world.merchants.category[rows["terminal"]]),
        "device": _text(DEVICES, rows["device"]),
        "customer_location": _text(CITIES, rows["city"]),
        "shipping_address": _text(addresses, rows["address"]),
        "billing_address": _text(addresses, customer),
        "ip_address": a + "." + b + "." + c + "." + d,
        "terminal_id": _text(terminals, rows["terminal"]),
    }
    return pd.DataFrame(columns)[list(CANONICAL)]


def _first_day(start):
    try:
        moment = pd.to_datetime(str(start), utc=True)  # as text, so that no number is a date
        return np.datetime64(moment.strftime("%Y-%m-%d"), "D")
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"start is {start!r}; it should be a date such as '2024-01-01'") from None


def _whole(name, value, least, most=10**9):
    if not (isinstance(value, int | np.integer) and least <= value <= most):
        raise ValueError(f"{name} is {value!r}; it should be a whole number, {least} to {most}")


def _simulate(n_transactions, n_customers, n_terminals, days, fraud_ratio, start, seed):
    """The transactions, and for each its pattern as a position in PATTERNS."""
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
    merchants = _merchants(rng, n_terminals)
    people = _customers(rng, n_customers, merchants, days * DAY)
    world = World(people, merchants, days * DAY, int(first_day.astype(int) + 3) % 7)
    n_fraud = max(round(n_transactions * fraud_ratio), 1)
    honest = _honest(rng, world, n_transactions - n_fraud)
    sizes = np.diff((np.cumsum((0, *FRAUD_SHARE)) * n_fraud).round().astype(int))
    parts = [fraud(rng, world, honest, n) for fraud, n in zip(FRAUDS, sizes, strict=True)]
    rows = {name: np.concatenate([part[name] for part in (honest, *parts)]) for name in honest}
    rows["pattern"] = np.repeat(np.arange(len(PATTERNS)), (n_transactions - n_fraud, *sizes))
    rows = _in_time_order(rows)
    return _frame(rng, world, rows, first_day), rows["pattern"]


def generate_transactions(
    n_transactions: int = 100_000,
    n_customers: int | None = None,
    n_terminals: int | None = None,
    days: int = 180,
    fraud_ratio: float = 0.025,
    start: str = "2024-01-01",
    seed: int = 7,
) -> pd.DataFrame:
    """Simulate an online marketplace with fraud that overlaps its customers' honest habits.

    Returns `n_transactions` rows, sorted by time, with the columns of
    `fraud_ae.data.columns.CANONICAL`: `timestamp` as datetime64[us, UTC] in whole seconds within
    `days` days from `start`, `amount` as float64 above 0 in cents, `is_fraud` as int8, the other
    numeric columns as whole float64 (`customer_age` is missing for about 1 % of the customers) and
    everything else as str. A share `fraud_ratio` of the rows is fraud: card testing, account
    takeover, stolen cards and compromised merchants, at the same rates all through the period.
    By default there are 25 purchases per customer and 170 per terminal (merchant). The same
    arguments always give the same frame.

    Raises ValueError, naming the argument, for sizes that are too small (100 transactions, 10
    customers, 10 terminals, 1 day), a `fraud_ratio` outside (0, 0.5) or a `start` that is no date.

    Customers with habits of their own and terminals compromised for a few weeks follow the
    simulator of Le Borgne et al., "Reproducible Machine Learning for Credit Card Fraud Detection -
    Practical Handbook" (2022), chapter 3.
    """
    return _simulate(n_transactions, n_customers, n_terminals, days, fraud_ratio, start, seed)[0]
