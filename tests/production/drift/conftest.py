"""A model for production with its reference, and the data that it was made of."""

import pytest

from tests.production.drift.watched import SIMULATED, Watched


@pytest.fixture(scope="session")
def watched(compose, train, make, tmp_path_factory) -> Watched:
    """A model of 6,000 transactions in 90 days, 6 % of them fraud; tests only read it."""
    overrides = [f"data.{name}={value}" for name, value in SIMULATED.items()]
    job, folder = compose(*overrides, "trainer.max_epochs=1"), tmp_path_factory.mktemp("watched")
    winner = train(job, folder / "runs", job.dataset)
    made = make(job, winner, "train", folder, dataset=job.dataset)
    test_start = made.info["data"]["split"]["test"]["start"]
    return Watched(made.folder / "models" / "final_model", test_start)
