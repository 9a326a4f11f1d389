"""A simulated marketplace: merchants, customers and their habits, and what they honestly buy."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from fraud_ae.runtime.threads import side_by_side

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


def draw(rng, weights, size):
    """Indices drawn in proportion to weights (k,): int64, shape (size,)."""
    cdf = np.cumsum(weights)
    return np.searchsorted(cdf[:-1], rng.random(size) * cdf[-1], side="right")


def make_merchants(rng, n):
    """`n` merchants, of unequal popularity, each with a category and a price level."""
    category = np.arange(n) * len(CATEGORIES) // n
    price = CATEGORY_PRICE[category] * np.exp(rng.normal(0, 0.3, n))
    popularity = CATEGORY_WEIGHT[category] * np.exp(rng.normal(0, 0.5, n))
    edges = np.concatenate(([0.0], np.cumsum(popularity) / popularity.sum()))
    return Merchants(category, price, edges)


def make_customers(rng, n, merchants, seconds):
    """Habits of `n` customers in a period of so many seconds: one array for each habit."""
    newcomer = rng.random(n) < 0.25
    joined = np.where(newcomer, rng.random(n) * 0.95 * seconds, -rng.exponential(500 * DAY, n))
    n_devices = 1 + draw(rng, (0.4, 0.4, 0.2), n)
    devices = draw(rng, DEVICE_WEIGHT, (n, 3))
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
        city=draw(rng, CITY_WEIGHT, n),
        payment=draw(rng, PAYMENT_WEIGHT, n),
        second_address=rng.random(n) < 0.25,
        favourites=merchants.draw(rng, (n, 5)),
    )


def at_hour(rng, day, hour, spread):
    """Seconds since the first midnight, near an hour of each day (n,), with a spread in hours."""
    hour = (hour + rng.normal(0, 1, day.size) * spread) % 24
    return day * DAY + (hour * 3600).astype(np.int64)


def grouped(sizes, n):
    """Lay groups of these sizes over `n` rows: each row's group and its place in the group."""
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), n) + 1]
    group = np.repeat(np.arange(sizes.size), sizes)[:n]
    return group, np.arange(n) - (np.cumsum(sizes) - sizes)[group]


def purchases(rng, world, customer, second):
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
    usual_device = people.devices[customer, (3 * rng.random(n)).astype(np.int64)]
    away = happens(0.03, 0.4)
    city = np.where(away, draw(rng, CITY_WEIGHT, n), people.city[customer])
    home = customer + people.size * (people.second_address[customer] & (rng.random(n) < 0.35))
    lease = (second // DAY + customer * 7) // 25  # providers change a home's address now and then
    home_ip = (customer * 2_654_435_761 + lease * 97_003_231) % 2**24
    mobile = away | (rng.random(n) < 0.25)
    payment = np.where(happens(0.12, 0.3), draw(rng, PAYMENT_WEIGHT, n), people.payment[customer])
    return {
        "customer": customer,
        "second": second,
        "amount": amount,
        "quantity": quantity,
        "terminal": terminal,
        "payment": payment,
        "device": np.where(happens(0.03, 0.4), draw(rng, DEVICE_WEIGHT, n), usual_device),
        "city": city,
        "address": np.where(happens(0.03, 0.4), other_address(rng, people, n), home),
        "ip": (city + 20) * 2**24 + np.where(mobile, rng.integers(0, 2**24, n), home_ip),
    }


def other_address(rng, people, n):
    """Numbers of `n` addresses that are no customer's own."""
    return rng.integers(2 * people.size, 5 * people.size, n)


def honest_purchases(rng, world, n):
    """`n` honest purchases in order of time: one array (n,) for each property."""
    people = world.people
    visit, place = grouped(1 + draw(rng, (0.9, 0.05, 0.03, 0.02), n), n)
    n_visits = visit[-1] + 1
    since = np.maximum(people.joined, 0)
    customer = draw(rng, people.activity * (1 - since / world.seconds), n_visits)
    since = since[customer]
    day = (since + rng.random(n_visits) * (world.seconds - since)).astype(np.int64) // DAY
    weekday = (day + world.first_weekday) % 7
    to_weekend = (weekday < 5) & (rng.random(n_visits) < people.weekend[customer])
    day = np.where(to_weekend, day + 5 - weekday + (rng.random(n_visits) < 0.5), day)
    spread = np.where(rng.random(n_visits) < 0.85, people.regularity[customer], 8.0)
    arrival = at_hour(rng, day, people.peak_hour[customer], spread)
    second = arrival[visit] + place * rng.integers(30, 400, n_visits)[visit]
    return in_time_order(purchases(rng, world, customer[visit], second))


def in_time_order(rows):
    """The same purchases, sorted stably by their second."""
    order = np.argsort(rows["second"], kind="stable")
    ordered = (lambda v=values: v[order] for values in rows.values())
    in_order = side_by_side(*ordered, rows=len(order))
    return dict(zip(rows, in_order, strict=True))
