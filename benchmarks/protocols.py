"""What the detection benchmark trains and tests on: rows, features and labels of each data set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.detectors import combined
from fraud_ae.audit.label_use import features_from_labels
from fraud_ae.data.sources import Dataset, from_file, synthetic
from fraud_ae.data.split import Split, split_by_time
from fraud_ae.evaluation.scored_frames import known_compromised, scored_frame
from fraud_ae.features import Behavioural, DemographicRisk, compute_features, fit_strategy
from fraud_ae.features.encoder import Encoder

CONF = Path(__file__).resolve().parents[1] / "conf" / "data"
WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True)
class Task:
    """One training and one test.

    inputs: (n, n_inputs) float32, encoded by what the normal training rows taught. groups: the
    feature of each input. labels: (n,) 0 or 1. train, test: (n,) bool.
    """

    dataset: Dataset
    split: Split
    inputs: np.ndarray
    groups: list[int]
    labels: np.ndarray
    train: np.ndarray
    test: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """The training rows not known to be fraud: (n,) bool."""
        return self.train & (self.labels == 0)

    def scored(self, scores: np.ndarray) -> pd.DataFrame:
        """The test rows beside their scores, (test.sum(),), as evaluation functions take them."""
        return scored_frame(self.dataset, self.test, scores, self.split)


@dataclass(frozen=True)
class Protocol:
    """A data set's two tasks: what has to be chosen is chosen on `earlier`, once.

    labelled_features: names of the features that are made from delayed labels.
    """

    description: str
    labelled_features: list[str]
    earlier: Task
    final: Task


def handbook(file: str | None, train_start: str) -> Protocol:
    """The protocol of the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.

    A week of training from `train_start`, a week in which labels are not known yet, a week of test
    without the customers known to be compromised. The earlier task is the same two weeks before.
    """
    dataset = _read("handbook", file)
    strategy = Behavioural(label_delay_days=7.0)

    def weeks(start: pd.Timestamp) -> Task:
        transactions, end = dataset.transactions, start + 4 * WEEK
        dates = {"train_start": start, "train_end": start + WEEK}
        dates |= {"validation_start": start + 2 * WEEK, "validation_end": start + 3 * WEEK}
        # The split wants a test part behind its validation part: the benchmark has none.
        dates |= {"test_start": end, "test_end": end + pd.Timedelta(1, "us")}
        times = pd.concat([transactions["timestamp"], pd.Series([end])], ignore_index=True)
        split = split_by_time(times, dates=dates)
        test = split.validation(transactions) & ~known_compromised(transactions, split)
        return _task(dataset, split, strategy, split.train(transactions), test, clip=None)

    start = pd.Timestamp(train_start, tz="UTC")
    return Protocol(
        f"handbook: train {start:%Y-%m-%d} to {start + WEEK - pd.Timedelta(days=1):%Y-%m-%d}, test "
        f"{start + 2 * WEEK:%Y-%m-%d} to {start + 3 * WEEK - pd.Timedelta(days=1):%Y-%m-%d}",
        features_from_labels(strategy, dataset.transactions),
        earlier=weeks(start - 2 * WEEK),
        final=weeks(start),
    )


def ecommerce(file: str | None) -> Protocol:
    """60 % train, 20 % validation, 20 % test in order of time; features without any label.

    The hour is the column that the file has. The hour of the date is left out: where the two
    differ, the row is always a fraud, which is how the file was made and nothing to detect.
    """
    dataset = _read("ecommerce", file, extra_columns=["Transaction Hour"])
    unlabelled = Dataset(dataset.transactions, dataset.source_format)
    return _chronological(unlabelled, "ecommerce", DemographicRisk, 0.0, sees_labels=False)


def synthetic_market() -> Protocol:
    """60 % train, 20 % validation, 20 % test in order of time, 7 days of label delay."""

    return _chronological(synthetic(), "synthetic", combined, 7.0, sees_labels=True)


def _chronological(
    dataset: Dataset, name: str, new_strategy: Callable, delay: float, sees_labels: bool
) -> Protocol:
    transactions = dataset.transactions
    split = split_by_time(transactions["timestamp"], label_delay_days=delay)
    strategy = new_strategy()
    train = split.train(transactions)
    tasks = [
        _task(dataset, split, strategy, train, test, sees_labels=sees_labels)
        for test in (split.validation(transactions), split.test(transactions))
    ]
    made = features_from_labels(new_strategy(), transactions) if sees_labels else []
    description = f"{name}: 60 % train, 20 % validation, 20 % test in order of time"
    return Protocol(description, made, *tasks)


def _read(name: str, file: str | None, **further) -> Dataset:
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    used = {key: settings[key] for key in ("columns", "bad_values") if key in settings}
    return from_file(file, **used, **further)


def _task(
    dataset: Dataset,
    split: Split,
    strategy: object,
    train: np.ndarray,
    test: np.ndarray,
    sees_labels: bool = True,
    clip: float | None = 10.0,
) -> Task:
    labels = dataset.transactions["is_fraud"].to_numpy()
    # What comes after the test rows is not looked at.
    rows = slice(np.flatnonzero(test)[-1] + 1)
    transactions = dataset.transactions.iloc[rows]
    if not sees_labels:
        transactions = transactions.drop(columns="is_fraud")
    fit_strategy(strategy, transactions[train[rows]].reset_index(drop=True))
    features = compute_features(strategy, transactions)
    normal = (train & (labels == 0))[rows]
    encoder = Encoder(clip=clip).fit(features[normal])
    return Task(
        dataset,
        split,
        encoder.transform(features),
        encoder.input_groups(),
        labels[rows],
        train[rows],
        test[rows],
    )
