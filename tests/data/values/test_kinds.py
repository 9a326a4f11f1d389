"""One text for every value, however it is written and whatever type it comes in."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fraud_ae.data.values.kinds import ValueKind, canonical_text, decide_kind

DECIMALS = pd.ArrowDtype(pa.decimal128(10, 2))
WHOLE = {
    "text with a point": pd.Series(["325.0", "7.0", None]),
    "text": pd.Series(["325", "7", "NA"]),
    "float": pd.Series([325.0, 7.0, np.nan]),
    "float32": pd.Series([325.0, 7.0, np.nan], dtype="float32"),
    "nullable": pd.Series([325, 7, None], dtype="Int64"),
    "arrow": pd.Series([325, 7, None], dtype="int32[pyarrow]"),
    "object": pd.Series([325, "7.00", None], dtype=object),
    "category": pd.Series([325, 7, None]).astype("category"),
    "decimal": pd.Series([Decimal("325.00"), Decimal(7), None], dtype=DECIMALS),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_is_one_text(name):
    kind = decide_kind(WHOLE[name].astype(object) if name == "object" else WHOLE["float"])
    assert kind.kind == "whole number"
    texts, wrong = canonical_text(WHOLE[name], kind)
    assert texts.tolist()[:2] == ["325", "7"]
    assert texts.isna().tolist() == [False, False, True]
    assert not wrong


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        (["NA", "DE"], "text", ["NA", "DE"]),
        (["True", "false"], "flag", ["true", "false"]),
        ([True, False], "flag", ["true", "false"]),
        (["0.10", "2.5"], "number", ["0.1", "2.5"]),
        ([np.float32(0.1), np.float32(2.5)], "number", ["0.1", "2.5"]),
        (["2024-01-01", "2024-01-02"], "time", ["2024-01-01", "2024-01-02"]),
        ([dt.date(2024, 1, 1), dt.date(2024, 1, 2)], "time", ["2024-01-01", "2024-01-02"]),
        (["007", "8"], "text", ["007", "8"]),
        (["1.1", "1.10"], "text", ["1.1", "1.10"]),
        ([2**63 + 1, 5], "whole number", ["9223372036854775809", "5"]),
    ],
)
def test_the_kind_is_what_the_values_show(values, kind, texts):
    column = pd.Series(values, dtype=object)
    decided = decide_kind(column)
    assert decided.kind == kind
    assert canonical_text(column, decided)[0].tolist() == texts
    assert [decided.text(value) for value in values] == texts


@pytest.mark.promise(1)
def test_what_has_no_certain_text_is_refused_by_row():
    column = pd.Series([1.0, 2.0**53, 3.0])
    texts, wrong = canonical_text(column, ValueKind("whole number"))
    assert list(wrong) == [1]
    assert "2**53" in wrong[1]
    assert texts.isna().tolist() == [False, True, False]
    zeros = decide_kind(pd.Series(["007", "012"]))
    _, wrong = canonical_text(pd.Series([7, 12]), zeros)
    assert list(wrong) == [0, 1]
    _, wrong = canonical_text(pd.Series([["a"], "b"], dtype=object), ValueKind())
    assert "is a list" in wrong[0]


@pytest.mark.parametrize(
    ("training", "missing", "values", "are_missing"),
    [
        (["NA", "x"], None, ["NA", "x", " "], [False, False, True]),
        (["NA", "x"], ["NA"], ["na", "x"], [True, False]),
        (["-1", "7"], ["-1"], ["-1", "-1.0", "7"], [True, True, False]),
        (["-1", "7"], ["-1"], [-1.0, -1.0, 7.0], [True, True, False]),
    ],
)
def test_words_for_missing_are_those_of_the_format(training, missing, values, are_missing):
    kind = decide_kind(pd.Series(training), missing)
    assert canonical_text(pd.Series(values), kind)[0].isna().tolist() == are_missing


def test_arrow_floats_of_32_bits_are_what_a_csv_shows():
    column = pd.Series([0.1, 2.5], dtype="float[pyarrow]")
    assert canonical_text(column, decide_kind(column))[0].tolist() == ["0.1", "2.5"]


def test_words_that_pandas_takes_for_the_present_are_words():
    kind = decide_kind(pd.Series(["2024-01-01", "2024-01-02"]))
    assert [kind.text(word) for word in ("today", "now")] == ["today", "now"]


@pytest.mark.promise(15)
def test_ids_that_differ_stay_apart_in_huge_columns():
    ids = pd.Series(range(10**15, 10**15 + 20_000)).astype(str)
    texts, _ = canonical_text(ids, decide_kind(ids))
    assert texts.nunique() == 20_000
    long = pd.Series([f"{n:0200d}x" for n in range(500)])
    assert canonical_text(long, decide_kind(long))[0].tolist() == long.tolist()
