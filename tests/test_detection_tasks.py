"""What the detection benchmark trains and tests on, what is known of it, and what is chosen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import ours, protocols, user_data
from benchmarks.comparison import ALL, Comparison, chosen
from benchmarks.peers import Peer
from fraud_ae.data.simulation.synthetic import simulate
from fraud_ae.errors import UserError

START = pd.Timestamp("2018-07-25", tz="UTC")


@pytest.fixture(scope="module")
def task(handbook_file):
    return protocols.handbook(str(handbook_file), "2018-07-25").finals[0]


def _mask(task, part):
    """A part of a task's rows as a mask of the dataset's rows until the last of them."""
    mask = np.zeros(task.rows[-1] + 1, dtype=bool)
    mask[task.rows[part]] = True
    return mask


def test_the_weeks_are_the_books_and_known_compromised_customers_leave(task):
    until = task.rows[-1] + 1
    rows = task.dataset.transactions.iloc[:until]
    train, test = (_mask(task, part) for part in (task.train, task.test))
    day = (rows["timestamp"].dt.floor("D") - START).dt.days
    assert (train == day.between(0, 6)).all()
    frauds = rows["is_fraud"] == 1
    pool = set(rows["customer_id"][frauds & day.between(0, 6)])
    expected = pd.Series(False, index=rows.index)
    for k in range(14, 21):
        pool |= set(rows["customer_id"][frauds & (day == k - 8)])
        expected |= (day == k) & ~rows["customer_id"].isin(pool)
    assert 0 < expected.sum() < day.between(14, 20).sum()
    assert (test == expected).all()


def test_what_is_chosen_is_chosen_two_weeks_earlier(handbook_file):
    protocol = protocols.handbook(str(handbook_file), "2018-07-25")
    earlier = protocol.earlier
    times = earlier.dataset.transactions["timestamp"].iloc[earlier.rows].reset_index(drop=True)
    assert times[earlier.train].min() >= START - pd.Timedelta(days=14)
    # The earlier test ends before the week that is tested in the end begins.
    assert times.max() < START + pd.Timedelta(days=7)
    assert all("fraud_rate" in name for name in protocol.labelled_features)


def test_known_frauds_are_drawn_by_the_seed_and_more_of_them_have_the_fewer(task):
    frauds = task.train & (task.labels == 1)
    five, twenty = task.with_known(5, 0), task.with_known(20, 0)
    assert (five.known.sum(), twenty.known.sum()) == (5, 20)
    assert not (five.known & ~twenty.known).any()
    assert not (twenty.known.astype(bool) & ~frauds).any()
    assert (task.with_known(20, 0).known == twenty.known).all()
    assert (task.with_known(20, 1).known != twenty.known).any()
    # The others lie among the rows that are trained on as normal; the truth stays what it is.
    assert five.normal.sum() == task.train.sum() - 5
    assert (five.labels == task.labels).all()
    assert (task.with_known(0, 0).normal == task.train).all()
    assert (task.with_known(None, 0).normal == task.train & ~frauds).all()


def test_the_encoder_learns_from_what_is_not_known_to_be_fraud(task):
    assert not np.array_equal(task.with_known(0, 0).inputs, task.inputs)


def test_no_more_frauds_can_be_known_than_there_are(task):
    with pytest.raises(UserError, match="--known 100000: the training from 2018-07-25 has"):
        task.with_known(100_000, 0)


class Noting:
    """A method that notes which frauds are known to it, by task and seed."""

    def __init__(self) -> None:
        self.known = {}

    def score(self, task, seed):
        self.known[int(task.known.sum()), task.rows[0], seed] = task.known
        return task.inputs[task.test].sum(axis=1)


OURS = [f"fraud_ae {name}" for name in ("reconstruction", "mahalanobis", "calibrated")]


def compared(handbook_file, known, left_out, **peers) -> pd.DataFrame:
    protocol = protocols.handbook(str(handbook_file), "2018-07-25", weeks=2)
    comparison = Comparison(protocol, known, 2, peers, left_out)
    return pd.DataFrame(row for rows, _ in comparison.rows(lambda line: None) for row in rows)


def test_all_methods_have_the_same_known_frauds_and_without_any_some_are_left_out(handbook_file):
    plain, boosting = Noting(), Noting()
    peers = {"plain": Peer(plain.score, False), "boosting": Peer(boosting.score, True)}
    rows = compared(handbook_file, [0, 7, ALL], OURS, **peers)
    assert set(rows["method"][rows["known"] == 0]) == {"plain"}
    assert set(rows["method"][rows["known"] == 7]) == {"plain", "boosting"}
    assert rows["week"].drop_duplicates().tolist() == ["2018-08-08", "2018-08-01"]
    assert len(rows) == (1 + 2 + 2) * 2 * 2
    assert rows["roc_auc"].nunique() > 2
    assert {key for key in plain.known if key[0]} == set(boosting.known)
    for key, known in boosting.known.items():
        assert (plain.known[key] == known).all()


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (["Isolation Forest"], "--leave-out Isolation Forest: no such method: fraud_ae recon"),
        (OURS, "no method is left with 7 known frauds"),
    ],
)
def test_what_cannot_be_left_out_is_said(handbook_file, left_out, message):
    with pytest.raises(UserError, match=message):
        compared(handbook_file, [7], left_out)


@pytest.mark.slow
def test_a_network_is_trained_once_and_every_scorer_chooses_among_all(handbook_file, monkeypatch):
    trained, train = [], ours.train

    def counted(task, seed, network):
        trained.append(network)
        return train(task, seed, network)

    monkeypatch.setattr(ours, "train", counted)
    monkeypatch.setattr(ours, "MEMBERS", 1)
    monkeypatch.setattr(ours, "TRAINER", replace(ours.TRAINER, max_epochs=1))
    earlier = protocols.handbook(str(handbook_file), "2018-07-25").earlier
    methods = ours.methods(earlier, lambda line: None)
    for method in methods.values():
        assert {choice["network"] for choice in method.choices} == set(range(len(ours.NETWORKS)))
        assert chosen(method, earlier) in method.choices
    assert trained == ours.NETWORKS
    calibrated = methods["fraud_ae calibrated"]
    scores = [calibrated.timed(earlier, 0, choice)[0] for choice in calibrated.choices[:2]]
    assert (scores[0] != scores[1]).any()
    # Where it was calibrated it is not fitted again, which would come to the same.
    network, _ = calibrated.networks(earlier, 0, 0)
    again = calibrated.score(replace(earlier), 0, network, **calibrated.choices[0])
    np.testing.assert_array_equal(again, scores[0])


def test_each_week_is_one_earlier_and_all_are_chosen_for_before_any_test(handbook_file):
    protocol = protocols.handbook(str(handbook_file), "2018-07-25", weeks=3)
    starts = [task.split.train_start for task in protocol.finals]
    assert starts == [START - week * pd.Timedelta(days=7) for week in range(3)]
    assert protocol.earlier.split.train_start == starts[-1] - pd.Timedelta(days=14)
    tested = [
        task.dataset.transactions["timestamp"].iloc[task.rows[-1]]
        for task in (protocol.earlier, protocol.finals[-1])
    ]
    assert tested[0] < protocol.finals[-1].split.validation_start < tested[1]


@pytest.mark.parametrize(
    ("start", "weeks", "message"),
    [
        ("2018-07-25", 6, "--weeks must be 5 or less"),
        ("2018-06-20", 1, "--train-start must be 2018-06-25 or later"),
        ("2018-07-26", 1, "--train-start must be 2018-07-25 or earlier"),
        ("soon", 1, "--train-start soon: not a date"),
    ],
)
def test_weeks_that_the_file_has_not_are_refused(handbook_file, start, weeks, message):
    with pytest.raises(UserError, match=message):
        protocols.handbook(str(handbook_file), start, weeks)


def test_windows_of_a_configured_file_end_ever_earlier():
    job = user_data.configured("synthetic", ["data.n_transactions=3000", "features=baseline"], None)
    protocol = user_data.protocol(job, weeks=3)
    latest, *others = (task.split for task in protocol.finals)
    length = latest.test_end - latest.test_start
    assert [latest.test_end - split.test_end for split in others] == [length, 2 * length]
    assert protocol.earlier.split == others[-1]
    assert list(protocol.earlier.features) == list(protocol.finals[0].features)
    with pytest.raises(UserError, match="--weeks must be"):
        user_data.protocol(job, weeks=50)


def test_windows_of_a_configured_file_keep_its_first_and_its_last_day():
    days = ["data.split.train_start=2024-02-01", "data.split.test_end=2024-06-01"]
    overrides = ["data.n_transactions=3000", "features=baseline", *days]
    splits = [
        task.split
        for task in user_data.protocol(user_data.configured("synthetic", overrides, None), 2).finals
    ]
    assert [f"{split.train_start:%F}" for split in splits] == ["2024-02-01"] * 2
    assert f"{splits[0].test_end:%F}" == "2024-06-01"
    assert splits[1].test_end < splits[0].test_end
    between = ["data.split.train_end=2024-03-01", "data.split.validation_end=2024-04-01"]
    job = user_data.configured("synthetic", [*overrides, *between], None)
    message = "leave out data.split.train_end, data.split.validation_end$"
    with pytest.raises(UserError, match=message):
        user_data.protocol(job, weeks=2)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("nowhere", [], "data=nowhere: no such option; known: .*custom"),
        ("synthetic", ["trainer.max_epoch=3"], "trainer.max_epoch: no such key"),
        ("synthetic", ["shop.csv"], "shop.csv: not a setting such as data.path=shop.csv"),
    ],
)
def test_a_mistake_of_the_configuration_is_said(name, overrides, message):
    with pytest.raises(UserError, match=message):
        user_data.configured(name, overrides, None)


def test_a_file_without_labels_is_refused(tmp_path):
    frame, _ = simulate(500, n_customers=30)
    frame.drop(columns="is_fraud").to_parquet(tmp_path / "shop.parquet")
    overrides = [f"data.path={tmp_path / 'shop.parquet'}", "data.columns.is_fraud=null"]
    job = user_data.configured("custom", overrides, None)
    with pytest.raises(UserError, match="no fraud is labelled"):
        user_data.protocol(job, weeks=1)
