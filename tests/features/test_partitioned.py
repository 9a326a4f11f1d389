"""Features partition by partition are those of all transactions together, to the last digit."""

import copy
import socket
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud_ae.errors import UserError
from fraud_ae.features import Baseline, Behavioural, Combined, DemographicRisk, Temporal
from fraud_ae.features.encoded_data import encode
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.history import History
from fraud_ae.features.partitioned import engines
from fraud_ae.features.partitioned import features as partitioned
from fraud_ae.features.partitioned.batches import FrameBatches, ParquetBatches
from fraud_ae.features.partitioned.computation import FeatureComputation
from fraud_ae.features.partitioned.features import partitioned_features
from fraud_ae.features.strategy import FeatureStrategy, compute_features, fit_strategy
from tests.features.conftest import make_transactions

ROWS = 5_000


def combined() -> Combined:
    parts = (Baseline(), Temporal(), Behavioural([1, 7], 2), DemographicRisk(2))
    return Combined({type(part).__name__: part for part in parts})


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Ties, gaps, missing terminals and categories; no missing customers, as the sources give."""
    frame = make_transactions(ROWS, seed=4)
    return frame.assign(customer_id=frame["customer_id"].fillna("none"))


LOCAL = FeatureComputation(memory=10**12)
RAY = pytest.param("quantile", FeatureComputation("ray"), marks=pytest.mark.scale)


def computed(strategy, transactions, computation=LOCAL):
    with partitioned_features(strategy, transactions, computation) as features:
        frame = pd.concat(features.frames(777), ignore_index=True)
        for name in features:
            pd.testing.assert_series_equal(features[name], frame[name], check_exact=True)
    return frame


def of_thousand_rows(monkeypatch) -> FeatureComputation:
    monkeypatch.setattr(partitioned, "_rows_at_once", lambda *_: 1_000)
    return LOCAL


@pytest.mark.parametrize("make", [Baseline, Temporal, lambda: Behavioural([1, 7], 2), combined])
def test_partitions_give_the_features_of_all_rows(monkeypatch, table, make, tmp_path):
    strategy = fit_strategy(make(), table[:3_000])
    expected = compute_features(strategy, table)
    computation = of_thousand_rows(monkeypatch)

    found = computed(strategy, FrameBatches(table), computation)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)

    pq.write_table(pa.Table.from_pandas(table[:2_345], preserve_index=False), tmp_path / "1")
    pq.write_table(pa.Table.from_pandas(table[2_345:], preserve_index=False), tmp_path / "2")
    found = computed(strategy, ParquetBatches((tmp_path / "1", tmp_path / "2")), computation)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("absent", ["customer_id", "terminal_id", "is_fraud"])
def test_tables_without_a_column(monkeypatch, table, absent):
    table = table.drop(columns=absent)
    strategy = fit_strategy(Behavioural([1, 7], 2), table[:3_000])
    found = computed(strategy, FrameBatches(table), of_thousand_rows(monkeypatch))
    pd.testing.assert_frame_equal(found, compute_features(strategy, table), check_exact=True)


@pytest.mark.parametrize(
    ("scaling", "computation"),
    [("standard", LOCAL), ("quantile", LOCAL), ("robust", LOCAL), RAY],
    ids=["standard", "quantile", "robust", "ray"],
)
def test_what_is_encoded_is_the_same(monkeypatch, tmp_path, table, scaling, computation):
    if computation.engine == "ray":
        pytest.importorskip("ray")
    fit_rows = np.arange(ROWS) < 3_000
    arguments = (combined(), Encoder(scaling), table, fit_rows, "normal")
    expected = encode(*arguments)
    of_thousand_rows(monkeypatch)

    encoded = encode(*arguments, tmp_path, computation)

    assert np.array_equal(encoded.inputs, expected.inputs)
    assert encoded.encoder.to_dict() == expected.encoder.to_dict()
    assert np.array_equal(encoded.train_rows, expected.train_rows)
    assert [path.name for path in tmp_path.iterdir()] == ["inputs.npy"]


def test_batches_are_encoded_as_the_table_that_they_are_of(monkeypatch, tmp_path, table):
    files = []
    for number, part in enumerate(np.array_split(np.arange(ROWS), 3)):
        files.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.Table.from_pandas(table.iloc[part], preserve_index=False), files[-1])
    fit_rows = np.arange(ROWS) % 3 > 0
    arguments = (fit_rows, "normal", None, of_thousand_rows(monkeypatch))
    expected = encode(combined(), Encoder(), table, fit_rows, "normal")
    # What a class of one's own learns from is not known, so that it is given all columns.
    for strategy in (combined(), Combined({**combined().parts, "own": Unchanged()})):
        encoded = encode(strategy, Encoder(), ParquetBatches(tuple(files)), *arguments)
        assert np.array_equal(encoded.inputs, expected.inputs)
        assert np.array_equal(encoded.labels, expected.labels)
        assert encoded.encoder.to_dict() == expected.encoder.to_dict()


class Unchanged(Temporal):
    """Learns from a column that what it extends does not read."""

    def fit_family(self, df):
        super().fit_family(df)
        self.ids_ = df["ip_address"].nunique()


class OverAll(FeatureStrategy):
    """The amount and its sum so far over all customers, of which it says nothing."""

    def generate_features(self, df):
        return pd.DataFrame({"amount": df["amount"], "so_far": df["amount"].cumsum()})


class OfTerminals(OverAll):
    """The number of the sale of a terminal, without a word on which feature that is."""

    history = History(terminal_days=30)

    def generate_features(self, df):
        return pd.DataFrame({"sale": df.groupby("terminal_id").cumcount() * 1.0})


def test_a_strategy_that_cannot_be_divided_is_refused(table):
    for strategy, expected in (
        (OverAll(), "OverAll: the feature so_far depends on others than no other transactions"),
        (OfTerminals(), "terminal_features, a regular expression"),
    ):
        with pytest.raises(UserError, match=expected):
            computed(fit_strategy(strategy, table), FrameBatches(table))
    named = OfTerminals()
    named.terminal_features = "sale"
    found = computed(fit_strategy(copy.deepcopy(named), table), FrameBatches(table))
    pd.testing.assert_frame_equal(found, compute_features(named, table))


def test_memory_that_is_too_small_is_refused(monkeypatch, table):
    strategy = fit_strategy(Temporal(), table)
    with pytest.raises(UserError, match="features.memory=1MB: too little for 5,000 transactions"):
        computed(strategy, FrameBatches(table), FeatureComputation(memory=1_000_000))
    monkeypatch.setattr(partitioned, "_rows_at_once", lambda *_: 100)
    with pytest.raises(UserError, match="features.memory: customer_id .* which are computed tog"):
        computed(strategy, FrameBatches(table))


@pytest.mark.parametrize(
    ("size", "expected"),
    [("4GB", 4 * 10**9), ("1.5 GiB", 3 * 2**29), ("900mb", 9 * 10**8), ("4", None), ("0GB", None)],
)
def test_sizes_have_a_unit(size, expected):
    if expected is not None:
        assert FeatureComputation.of(memory=size).memory == expected
        return
    with pytest.raises(UserError, match=f"features.memory={size}: must be a size with its unit"):
        FeatureComputation.of(memory=size)


def run_on_ray() -> None:
    engines.run_all("ray", print, [("nothing",)])


def test_ray_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'fraud_ae\[ray\]'"):
        run_on_ray()


@pytest.mark.scale
def test_a_cluster_that_does_not_answer_is_said(monkeypatch):
    pytest.importorskip("ray").shutdown()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(UserError, match="no Ray cluster answers at RAY_ADDRESS=127.0.0.1:"):
            run_on_ray()


def fail(what: str, *_: object) -> None:
    raise UserError(what) if what != "gone" else FileNotFoundError(2, "no such file", "there")


@pytest.mark.scale
@pytest.mark.parametrize(
    ("what", "expected"),
    [("of a strategy", "^of a strategy$"), ("gone", "a node does not see there; outputs_dir must")],
)
def test_what_fails_in_a_task_is_said_as_it_is_here(what, expected):
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=expected):
        engines.run_all("ray", fail, [(what,), (what,)])
