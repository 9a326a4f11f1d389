"""Computations in threads, or one after another where there are few rows."""

import threading

import pytest

from fraud_ae.runtime.threads import side_by_side

FEW, MANY = 10, 1_000_000


@pytest.mark.parametrize("rows", [FEW, MANY])
def test_results_come_in_order(rows):
    assert side_by_side(rows=rows) == []
    assert side_by_side(*(lambda n=n: n for n in range(9)), rows=rows) == list(range(9))


@pytest.mark.parametrize("rows", [FEW, MANY])
def test_a_failure_is_raised(rows):
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda: 1, lambda: 1 / 0, rows=rows)


@pytest.mark.parametrize(("rows", "own"), [(FEW, True), (MANY, False)])
def test_only_long_computations_have_threads(rows, own):
    threads = side_by_side(*[threading.get_ident] * 2, rows=rows)
    assert (set(threads) == {threading.get_ident()}) == own


def test_a_single_computation_needs_no_thread():
    assert side_by_side(threading.get_ident, rows=MANY) == [threading.get_ident()]
