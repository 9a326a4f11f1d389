"""The simulated transactions of the Fraud Detection Handbook are those of the book."""

import pandas as pd
import pytest

from benchmarks.handbook_simulation import LARGE_AMOUNT, START, World, simulate
from tests.commands import SHARED_DATA, benchmark

# Of a small world; the whole one is compared with the book's data below, where those are.
CHECKSUM = 2763152374749557252
BOOK = SHARED_DATA / "handbook_2018-06-11_2018-08-14.parquet"


@pytest.fixture(scope="module")
def found():
    return simulate(World(customers=60, terminals=150, days=40, radius=20))


def test_a_world_is_the_same_each_time(found):
    assert int(pd.util.hash_pandas_object(found, index=False).sum()) == CHECKSUM
    assert found["TX_DATETIME"].is_monotonic_increasing
    assert found["TRANSACTION_ID"].tolist() == list(range(len(found)))


def test_its_frauds_are_the_books(found):
    large = found["TX_AMOUNT"] > LARGE_AMOUNT
    assert large.any()
    assert (found["TX_FRAUD"][large] == 1).all()
    assert set(found["TX_FRAUD_SCENARIO"]) >= {0, 2, 3}
    assert ((found["TX_FRAUD_SCENARIO"] > 0) == (found["TX_FRAUD"] == 1)).all()
    # Of a terminal once taken over everything is fraud, for 28 days.
    chosen = pd.Series(range(150)).sample(2, random_state=3)
    day = (found["TX_DATETIME"] - pd.Timestamp(START)).dt.days
    taken = found["TERMINAL_ID"].isin(chosen) & day.between(3, 30)
    assert taken.any()
    assert found["TX_FRAUD_SCENARIO"][taken].isin([2, 3]).all()


def test_a_shorter_world_is_the_beginning_of_a_longer_one(found):
    shorter = simulate(World(customers=60, terminals=150, days=20, radius=20))
    # Which payments are stolen is drawn from two weeks, of which the last ones have not all.
    begin = (shorter["TX_DATETIME"] < "2018-04-06").sum()
    pd.testing.assert_frame_equal(shorter[:begin], found[:begin], check_exact=True)


@pytest.mark.slow
@pytest.mark.skipif(not BOOK.is_file(), reason="needs the handbook's data beside the project")
def test_the_simulated_transactions_are_those_of_the_handbook(tmp_path):
    out = tmp_path / "handbook.parquet"
    benchmark("handbook_simulation", str(out), "--days", "137")
    simulated, known = pd.read_parquet(out), pd.read_parquet(BOOK)
    between = simulated["TX_DATETIME"].between(
        known["TX_DATETIME"].min(), known["TX_DATETIME"].max()
    )
    # The book's sort leaves payments of the same second in an order of chance, which a few draws of
    # stolen cards depend on.
    order = ["TX_DATETIME", "CUSTOMER_ID", "TX_AMOUNT"]
    one, other = (
        frame.drop(columns="TRANSACTION_ID").sort_values(order, ignore_index=True)
        for frame in (simulated[between], known)
    )
    where = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID"]
    pd.testing.assert_frame_equal(one[where], other[where])
    assert len(one) == 622_892
    outcome = ["TX_AMOUNT", "TX_FRAUD", "TX_FRAUD_SCENARIO"]
    assert (one[outcome] != other[outcome]).any(axis=1).sum() <= 118
