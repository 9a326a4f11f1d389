"""Encoded rows of any values are finite and bounded, whatever the encoder was fitted on."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fraud_ae.errors import UserError
from fraud_ae.features.encoder import Encoder
from tests.properties.tables import FLOATS, TEXT, normal_floats

NAMES = ("wide", "narrow", "flag", "kind", "constant", "none")
# What a strategy gives: NaN is the one mark of an unknown value, infinities it has none.
VALUES = {
    "wide": st.one_of(FLOATS.filter(lambda x: not np.isinf(x)), st.just(1e308), st.just(-1e308)),
    "narrow": normal_floats(-3, 3) | st.just(np.nan),
    "flag": st.sampled_from((0.0, 1.0)),
    "kind": TEXT | st.none() | st.sampled_from(("missing", "unseen")),
    "constant": st.just(7.0),
    "none": st.just(np.nan),
}
ENCODERS = st.builds(
    Encoder,
    scaling=st.sampled_from(("standard", "robust", "quantile")),
    max_categories=st.sampled_from((0, 1, 20)),
    clip=st.sampled_from((10.0, 0.5, None)),
)


@st.composite
def features(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    columns = {}
    for name in NAMES:
        pool = draw(st.lists(VALUES[name], min_size=1, max_size=5))
        dtype = "str" if name == "kind" else "float64"
        columns[name] = pd.Series([pool[i] for i in rng.integers(0, len(pool), rows)], dtype=dtype)
    return pd.DataFrame(columns)


def check(encoder: Encoder, known: pd.DataFrame, other: pd.DataFrame) -> None:
    refused = None
    try:
        encoder.fit(known)
    except UserError as error:
        refused = str(error)
    if refused is not None:
        assert "every feature has one value" in refused
        return
    loaded = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict(), allow_nan=False)))
    for frame in (known, other):
        inputs = encoder.transform(frame)
        assert inputs.shape == (len(frame), encoder.n_inputs)
        assert inputs.dtype == np.float32
        assert np.isfinite(inputs).all()
        numbers = len(encoder.numeric_)
        if encoder.clip is not None and numbers:
            assert np.abs(inputs[:, :numbers]).max() <= encoder.clip
        assert np.isin(inputs[:, numbers:], (0.0, 1.0)).all()
        names = encoder.input_names()
        of_kind = [at for at, name in enumerate(names) if name.startswith("kind=")]
        assert (inputs[:, of_kind].sum(axis=1) == 1).all() or "kind" in encoder.left_out_
        np.testing.assert_array_equal(loaded.transform(frame), inputs)
        order = np.random.default_rng(0).permutation(len(frame))
        np.testing.assert_array_equal(encoder.transform(frame.iloc[order]), inputs[order])
        np.testing.assert_array_equal(encoder.transform(frame.iloc[:1]), inputs[:1])
        values = encoder.values(inputs)
        assert {*values, *encoder.left_out_} == set(frame)
        assert not np.isinf(values[encoder.numeric_].to_numpy()).any()
    assert np.isfinite(encoder.usual_inputs()).all()


def of_wide(*wide: float) -> pd.DataFrame:
    """Features of which only one varies."""
    others = {"narrow": 0.5, "flag": 1.0, "constant": 7.0, "none": np.nan}
    kind = pd.Series(["a"] * len(wide), dtype="str")
    return pd.DataFrame({"wide": wide, "kind": kind}).assign(**others)[list(NAMES)]


@pytest.mark.promise("D20")
# The sum of the training rows, and of their squares, was infinite.
@example(Encoder("standard"), of_wide(1.7e308, 1.7e308, -1.7e308), of_wide(0.0))
@example(Encoder("standard"), of_wide(1e200, 0.0, 1.0), of_wide(1e200, 5.0))
# Without a clip, what is beyond the numbers of 32 bits was infinite.
@example(Encoder("standard", clip=None), of_wide(0.0, 1.0, 2.0), of_wide(1e300, -1e300))
@example(Encoder("robust", clip=None), of_wide(0.0, 5e-324, 1e-323), of_wide(1.0, 1e308))
@given(encoder=ENCODERS, known=features(), other=features())
@settings(max_examples=50)
def test_encoded_rows_are_finite_and_bounded(encoder, known, other):
    check(encoder, known, other)


@pytest.mark.slow
@given(encoder=ENCODERS, known=features(), other=features())
@settings(max_examples=250)
def test_encoded_rows_are_finite_and_bounded_at_length(encoder, known, other):
    check(encoder, known, other)
