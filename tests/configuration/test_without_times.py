"""Data without times: the order of the file stands for them, and what needs more is refused."""

import hydra
import numpy as np
import pandas as pd
import pytest

from fraud_ae.configuration.command_line import CONF
from fraud_ae.configuration.job import Job
from fraud_ae.errors import DataError, StrategyRefused
from fraud_ae.sweeps.plugins import register


@pytest.fixture
def job(tmp_path):
    register()
    rng = np.random.default_rng(0)
    rows = 600
    pd.DataFrame(
        {
            "customer_id": rng.integers(0, 30, rows),
            "amount": rng.lognormal(3, 1, rows),
            "is_fraud": rng.random(rows) < 0.1,
        }
    ).to_csv(tmp_path / "t.csv", index=False)

    def composed(*overrides: str):
        settings = [
            "data=custom",
            f"data.path={tmp_path / 't.csv'}",
            "data.columns.transaction_id=null",
            "data.columns.timestamp=null",
            "data.split.label_delay_days=0",
        ]
        with hydra.initialize_config_dir(str(CONF)):
            return Job.of(hydra.compose("train", [*settings, *overrides]), {})

    return composed


def test_the_order_of_the_file_is_split(job):
    split, dataset = job("features=baseline").split, job("features=baseline").dataset
    assert split.train(dataset.transactions).sum() == 360
    later = dataset.source_format.rows_before
    assert later == 600


@pytest.mark.promise(6)
@pytest.mark.parametrize("name", ["temporal", "behavioural", "combined"])
def test_strategies_that_read_times_are_refused(job, name):
    with pytest.raises(StrategyRefused, match="reads times"):
        _ = job(f"features={name}").strategy


@pytest.mark.parametrize("override", ["data.split.label_delay_days=7", "threshold.method=budget"])
def test_what_counts_days_is_refused(job, override):
    with pytest.raises(DataError, match=r"data\.columns\.timestamp=null"):
        _ = job("features=baseline", override).split
