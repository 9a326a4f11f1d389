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


def by_sklearn(scaling: str, n: int):
    if scaling == "quantile":
        return QuantileTransformer(n_quantiles=n, output_distribution="normal")
    return {"standard": StandardScaler, "robust": RobustScaler}[scaling]()


@pytest.mark.parametrize("scaling", SCALINGS)
def test_numbers_are_scaled_as_sklearn_scales_them(scaling):
    train, later = features(), features(seed=1)
    found = encoded(Encoder(scaling, clip=None).fit(train), later)
    for name in ("amount", "age"):
        median = train[name].median()
        scaler = by_sklearn(scaling, len(train)).fit(train[[name]].fillna(median).to_numpy())
        expected = scaler.transform(later[[name]].fillna(median).to_numpy())[:, 0]
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)


def test_standard_scaling_by_hand():
    encoder = Encoder("standard").fit(pd.DataFrame({"x": [1.0, 2.0, 3.0]}))
    found = encoder.transform(pd.DataFrame({"x": [2.0, 4.0]}))
    np.testing.assert_allclose(found, [[0.0], [2 / np.sqrt(2 / 3)]], rtol=1e-6)


def test_robust_scaling_by_hand():
    encoder = Encoder("robust").fit(pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0, 4.0]}))
    found = encoder.transform(pd.DataFrame({"x": [2.0, 5.0]}))
    np.testing.assert_allclose(found, [[0.0], [1.5]], rtol=1e-6)


def test_quantile_scaling_gives_ranks_of_a_normal_distribution():
    train = features(1000)
    found = encoded(Encoder("quantile").fit(train), train)["amount"]
    np.testing.assert_array_equal(found.rank(), train["amount"].rank())
    assert found.median() == pytest.approx(0, abs=0.01)
    assert (found < 1).mean() == pytest.approx(0.8413, abs=0.01)


def test_an_unknown_scaling_is_named_with_those_that_are_known():
    with pytest.raises(UserError, match=r"encoder\.scaling=minmax.*standard.*robust.*quantile"):
        Encoder("minmax").fit(features())


@pytest.mark.parametrize("clip", [1.5, 10.0, None])
def test_scaled_numbers_are_kept_within_clip(clip):
    later = features()
    later.loc[0, "amount"] = 1e9
    later.loc[1, "amount"] = -1e9
    found = encoded(Encoder(clip=clip).fit(features()), later)["amount"]
    if clip is None:
        assert found[0] > 1e4
        assert found[1] < -1e4
    else:
        assert (found.min(), found.max()) == (-clip, clip)


def test_categories_have_a_column_for_each_value_and_exactly_one_is_set():
    found = encoded(Encoder().fit(features()), features(seed=1))
    devices = found.filter(regex="^device=")
    known = features(seed=1)["device"]
    for value in ("phone", "tablet", "laptop"):
        np.testing.assert_array_equal(devices[f"device={value}"], known == value)
    assert (devices.sum(axis=1) == 1).all()
    assert (found.filter(regex="^city=").sum(axis=1) == 1).all()


def test_a_value_never_seen_in_training_has_a_column_of_its_own():
    later = features().head(3)
    later["device"] = ["fridge", "phone", "toaster"]
    devices = encoded(Encoder().fit(features()), later).filter(regex="^device=")
    names = devices.idxmax(axis=1).tolist()
    assert names[0] == names[2] != names[1] == "device=phone"
    assert "device=fridge" not in devices
    assert (devices.sum(axis=1) == 1).all()


def test_a_missing_category_is_told_from_an_unseen_one():
    later = features().head(3)
    later["device"] = pd.Series([None, "fridge", None], dtype="str")
    devices = encoded(Encoder().fit(features()), later).filter(regex="^device=")
    names = devices.idxmax(axis=1).tolist()
    assert names[0] == names[2] != names[1]


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
    names = [
        Encoder(max_categories=2).fit(rows).input_names()
        for rows in (frame, frame[::-1], frame.sample(frac=1, random_state=1))
    ]
    assert names[0] == names[1] == names[2]


def test_a_category_that_looks_like_a_mark_of_the_encoder_does_not_break_it():
    frame = pd.DataFrame({"device": pd.Series(["phone", "<missing>", "<unseen>", None] * 3)})
    assert (encoded(Encoder().fit(frame.astype("str")), frame).sum(axis=1) == 1).all()


def test_missing_numbers_become_the_median_and_are_marked():
    train = features()
    later = features(seed=1)
    found = encoded(Encoder().fit(train), later)
    missing = later["age"].isna().to_numpy()
    assert missing.any()
    np.testing.assert_array_equal(found["age_missing"], missing)
    at_median = encoded(Encoder().fit(train), later.fillna({"age": train["age"].median()}))
    np.testing.assert_array_equal(found["age"], at_median["age"])


def test_a_number_that_was_never_missing_in_training_may_be_missing_later():
    later = features(seed=1)
    later["amount"] = np.nan
    encoder = Encoder().fit(features())
    assert "amount_missing" not in encoder.input_names()
    at_median = later.assign(amount=features()["amount"].median())
    np.testing.assert_array_equal(encoder.transform(later), encoder.transform(at_median))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("values", [np.nan, 7.0], ids=["all missing", "constant"])
def test_a_column_without_information_does_no_harm(scaling, values):
    train = features().assign(age=values)
    encoder = Encoder(scaling).fit(train)
    before = encoded(encoder, train)
    assert before["age"].nunique() == 1
    later = encoded(encoder, train.assign(age=np.linspace(-50, 50, len(train))))
    assert later["age"].abs().max() <= 10
    np.testing.assert_array_equal(later["amount"], before["amount"])


def test_a_category_that_is_all_missing_in_training_may_have_values_later():
    train = features().assign(city=pd.Series([None] * 300, dtype="str"))
    encoder = Encoder().fit(train)
    for frame in (train, features()):
        assert (encoded(encoder, frame).filter(regex="^city=").sum(axis=1) == 1).all()


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("names", [["device", "city"], ["amount", "age"], ["is_night"], ["city"]])
def test_columns_of_a_single_kind_are_enough(scaling, names):
    encoder = Encoder(scaling).fit(features()[names])
    one = encoded(encoder, features(seed=1)[names])
    again = encoded(through_json(encoder), features(seed=1)[names])
    pd.testing.assert_frame_equal(one, again)


def test_bools_are_numbers():
    found = encoded(Encoder().fit(features()), features(seed=1))
    is_night = features(seed=1)["is_night"].to_numpy()
    assert found["is_night"][is_night].nunique() == 1
    assert found["is_night"][is_night].iloc[0] > 0 > found["is_night"][~is_night].iloc[0]


@pytest.mark.parametrize("dtype", ["int64", "int8", "float32", "bool", "Int64", "boolean"])
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
    encoder = Encoder().fit(features())
    with pytest.raises(UserError, match="missing") as raised:
        encoder.transform(features().drop(columns=["age", "city"]))
    assert "age" in str(raised.value)
    assert "city" in str(raised.value)
    assert "amount" not in str(raised.value)


def test_what_is_learned_depends_on_the_fitted_rows_alone():
    train = features()
    encoder = Encoder().fit(train)
    rows = features(seed=1).head(20)
    alone = encoder.transform(rows)
    wild = features(seed=2).assign(amount=1e6, device="fridge", age=np.nan)
    together = encoder.transform(pd.concat([rows, wild], ignore_index=True))
    np.testing.assert_array_equal(together[:20], alone)


def test_fitting_again_forgets_what_was_learned_before():
    encoder = Encoder().fit(features().assign(amount=1e6, city="Z"))
    encoder.fit(features())
    expected = Encoder().fit(features())
    assert encoder.input_names() == expected.input_names()
    np.testing.assert_array_equal(encoder.transform(features()), expected.transform(features()))


def test_frames_are_left_as_they_are():
    frame = features()
    Encoder().fit(frame).transform(frame)
    pd.testing.assert_frame_equal(frame, features())


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("clip", [2.5, None])
def test_a_saved_encoder_gives_bit_identical_inputs(scaling, clip):
    encoder = Encoder(scaling, max_categories=2, clip=clip).fit(features(1500))
    again = through_json(encoder)
    later = features(500, seed=1)
    later.loc[:3, "amount"] = [1e9, -1e9, np.nan, 0.0]
    later.loc[:1, "device"] = "fridge"
    np.testing.assert_array_equal(again.transform(later), encoder.transform(later))
    assert again.input_names() == encoder.input_names()
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
    assert Encoder().fit(frame.assign(age=np.nan)).usual_["age"] is None


def test_the_usual_row_has_medians_and_most_frequent_categories():
    frame = features().assign(
        device=lambda f: f["device"].where(f["device"] == "laptop", "phone"), unknown=np.nan
    )
    encoder = through_json(Encoder(clip=None).fit(frame))
    usual = encoder.values(encoder.usual_inputs()[None]).iloc[0]
    assert usual["amount"] == pytest.approx(frame["amount"].median(), rel=1e-4)
    assert usual["age"] == pytest.approx(frame["age"].median(), rel=1e-4)
    assert usual["device"] == "phone"
    assert np.isnan(usual["unknown"])
    never = Encoder().fit(frame.assign(city=pd.Series(np.nan, index=frame.index, dtype="str")))
    assert never.values(never.usual_inputs()[None])["city"].tolist() == ["<missing>"]
