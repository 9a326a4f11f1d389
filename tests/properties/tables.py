"""Generated tables of transactions: what any file may hold, and what features are made of."""

import datetime as dt
from functools import partial

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from fraud_ae.data.columns import CANONICAL, CATEGORICAL, IDENTIFIERS, NUMERIC

# PyTorch has subnormal numbers taken for zero.
normal_floats = partial(st.floats, allow_subnormal=False)
MOST_ROWS = 60
EXTRAS = ("V1", "V2")
TEXTS = ("transaction_id", "customer_id", *CATEGORICAL, *IDENTIFIERS)

WORDS = st.sampled_from(
    (
        *(
            "",
            " ",
            "NA",
            "null",
            "None",
            "nan",
            "true",
            "007",
            "7",
            "7.0",
            "-1",
            "1e3",
            "1.50",
            "a|b",
        ),
        *("x,y", 'a "quoted" word', "line\nbreak", "Zürich", "東京", "\u200b", "'", "=1+1", "0x1F"),
    )
)
TEXT = st.one_of(WORDS, st.text(max_size=6))
MONEY = st.sampled_from(
    ("12.50", "1,234.50", "12,5", "$5", "-3", "(4.00)", "1e400", "99999999999999999999", "x", "inf")
)
FLOATS = st.one_of(
    st.sampled_from((0.0, -0.0, 0.1, 1e-300, 5e-324, 1e15, 2.0**53 + 2, 1e150, 1.7e308, -5.0)),
    normal_floats(),
)
NUMBERS = st.one_of(
    FLOATS,
    st.integers(-(10**20), 10**20),
    MONEY,
    st.decimals(allow_nan=False),
    st.booleans(),
    st.none(),
)
DAYS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2199, 12, 31))
ZONED = st.builds(
    lambda time, hours: time.replace(tzinfo=dt.timezone(dt.timedelta(hours=hours))),
    DAYS,
    st.integers(-14, 14),
)
TIMES = st.one_of(
    DAYS,
    DAYS.map(str),
    DAYS.map(lambda time: f"{time:%Y-%m-%d}"),
    ZONED,
    ZONED.map(str),
    st.datetimes().map(str),
    st.sampled_from(("", "now", "NaT", "31.12.2024", "2024-02-30", "13:45", "0", "24:00", "é")),
    st.sampled_from((None, pd.NaT, 0, 1.7e9, 10**19, dt.date(2024, 1, 1), "9999-12-31")),
)
LABELS = st.sampled_from(
    (0, 1, True, False, None, "0", "1", "1.0", "fraud", "OK", "yes", "", 2, -1, np.nan, "unknown")
)
ANYTHING = st.one_of(TEXT, NUMBERS, TIMES, st.binary(max_size=3), st.just([1]), st.just({"a": 1}))


def values_of(name: str) -> st.SearchStrategy:
    """What may stand in a column of a file, right and wrong."""
    if name == "timestamp":
        return TIMES
    if name == "is_fraud":
        return LABELS
    if name in TEXTS:
        return st.one_of(TEXT, st.integers(-9, 10**19), FLOATS, st.none(), st.uuids())
    return NUMBERS


@st.composite
def raw_tables(draw: st.DrawFn) -> pd.DataFrame:
    """A table as a user may hand it in: most of them have to be refused.

    The rows take the few values that are drawn for each column, so that values repeat.
    """
    rows = draw(st.integers(0, MOST_ROWS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    required = CANONICAL[:5] if draw(st.integers(0, 9)) else ()
    more = draw(st.lists(st.sampled_from((*CANONICAL[5:], *EXTRAS, "fraud_scenario")), max_size=4))
    wild = draw(st.sampled_from((None, *CANONICAL[:6])))
    columns = {}
    for name in dict.fromkeys((*required, *more)):
        values = ANYTHING if name == wild else values_of(name)
        pool = draw(st.lists(values, min_size=1, max_size=4))
        chosen = rng.integers(0, len(pool), rows)
        columns[name] = pd.Series([pool[i] for i in chosen], dtype=object)
    if "transaction_id" in columns and draw(st.booleans()):
        columns["transaction_id"] = pd.Series(range(rows))
    return pd.DataFrame(columns)


@st.composite
def plain_tables(draw: st.DrawFn, min_rows: int = 1) -> pd.DataFrame:
    """A table of text, numbers and times that every kind of file can hold, with unique ids.

    Texts are missing or not blank, as a CSV has no other word for missing.
    """
    rows = draw(st.integers(min_rows, MOST_ROWS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    # pandas writes a carriage return into a CSV as it stands, and it ends a row there.
    own = TEXT.filter(lambda text: text.strip() and not {"\0", "\r"} & set(text))

    def text(unique: bool = False) -> pd.Series:
        if unique:
            return pd.Series([f"{draw(WORDS)}#{n}" if n < 3 else f"t{n}" for n in range(rows)])
        pool = draw(st.lists(own | st.none(), min_size=1, max_size=4))
        return pd.Series([pool[i] for i in rng.integers(0, len(pool), rows)], dtype="str")

    frame = pd.DataFrame({"transaction_id": text(unique=True), "customer_id": text().fillna("c")})
    days = draw(st.lists(DAYS, min_size=1, max_size=6))
    frame["timestamp"] = [f"{days[i]:%Y-%m-%d %H:%M:%S}" for i in rng.integers(0, len(days), rows)]
    for name in ("amount", *draw(st.lists(st.sampled_from((*NUMERIC, *EXTRAS)), unique=True))):
        pool = draw(st.lists(normal_floats(0, 100) | st.integers(0, 90).map(float), min_size=1))
        frame[name] = [pool[i] for i in rng.integers(0, len(pool), rows)]
    for name in draw(st.lists(st.sampled_from((*CATEGORICAL, *IDENTIFIERS)), unique=True)):
        frame[name] = text()
    frame["is_fraud"] = rng.integers(0, 2, rows)
    return frame


NO_AMOUNTS = st.just(np.nan)
HUGE = st.sampled_from((0.0, 1e-300, 1e9, 1e150, 1e300, 1.7e308))


@st.composite
def transactions(
    draw: st.DrawFn, min_rows: int = 0, max_rows: int = MOST_ROWS, prefix: str = "t"
) -> pd.DataFrame:
    """Canonical transactions in order of time: any that a schema lets through.

    prefix: of the ids, so that several tables share none.
    """
    rows = draw(st.integers(min_rows, max_rows))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def one_of(pool: list, dtype: str) -> pd.Series:
        return pd.Series([pool[i] for i in rng.integers(0, len(pool), rows)], dtype=dtype)

    def text(values: st.SearchStrategy = TEXT) -> pd.Series:
        return one_of(draw(st.lists(values, min_size=1, max_size=5)), "str")

    def number(lowest: float, highest: float) -> pd.Series:
        values = st.one_of(normal_floats(lowest, highest), st.none(), HUGE.filter(highest.__ge__))
        return one_of(draw(st.lists(values, min_size=1, max_size=5)), "float64")

    first = draw(DAYS.filter(lambda time: 1901 < time.year < 2190))
    step = draw(st.sampled_from((1, 10**6, 60 * 10**6, 3600 * 10**6, 24 * 3600 * 10**6)))
    elapsed = np.sort(rng.integers(0, draw(st.sampled_from((1, 5, 200))), rows)) * step
    customers = draw(st.sampled_from((1, 3, 1000)))
    odd = TEXT.filter(str.strip) | st.none()
    highest = 1.7e308
    frame = {
        "transaction_id": pd.Series([f"{prefix}{n}" for n in range(rows)], dtype="str"),
        "customer_id": text(TEXT.filter(str.strip))
        if customers == 3
        else pd.Series(rng.integers(0, customers, rows)).astype("str"),
        "timestamp": pd.Series(
            pd.Timestamp(first, tz="UTC").as_unit("us") + pd.to_timedelta(elapsed, "us")
        ),
        "amount": number(-highest if draw(st.booleans()) else 0.0, highest),
        "is_fraud": one_of(
            draw(st.lists(st.sampled_from((0.0, 1.0, None)), min_size=1)), "float64"
        ),
        "quantity": number(0.0, highest),
        "customer_age": number(0.0, 120.0),
        "account_age_days": number(0.0, highest),
        **{name: text(odd) for name in (*CATEGORICAL, *IDENTIFIERS)},
        **{name: number(-highest, highest) for name in EXTRAS},
    }
    absent = draw(st.sets(st.sampled_from((*frame,)[4:])))
    return pd.DataFrame({name: column for name, column in frame.items() if name not in absent})
