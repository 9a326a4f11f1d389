"""Amounts as people write them."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.values.numbers import as_number, guess_decimal
from fraud_ae.errors import DataError


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("$134.09", ".", 134.09),
        ("-$5.00", ".", -5.0),
        ("$-5.00", ".", -5.0),
        ("(5.00)", ".", -5.0),
        ("1,234.50", ".", 1234.5),
        ("5 EUR", ".", 5.0),
        ("1'234'567.5", ".", 1234567.5),
        ("1.234,50", ",", 1234.5),
        ("-3,20 €", ",", -3.2),
        ("1 234,5", ",", 1234.5),
        ("1e3", ".", 1000.0),
        ("NA", ".", np.nan),
        ("", ".", np.nan),
        ("12,34", ".", np.inf),
        ("12.5", ",", np.inf),
        ("abc", ".", np.inf),
        ("inf", ".", np.inf),
        ("5%", ".", np.inf),
    ],
)
def test_a_number_is_read_or_told_from_a_missing_one(text, decimal, number):
    np.testing.assert_equal(as_number(pd.Series([text]), decimal).tolist(), [number])


def test_a_float_of_32_bits_is_what_a_csv_of_it_shows():
    singles = pd.Series([0.1, 99.99, None], dtype="float32")
    of_text = as_number(singles.astype("str"))
    np.testing.assert_array_equal(as_number(singles), of_text)


def test_numbers_may_stand_for_missing_ones():
    words = frozenset(["-1", "na"])
    for column in (pd.Series(["-1", "-1.0", "NA", "2"]), pd.Series([-1, -1.0, None, 2])):
        numbers = as_number(column, missing=words)
        np.testing.assert_array_equal(numbers, [np.nan, np.nan, np.nan, 2.0])


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("texts", "decimal"),
    [(["1,5", "2,25"], ","), (["1,234.5"], "."), (["1.5"], "."), (["$1,234", "3.50"], ".")],
)
def test_the_decimal_is_guessed(texts, decimal):
    assert guess_decimal({"amount": pd.Series(texts)}) == decimal


@pytest.mark.parametrize("texts", [["1,234"], ["1,5", "1,234.5"]])
def test_what_may_be_both_is_refused(texts):
    with pytest.raises(DataError, match=r"data\.decimal"):
        guess_decimal({"amount": pd.Series(texts)})
