import json

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler

from fraud_ae.errors import UserError
from fraud_ae.features.encoder import Encoder

SCALINGS = ("standard", "robust", "quantile")


def features(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Two numbers, one of them with gaps, a bool and two categories, one of them with gaps."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": rng.lognormal(3, 1, n),
            "device": pd.Series(rng.choice(["phone", "tablet", "laptop"], n), dtype="str"),
            "age": pd.Series(rng.normal(40, 10, n)).mask(rng.random(n) < 0.1),
            "is_night": rng.random(n) < 0.3,
            "city": pd.Series(rng.choice(["A", "B"], n), dtype="str").mask(rng.random(n) < 0.1),
        }
    )


def encoded(encoder: Encoder, frame: pd.DataFrame) -> pd.DataFrame:
    inputs = encoder.transform(frame)
    assert inputs.dtype == np.float32
    assert inputs.shape == (len(frame), len(encoder.input_names()))
    assert np.isfinite(inputs).all()
    return pd.DataFrame(inputs, columns=encoder.input_names(), index=frame.index)


def through_json(encoder: Encoder) -> Encoder:
    return Encoder.from_dict(json.loads(json.dumps(encoder.to_dict(), allow_nan=False)))


@pytest.mark.parametrize(
    ("scaling", "scaler"),
    [
        ("standard", StandardScaler()),
        ("robust", RobustScaler()),
        ("quantile", QuantileTransformer(n_quantiles=300, output_distribution="normal")),
    ],
)
def test_numbers_are_scaled_as_sklearn_scales_them(scaling, scaler):
    train, later = features(), features(seed=1)
    inputs = encoded(Encoder(scaling, clip=None).fit(train), later)
    for name in ("amount", "age"):
        median = train[name].median()
        scaler.fit(train[[name]].fillna(median).to_numpy())
        expected = scaler.transform(later[[name]].fillna(median).to_numpy())[:, 0]
        np.testing.assert_allclose(inputs[name], expected, rtol=1e-5, atol=1e-6)


def test_an_unknown_scaling_is_named_with_those_that_are_known():
    with pytest.raises(UserError, match=r"encoder\.scaling=minmax.*standard.*robust.*quantile"):
        Encoder("minmax").fit(features())


@pytest.mark.parametrize("clip", [1.5, 10.0, None])
def test_scaled_numbers_are_kept_within_clip(clip):
    later = features()
    later.loc[0, "amount"] = 1e9
    later.loc[1, "amount"] = -1e9
    inputs = encoded(Encoder(clip=clip).fit(features()), later)["amount"]
    if clip is None:
        assert inputs[0] > 1e4
        assert inputs[1] < -1e4
    else:
        assert (inputs.min(), inputs.max()) == (-clip, clip)


def test_categories_have_a_column_for_each_value_and_exactly_one_is_set():
    later = features(seed=1)
    later.loc[:3, "device"] = ["fridge", None, "toaster", None]
    inputs = encoded(Encoder().fit(features()), later)
    devices = inputs.filter(regex="^device=")
    for value in ("phone", "tablet", "laptop"):
        np.testing.assert_array_equal(devices[f"device={value}"], later["device"] == value)
    assert len(devices.columns) == 5
    for column in ("device", "city"):
        assert (inputs.filter(regex=f"^{column}=").sum(axis=1) == 1).all()
    # A value that training never saw, and a missing one, each have a column of their own.
    names = devices.idxmax(axis=1).tolist()
    assert names[0] == names[2] != names[1] == names[3]


def test_the_most_frequent_categories_are_kept():
    counts = {"often": 30, "sometimes": 20, "seldom": 5, "once": 1}
    values = [value for value, n in counts.items() for _ in range(n)]
    frame = pd.DataFrame({"device": pd.Series(values, dtype="str")}).sample(frac=1, random_state=0)
    devices = encoded(Encoder(max_categories=2).fit(frame), frame)
    assert [n for n in devices if "<" not in n] == ["device=often", "device=sometimes"]
    rare = frame["device"].isin(["seldom", "once"]).to_numpy()
    other = devices[rare].idxmax(axis=1).unique()
    assert len(other) == 1
    assert (devices.loc[~rare, other[0]] == 0).all()


def test_which_of_equally_frequent_categories_are_kept_does_not_depend_on_the_order_of_rows():
    frame = pd.DataFrame({"device": pd.Series(list("dbcaabcd"), dtype="str")})
    encoder = Encoder(max_categories=2)
    names = encoder.fit(frame).input_names()
    for rows in (frame[::-1], frame.sample(frac=1, random_state=1)):
        assert encoder.fit(rows).input_names() == names


def test_unusual_categories_in_training_do_not_break_it():
    lookalikes = pd.Series(["phone", "<missing>", "<unseen>", None] * 75, dtype="str")
    for cities in (lookalikes, lookalikes.where(lookalikes == "phone")):
        train = features().assign(city=cities)
        encoder = Encoder().fit(train)
        for frame in (train, features()):
            assert (encoded(encoder, frame).filter(regex="^city=").sum(axis=1) == 1).all()


def test_missing_numbers_become_the_median_and_are_marked_if_some_were_in_training():
    train, later = features(), features(seed=1)
    later.loc[:9, "amount"] = np.nan
    encoder = Encoder().fit(train)
    inputs = encoded(encoder, later)
    missing = later["age"].isna().to_numpy()
    assert missing.any()
    np.testing.assert_array_equal(inputs["age_missing"], missing)
    assert "amount_missing" not in inputs
    medians = {name: train[name].median() for name in ("age", "amount")}
    at_median = encoded(encoder, later.fillna(medians)).assign(age_missing=missing)
    np.testing.assert_array_equal(inputs, at_median)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(
    ("name", "values", "kept"),
    [
        ("age", np.nan, None),
        ("age", 7.0, 7.0),
        ("is_night", True, 1.0),
        ("device", "phone", "phone"),
        ("city", np.nan, "<missing>"),
    ],
)
def test_a_column_without_information_is_left_out(scaling, name, values, kept):
    train = features().assign(**{name: pd.Series(values, range(300), dtype=features()[name].dtype)})
    rows = np.arange(300) < 200
    # What lies after the training rows is no information either.
    everything = pd.concat([train[rows], features()[~rows]], ignore_index=True)
    encoder = through_json(Encoder(scaling).fit(everything, rows))
    assert encoder.left_out_ == {name: kept}
    assert not [n for n in encoder.input_names() if n.startswith(name)]
    without = Encoder(scaling).fit(everything.drop(columns=name), rows)
    expected = encoded(without, everything.drop(columns=name))
    # What it is later, or whether it is there at all, changes nothing.
    varying, absent = everything.assign(**{name: features()[name]}), everything.drop(columns=name)
    for later in (everything, varying, absent):
        pd.testing.assert_frame_equal(encoded(encoder, later), expected, check_exact=True)


def test_a_column_whose_gaps_alone_differ_is_kept():
    train = features().assign(age=np.where(np.arange(300) < 9, np.nan, 7.0))
    encoder = Encoder().fit(train)
    assert encoder.left_out_ == {}
    assert encoded(encoder, train)["age_missing"].sum() == 9


def test_features_that_are_all_constant_are_refused_by_name():
    frame = pd.DataFrame({"amount": [5.0] * 9, "city": pd.Series([None] * 9, dtype="str")})
    with pytest.raises(UserError, match=r"nothing can be learned: amount, city; more rows"):
        Encoder().fit(frame)


def test_bools_are_numbers():
    inputs = encoded(Encoder().fit(features()), features(seed=1))["is_night"]
    is_night = features(seed=1)["is_night"].to_numpy()
    assert inputs[is_night].nunique() == 1
    assert inputs[is_night].iloc[0] > 0 > inputs[~is_night].iloc[0]


@pytest.mark.parametrize("dtype", ["int8", "float32", "bool", "Int64", "boolean"])
def test_numbers_may_come_in_another_type_than_in_training(dtype):
    train = features().assign(flag=[0.0, 1.0, 1.0] * 100)
    encoder = Encoder().fit(train)
    expected = encoder.transform(train)
    np.testing.assert_array_equal(encoder.transform(train.astype({"flag": dtype})), expected)


def test_the_order_of_columns_does_not_matter_and_further_ones_are_not_read():
    encoder = Encoder().fit(features())
    other = features(seed=1)
    shuffled = other[other.columns[::-1]].assign(further="x")
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(other))


def test_absent_features_are_named():
    with pytest.raises(UserError, match=r"features missing .*: \['age', 'city'\]"):
        Encoder().fit(features()).transform(features().drop(columns=["age", "city"]))


def test_a_row_is_encoded_as_it_is_alone_and_frames_are_left_as_they_are():
    train, rows = features(), features(20, seed=1)
    encoder = Encoder().fit(train)
    wild = features(seed=2).assign(amount=1e6, device="fridge", age=np.nan)
    together = encoder.transform(pd.concat([rows, wild], ignore_index=True))
    np.testing.assert_array_equal(together[:20], encoder.transform(rows))
    pd.testing.assert_frame_equal(train, features())
    pd.testing.assert_frame_equal(rows, features(20, seed=1))


def test_fitting_again_forgets_what_was_learned_before():
    encoder = Encoder().fit(features().assign(amount=1e6, city="Z")).fit(features())
    assert encoder.to_dict() == Encoder().fit(features()).to_dict()


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("clip", [2.5, None])
@pytest.mark.parametrize(
    "names", [None, ["device", "city"], ["amount", "age"], ["is_night"]], ids=str
)
def test_a_saved_encoder_gives_bit_identical_inputs(scaling, clip, names):
    train, later = features(1500), features(500, seed=1)
    later.loc[:3, "amount"] = [1e9, -1e9, np.nan, 0.0]
    later.loc[:1, "device"] = "fridge"
    if names:
        train, later = train[names], later[names]
    encoder = Encoder(scaling, max_categories=2, clip=clip).fit(train)
    again = through_json(encoder)
    pd.testing.assert_frame_equal(encoded(again, later), encoded(encoder, later), check_exact=True)
    assert again.to_dict() == encoder.to_dict()


@pytest.mark.parametrize("scaling", SCALINGS)
def test_encoded_rows_are_turned_back_into_values(scaling):
    frame = features()
    encoder = through_json(Encoder(scaling, clip=None).fit(frame))
    values = encoder.values(encoder.transform(frame))
    assert list(values) == ["amount", "age", "is_night", "device", "city"]
    for name in ("amount", "age", "is_night"):
        expected = frame[name].astype("float64")
        # In the tails of a quantile map the last digits of a float32 are far apart.
        np.testing.assert_allclose(values[name], expected, rtol=1e-3, atol=1e-4)
    assert values["device"].tolist() == frame["device"].tolist()
    assert values["city"].tolist() == frame["city"].fillna("<missing>").tolist()


def test_a_value_that_was_never_seen_or_cut_off_shows_as_such():
    encoder = Encoder(clip=2.0).fit(features())
    odd = features(2, seed=1).assign(device="watch", amount=1e9)
    values = encoder.values(encoder.transform(odd))
    assert set(values["device"]) == {"<unseen>"}
    amounts = features()["amount"]
    np.testing.assert_allclose(values["amount"], amounts.mean() + 2 * amounts.std(ddof=0))


def test_what_is_usual_is_learned_of_the_rows_that_are_fitted():
    frame = features()
    rows = np.arange(300) < 200
    usual = through_json(Encoder().fit(frame, rows)).usual_
    known = frame[rows]
    assert usual["amount"] == pytest.approx(np.quantile(known["amount"], [0.05, 0.95]))
    assert usual["age"] == pytest.approx(np.quantile(known["age"].dropna(), [0.05, 0.95]))
    assert usual["city"] == pytest.approx((known["city"].value_counts() / 200).to_dict())
    never = Encoder().fit(frame.assign(age=np.nan, is_night=True)).usual_
    assert (never["age"], never["is_night"]) == (None, {"0": 0.0, "1": 1.0})


def test_the_usual_row_has_medians_and_most_frequent_categories():
    frame = features().assign(device=lambda f: f["device"].where(f["device"] == "laptop", "phone"))
    encoder = through_json(Encoder(clip=None).fit(frame))
    usual = encoder.values(encoder.usual_inputs()[None]).iloc[0]
    assert usual["amount"] == pytest.approx(frame["amount"].median(), rel=1e-4)
    assert usual["age"] == pytest.approx(frame["age"].median(), rel=1e-4)
    assert usual["device"] == "phone"
