"""A model for production with its reference, and the data that it was made of."""

import pandas as pd
import pytest

from tests.production.drift.watched import Watched


@pytest.fixture(scope="session")
def watched(compose, train, make, tmp_path_factory) -> Watched:
    """A model of 6,000 transactions in 90 days, 6 % of them fraud; tests only read it."""
    config = compose(
        "data.n_transactions=6000",
        "data.days=90",
        "data.fraud_ratio=0.06",
        "trainer.max_epochs=1",
    )
    made_of, folder = config.dataset, tmp_path_factory.mktemp("watched")
    winner = train(config, folder / "runs", made_of)
    made = make(config, winner, "train", folder, dataset=made_of)
    return Watched(made.folder / "models" / "final_model")


@pytest.fixture(scope="session")
def newest(watched) -> pd.DataFrame:
    """The test rows."""
    return watched.parts["test"]


@pytest.fixture(scope="session")
def earlier(watched, newest) -> pd.DataFrame:
    """All rows before them."""
    return watched.transactions[: newest.index[0]]
