"""Any table is canonical transactions or a mistake that is told, alike from every kind of file."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud_ae.data.files.reading import read_table
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import (
    fingerprint,
    to_transactions,
    training_transactions,
    unused_columns,
)
from fraud_ae.data.values.times import EARLIEST, LATEST
from fraud_ae.errors import DataError
from tests.properties.tables import (
    CANONICAL,
    CATEGORICAL,
    EXTRAS,
    IDENTIFIERS,
    NUMERIC,
    plain_tables,
    raw_tables,
    transactions,
)

OPTIONAL = (*NUMERIC, *CATEGORICAL, *IDENTIFIERS, "fraud_scenario")
FORMATS = st.builds(
    SourceFormat,
    columns=st.sampled_from(
        (
            {},
            {name: name for name in OPTIONAL},
            {"transaction_id": None, "timestamp": None},
            {"customer_id": None},
            {"customer_id": ["customer_id", "device"]},
            {"customer_birth_date": "fraud_scenario"},
        )
    ),
    extra_columns=st.sampled_from(((), ("V1",), ("V1*",))),
    extra_categories=st.sampled_from(((), ("V2",))),
    time_unit=st.sampled_from((None, None, "s", "d", "month")),
    time_zone=st.sampled_from((None, "Europe/Berlin")),
    ambiguous_times=st.sampled_from(("earlier", "refuse")),
    bad_values=st.sampled_from(("error", "missing")),
    negative_amounts=st.sampled_from((None, "refund", "missing", "refuse")),
    labels_map=st.sampled_from((None, {"yes": 1, "no": 0, "unknown": None})),
    decimal=st.sampled_from((None, ".", ",")),
    missing=st.sampled_from((None, (), ("NA", "-1"))),
)


def check_schema(frame: pd.DataFrame) -> None:
    assert len(frame) > 0
    assert frame["timestamp"].dtype == "datetime64[us, UTC]"
    assert frame["timestamp"].between(EARLIEST, LATEST).all()
    assert frame["transaction_id"].notna().all()
    for name, column in frame.items():
        if name in ("transaction_id", "customer_id", "fraud_scenario", *CATEGORICAL, *IDENTIFIERS):
            assert column.dtype == "str"
        elif name in (*NUMERIC, "amount", "V1"):
            assert column.dtype == "float64"
            assert not np.isinf(column).any()
    if "is_fraud" in frame:
        assert frame["is_fraud"].dropna().isin((0, 1)).all()


def check_told(error: DataError) -> None:
    """Every problem has a line of its own, short enough to be read."""
    for line in str(error).splitlines():
        assert line.strip()
        assert len(line) < 1_500
    assert "Error(" not in str(error)


def check_read(raw: pd.DataFrame, source_format: SourceFormat) -> None:
    before = raw.copy(deep=True)
    try:
        frame, inferred = training_transactions(raw, source_format)
    except DataError as error:
        check_told(error)
    else:
        check_schema(frame)
        assert frame["timestamp"].is_monotonic_increasing
        assert frame["transaction_id"].is_unique
        unused_columns(raw, inferred)
        # What is learned from the table reads it as it was read.
        again = to_transactions(raw, SourceFormat(**json.loads(as_json(inferred))))
        if inferred.sources("timestamp"):
            pd.testing.assert_frame_equal(again, frame)
            shuffled = raw.sample(frac=1, random_state=0)
            if inferred.sources("transaction_id"):
                found = to_transactions(shuffled, inferred)
                pd.testing.assert_frame_equal(found, frame)
    pd.testing.assert_frame_equal(raw, before)


def as_json(source_format: SourceFormat) -> str:
    from dataclasses import asdict

    return json.dumps(asdict(source_format), allow_nan=False)


@pytest.mark.promise("D20")
@given(raw=raw_tables(), source_format=FORMATS)
@settings(max_examples=30)
def test_any_table_is_transactions_or_a_mistake_that_is_told(raw, source_format):
    check_read(raw, source_format)


@pytest.mark.slow
@given(raw=raw_tables(), source_format=FORMATS)
@settings(max_examples=300)
def test_any_table_is_transactions_or_a_mistake_that_is_told_at_length(raw, source_format):
    check_read(raw, source_format)


def roads(raw: pd.DataFrame, folder: Path) -> dict[str, pd.DataFrame]:
    """The table by every road that a table takes."""
    raw.to_csv(folder / "t.csv", index=False)
    raw.to_csv(folder / "t.tsv.gz", index=False, sep="\t")
    raw.to_parquet(folder / "t.parquet", index=False)
    raw.to_feather(folder / "t.arrow")
    lines = (
        json.dumps(row) for row in raw.astype(object).where(raw.notna(), None).to_dict("records")
    )
    (folder / "t.jsonl").write_text("\n".join(lines))
    names = ("t.csv", "t.tsv.gz", "t.parquet", "t.arrow", "t.jsonl")
    read = {name: read_table(folder / name) for name in names}
    frames = {"frame": raw, "object": raw.astype(object), "nullable": raw.convert_dtypes()}
    return read | frames | {"category": raw.astype("category")}


def check_roads(raw: pd.DataFrame, folder: Path) -> None:
    source_format = SourceFormat({name: name for name in OPTIONAL})
    expected, known = training_transactions(raw, source_format)
    check_schema(expected)
    for name, read in roads(raw, folder).items():
        # As training data, and as what comes later, whatever the training data were read from.
        found, inferred = training_transactions(read, source_format)
        pd.testing.assert_frame_equal(found, expected, obj=name)
        assert fingerprint(found) == fingerprint(expected), name
        for format_of in (known, inferred):
            later = to_transactions(read, format_of)
            pd.testing.assert_frame_equal(later, expected, obj=name)


@given(raw=plain_tables())
@settings(max_examples=4)
def test_every_road_gives_the_same_transactions(raw, tmp_path_factory):
    check_roads(raw, tmp_path_factory.mktemp("roads"))


@pytest.mark.slow
@given(raw=plain_tables())
@settings(max_examples=25)
def test_every_road_gives_the_same_transactions_at_length(raw, tmp_path_factory):
    check_roads(raw, tmp_path_factory.mktemp("roads"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("open_quote.csv", 'id,amount\n1,"' + "9" * 200_000),
        ("nested.jsonl", '{"id": ' + "[" * 100_000),
        ("nested.json", "[" * 100_000),
        ("~nobody.csv", None),
    ],
    ids=["open quote", "nested lines", "nested list", "no home"],
)
def test_what_no_reader_takes_is_told(name, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_text(content)
    with pytest.raises(DataError, match=name):
        read_table(name)


@given(frame=transactions(min_rows=1))
@settings(max_examples=30)
def test_canonical_transactions_stay_as_they_are(frame):
    columns = {name: name if name in frame else None for name in CANONICAL}
    extras = [name for name in EXTRAS if name in frame]
    frame = frame.assign(amount=frame["amount"].fillna(0.0))
    source_format = SourceFormat(columns, extra_columns=extras)
    found, inferred = training_transactions(frame, source_format)
    check_schema(found)
    again = to_transactions(found, inferred, labelled="is_fraud" in found)
    pd.testing.assert_frame_equal(again, found)
    for name in ("amount", *NUMERIC, *EXTRAS):
        if name in frame:
            by_id = found.set_index("transaction_id")[name]
            expected = frame[name].set_axis(frame["transaction_id"])
            pd.testing.assert_series_equal(by_id[expected.index], expected, check_exact=True)
