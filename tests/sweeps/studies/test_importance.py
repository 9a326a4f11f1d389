import itertools
import json
import random

import numpy as np
import pandas as pd
import pytest

from fraud_ae.runtime.kept_files import write_kept_json
from fraud_ae.sweeps.studies.importance import (
    METHODS,
    importances,
    parameter_columns,
    stored_importances,
    varied_parameters,
)
from tests.damage import mutated


def board(reached, **parameters) -> pd.DataFrame:
    """A leaderboard with a finished combination for each value that was reached."""
    given = {"rank": range(1, len(reached) + 1), "status": "finished", "reused": False}
    return pd.DataFrame({**given, **parameters, "final_auc": reached, "data": "x"})


@pytest.fixture
def grid() -> pd.DataFrame:
    """What is reached depends on `model.a` strongly, on `model.b` weakly, on `seed` not at all."""
    rows = list(itertools.product((8, 16, 32), ("relu", "tanh"), (1, 2, 3)))
    a, b, seed = zip(*rows, strict=True)
    reached = [x / 40 + (y == "tanh") / 50 for x, y, _ in rows]
    columns = {"model": "autoencoder", "model.a": a, "model.b": b, "seed": seed}
    return board(reached, **columns)


def test_parameters_stand_between_what_the_run_was_and_what_it_reached(grid):
    assert parameter_columns(grid) == ["model", "model.a", "model.b", "seed"]
    assert varied_parameters(grid) == ["model.a", "model.b", "seed"]


def test_what_decides_is_the_most_important_and_a_constant_has_none(grid):
    found = importances(grid, "final_auc")
    assert tuple(found) == METHODS
    for shares in found.values():
        assert set(shares) == {"model.a", "model.b", "seed"}
        assert sum(shares.values()) == pytest.approx(1)
        assert max(shares, key=shares.get) == "model.a"
    assert found["fANOVA"]["model.a"] > 0.8
    assert found["fANOVA"]["seed"] < 0.05
    assert importances(grid, "final_auc") == found


def test_nothing_mattered_where_nothing_varied_or_all_reached_the_same(grid):
    assert importances(grid.head(1), "final_auc") is None
    assert importances(grid.assign(final_auc=0.5), "final_auc") is None
    assert importances(board([0.1, 0.2], model="autoencoder"), "final_auc") is None


def test_two_combinations_are_enough(grid):
    assert sum(importances(grid.iloc[[0, -1]], "final_auc")["fANOVA"].values()) == pytest.approx(1)


@pytest.mark.slow
def test_lost_combinations_do_not_count(grid):
    lost = grid.head(2).assign(final_auc=np.nan, status="diverged")
    both = pd.concat([grid, lost], ignore_index=True)
    assert importances(both, "final_auc") == importances(grid, "final_auc")


def test_missing_values_and_intervals_of_numbers_are_parameters_too():
    rng = np.random.default_rng(0)
    rate, clip = 10 ** rng.uniform(-4, -2, 40), rng.choice([np.nan, 10.0], 40)
    columns = {"trainer.learning_rate": rate, "encoder.clip": clip}
    found = importances(board(np.log10(rate), **columns), "final_auc")
    assert found["fANOVA"]["trainer.learning_rate"] > 0.9


def test_they_are_computed_once_for_what_the_leaderboard_says(grid, tmp_path):
    path = tmp_path / "importance.json"
    found = stored_importances(path, grid, "final_auc")
    kept = json.loads(path.read_text())
    assert kept["importances"] == found
    write_kept_json(path, {**kept, "importances": "kept"})
    assert stored_importances(path, grid.assign(reused=True), "final_auc") == "kept"
    other = grid.assign(final_auc=grid["final_auc"] ** 2)
    assert stored_importances(path, other, "final_auc") == importances(other, "final_auc")


def test_damaged_ones_are_told_and_computed_again(grid, tmp_path, caplog):
    path = tmp_path / "importance.json"
    found = stored_importances(path, grid, "final_auc")
    damaged = mutated(path, "digit", random.Random(0))
    assert stored_importances(path, grid, "final_auc") == found
    (line,) = caplog.messages
    assert line.startswith(f"{path}: damaged (")
    assert (tmp_path / "importance.json.damaged").read_bytes() == damaged


def test_what_changes_nothing_has_no_share(grid):
    both = pd.concat(
        [grid.assign(**{"threshold.percentile": p}) for p in (90, 95)], ignore_index=True
    )
    columns = list(both.columns)
    columns.insert(columns.index("final_auc"), columns.pop(columns.index("threshold.percentile")))
    found = importances(both[columns], "final_auc")
    expected = importances(grid, "final_auc")
    for method, shares in expected.items():
        assert found[method].pop("threshold.percentile") == 0
        assert found[method] == pytest.approx(shares)
