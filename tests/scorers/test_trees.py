import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from fraud_ae.errors import UserError
from fraud_ae.scorers.trees import fit_trees, load_trees, log_odds, save_trees


def evidence(n: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of five numbers, and labels that depend on one of them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 5)).astype(np.float32)
    return rows, (rng.random(n) < expit(2 * rows[:, 1] - 2)).astype(np.int8)


@pytest.fixture(scope="module")
def trees():
    return fit_trees(0, *evidence())


@pytest.fixture
def path(trees, tmp_path) -> Path:
    save_trees([trees], tmp_path / "trees.json")
    return tmp_path / "trees.json"


def test_odds_are_those_of_the_classes_and_finite(trees):
    rows, labels = evidence(seed=1)
    odds = log_odds(trees, rows)
    assert odds.shape == (1000,)
    assert np.isfinite(odds).all()
    assert odds[labels == 1].mean() > odds[labels == 0].mean() + 0.5
    assert expit(odds).mean() == pytest.approx(labels.mean(), abs=0.05)


def test_a_seed_repeats_the_trees_and_another_gives_others(trees):
    again, other = fit_trees(0, *evidence()), fit_trees(1, *evidence())
    rows = np.repeat(evidence()[0], 10, axis=0)  # so many that threads would share them
    np.testing.assert_array_equal(log_odds(again, rows), log_odds(trees, rows))
    assert not np.array_equal(log_odds(other, rows), log_odds(trees, rows))


def test_saved_trees_give_identical_odds_in_their_order_without_pickle(
    trees, tmp_path, monkeypatch
):
    def refuse(*arguments, **settings):
        raise AssertionError("pickled")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    path, other = tmp_path / "trees.json", fit_trees(1, *evidence())
    save_trees([trees, other], path)
    assert set(json.loads(path.read_text())) == {"sha256", "trees"}
    rows = evidence(seed=1)[0]
    for loaded, saved in zip(load_trees(path), (trees, other), strict=True):
        np.testing.assert_array_equal(log_odds(loaded, rows), log_odds(saved, rows))


def changed_digit(content: bytes) -> bytes:
    """One character of the first tree is another."""
    where = content.index(b'"trees"') + 1000
    other = b"A" if content[where : where + 1] != b"A" else b"B"
    return content[:where] + other + content[where + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"trees",
        lambda content: b"[]",
        lambda content: b"{}",
        lambda content: b'{"sha256": 1, "trees": "no list"}',
        lambda content: b'{"sha256": "", "trees": [1]}',
        changed_digit,
    ],
)
def test_a_damaged_file_is_refused(path, damage):
    content = path.read_bytes()
    assert damage(content) != content
    path.write_bytes(damage(content))
    with pytest.raises(UserError, match=r"trees\.json.*damaged"):
        load_trees(path)
    path.unlink()
    with pytest.raises(UserError, match=r"trees\.json.*damaged"):
        load_trees(path)
