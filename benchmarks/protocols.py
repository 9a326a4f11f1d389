"""What the detection benchmark trains and tests on: rows, features and labels of each data set."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import yaml

from benchmarks.detectors import combined
from fraud_ae.audit.label_use import features_from_labels
from fraud_ae.data.sources import Dataset, from_file, synthetic
from fraud_ae.data.split import Split, split_by_time
from fraud_ae.errors import DataError, UserError
from fraud_ae.evaluation.scored_frames import evaluation_frame, known_compromised, with_scores
from fraud_ae.features import Behavioural, DemographicRisk, compute_features, fit_strategy
from fraud_ae.features.encoder import Encoder

CONF = Path(__file__).resolve().parents[1] / "conf" / "data"
WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True, eq=False)
class Task:
    """One training and one test, of n rows in order of time.

    rows: (n,) positions of the rows in the dataset. features: (n, n_features), not encoded.
    encoder: not fitted. labels: (n,) 0 or 1, the truth. known: (n,) 0 or 1, the labels that a
    training gets; 0 for a fraud that nobody has found. train, test: (n,) bool.
    """

    dataset: Dataset
    split: Split
    rows: np.ndarray
    features: pd.DataFrame
    encoder: Encoder
    labels: np.ndarray
    known: np.ndarray
    train: np.ndarray
    test: np.ndarray

    def with_known(self, count: int | None, seed: int) -> Self:
        """The task in which `count` frauds of the training are known; None is all of them.

        Which ones is drawn by the seed, and a larger count has those of a smaller one. The others
        lie among the training rows as if they were normal. Features that are made of delayed labels
        stay as they are. Raises UserError where there are not so many frauds.
        """
        frauds = np.flatnonzero(self.train & (self.labels == 1))
        if count is None and len(frauds):
            return replace(self, known=self.labels)
        if count is None or count > len(frauds):
            raise UserError(
                f"--known {'all' if count is None else count}: the training from "
                f"{self.split.train_start:%Y-%m-%d} has {len(frauds)} frauds in all"
            )
        known = np.zeros_like(self.labels)
        known[np.random.default_rng(seed).permutation(frauds)[:count]] = 1
        return replace(self, known=known)

    @property
    def normal(self) -> np.ndarray:
        """The training rows not known to be fraud: (n,) bool."""
        return self.train & (self.known == 0)

    @cached_property
    def fitted_encoder(self) -> Encoder:
        """The encoder, which has learned from the training rows not known to be fraud."""
        return copy.deepcopy(self.encoder).fit(self.features, self.normal)

    @cached_property
    def inputs(self) -> np.ndarray:
        """The encoded features: (n, n_inputs) float32."""
        return self.fitted_encoder.transform(self.features)

    @property
    def groups(self) -> list[int]:
        """The feature of each input."""
        return self.fitted_encoder.input_groups()

    def scored(self, scores: np.ndarray) -> pd.DataFrame:
        """The test rows beside their scores, (test.sum(),), as evaluation functions take them."""
        return with_scores(self._test_frame, scores)

    @cached_property
    def _test_frame(self) -> pd.DataFrame:
        tested = np.zeros(len(self.dataset.transactions), dtype=bool)
        tested[self.rows[self.test]] = True
        return evaluation_frame(self.dataset, tested, self.split)


@dataclass(frozen=True)
class Protocol:
    """A data set's tasks: what has to be chosen is chosen on `earlier`, which ends before any test.

    labelled_features: names of the features that are made from delayed labels. finals: the tasks
    that are measured, the latest first.
    """

    description: str
    labelled_features: list[str]
    earlier: Task
    finals: list[Task]


def handbook(file: str | None, train_start: str, weeks: int = 1) -> Protocol:
    """The protocol of the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.

    A week of training from `train_start`, a week in which labels are not known yet, a week of test
    without the customers known to be compromised. Each further one of `weeks` is the same a week
    earlier. The earlier task begins two weeks before the first of them. Raises UserError where the
    file does not have all these days.
    """
    dataset = _read("handbook", file)
    strategy = Behavioural(label_delay_days=7.0)

    def task(start: pd.Timestamp) -> Task:
        transactions, end = dataset.transactions, start + 4 * WEEK
        dates = {"train_start": start, "train_end": start + WEEK}
        dates |= {"validation_start": start + 2 * WEEK, "validation_end": start + 3 * WEEK}
        # The split wants a test part behind its validation part: the benchmark has none.
        dates |= {"test_start": end, "test_end": end + pd.Timedelta(1, "us")}
        times = pd.concat([transactions["timestamp"], pd.Series([end])], ignore_index=True)
        split = split_by_time(times, dates=dates)
        test = split.validation(transactions) & ~known_compromised(transactions, split)
        return make_task(
            dataset, split, strategy, Encoder(clip=None), split.train(transactions), test
        )

    starts = [_day(train_start) - week * WEEK for week in range(weeks)]
    _check_days(dataset.transactions["timestamp"], starts)
    tests = f"{starts[-1] + 2 * WEEK:%Y-%m-%d}", f"{starts[0] + 3 * WEEK - WEEK / 7:%Y-%m-%d}"
    described = f"train {starts[0]:%Y-%m-%d} to {starts[0] + WEEK - WEEK / 7:%Y-%m-%d}"
    if weeks > 1:
        described = f"train one of {weeks} weeks from {starts[-1]:%Y-%m-%d} on"
    return Protocol(
        f"handbook: {described}, test {' to '.join(tests)}",
        features_from_labels(strategy, dataset.transactions),
        earlier=task(starts[-1] - 2 * WEEK),
        finals=[task(start) for start in starts],
    )


def _day(text: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(text, tz="UTC")
    except ValueError:
        raise UserError(f"--train-start {text}: not a date such as 2018-07-25") from None


def _check_days(times: pd.Series, starts: list[pd.Timestamp]) -> None:
    """Raises UserError unless the file has the days of all tasks that begin on `starts`."""
    first, end = times.iloc[0].floor("D"), times.iloc[-1].ceil("D")
    needed, until = starts[-1] - 2 * WEEK, starts[0] + 3 * WEEK
    if first <= needed and until <= end:
        return
    has = f"the file has {first:%Y-%m-%d} to {end - WEEK / 7:%Y-%m-%d}"
    if until > end:
        latest = end - 3 * WEEK
        raise UserError(f"{has}: --train-start must be {latest:%Y-%m-%d} or earlier")
    fitting = (starts[0] - 2 * WEEK - first) // WEEK + 1
    if fitting < 1:
        raise UserError(f"{has}: --train-start must be {first + 2 * WEEK:%Y-%m-%d} or later")
    raise UserError(f"{has}: --weeks must be {fitting} or less, or --train-start later")


def ecommerce(file: str | None, weeks: int = 1) -> Protocol:
    """60 % train, 20 % validation, 20 % test in order of time; features without any label.

    The hour is the column that the file has. The hour of the date is left out: where the two
    differ, the row is always a fraud, which is how the file was made and nothing to detect.
    """
    dataset = _read("ecommerce", file, extra_columns=["Transaction Hour"])
    unlabelled = Dataset(dataset.transactions, dataset.source_format)
    split_by = partial(split_by_time, label_delay_days=0.0)
    return chronological(
        unlabelled, "ecommerce", DemographicRisk(), Encoder(), split_by, weeks, sees_labels=False
    )


def synthetic_market(weeks: int = 1) -> Protocol:
    """60 % train, 20 % validation, 20 % test in order of time, 7 days of label delay."""
    return chronological(synthetic(), "synthetic", combined(), Encoder(), split_by_time, weeks)


def chronological(
    dataset: Dataset,
    name: str,
    strategy: object,
    encoder: Encoder,
    split_by: Callable[..., Split],
    weeks: int,
    sees_labels: bool = True,
) -> Protocol:
    """Training, validation and test part in order of time, and the same on ever fewer rows.

    weeks: windows, a rolling origin (Tashman, International Journal of Forecasting 16, 2000): each
    further one ends earlier by the length of the latest test part, and is split anew. The earlier
    task trains on the training part of the earliest window, and its test is the validation part of
    it. strategy, encoder: not fitted. split_by: `split_by_time` with settings but for the date
    `test_end`. Raises UserError where there are too few rows for so many windows.
    """
    transactions = dataset.transactions
    times = transactions["timestamp"]
    splits = [split_by(times)]
    length = splits[0].test_end - splits[0].test_start
    try:
        for week in range(1, weeks):
            splits.append(split_by(times, dates={"test_end": splits[0].test_end - week * length}))
    except DataError:
        raise UserError(
            f"--weeks {weeks}: the data are too short; --weeks must be {len(splits)} or less"
        ) from None

    def task(split: Split, test: np.ndarray) -> Task:
        train = split.train(transactions)
        return make_task(dataset, split, strategy, encoder, train, test, sees_labels)

    windows = f", {weeks} windows" if weeks > 1 else ""
    return Protocol(
        f"{name}: train, validation and test in order of time{windows}",
        features_from_labels(strategy, transactions) if sees_labels else [],
        earlier=task(splits[-1], splits[-1].validation(transactions)),
        finals=[task(split, split.test(transactions)) for split in splits],
    )


def make_task(
    dataset: Dataset,
    split: Split,
    strategy: object,
    encoder: Encoder,
    train: np.ndarray,
    test: np.ndarray,
    sees_labels: bool = True,
) -> Task:
    """A task in which all labels are known. train, test: (len(dataset.transactions),) bool.

    A test row without a label is left out, a training row is not known to be fraud. strategy,
    encoder: not fitted. sees_labels: whether the strategy is given labels. Raises UserError unless
    the test rows have frauds and others.
    """
    truth = dataset.transactions["is_fraud"]
    test = test & truth.notna().to_numpy()
    if truth[test].nunique() < 2:
        first, end = (f"{day:%Y-%m-%d}" for day in (split.train_start, split.test_end))
        raise UserError(f"{first} to {end}: the rows to test on are not of both classes")
    # What comes after the test rows is not looked at.
    until = np.flatnonzero(test)[-1] + 1
    transactions = dataset.transactions.iloc[:until]
    if not sees_labels:
        transactions = transactions.drop(columns="is_fraud")
    strategy = copy.deepcopy(strategy)
    fit_strategy(strategy, transactions[train[:until]].reset_index(drop=True))
    rows = np.flatnonzero(train | test)
    labels = (truth.to_numpy()[rows] == 1).astype(np.int8)
    return Task(
        dataset,
        split,
        rows,
        compute_features(strategy, transactions).iloc[rows].reset_index(drop=True),
        encoder,
        labels,
        labels,
        train[rows],
        test[rows],
    )


def _read(name: str, file: str | None, **further) -> Dataset:
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    used = {key: settings[key] for key in ("columns", "bad_values") if key in settings}
    return from_file(file, **used, **further)
