import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from fraud_ae.errors import UserError
from fraud_ae.scorers import trees as trees_module
from fraud_ae.scorers.trees import Trees, fit_trees, load_trees, log_odds, save_trees


def evidence(n: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of five numbers, and labels that depend on one of them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 5)).astype(np.float32)
    return rows, (rng.random(n) < expit(2 * rows[:, 1] - 2)).astype(np.int8)


@pytest.fixture(scope="module")
def trees() -> Trees:
    return fit_trees(0, *evidence())


@pytest.fixture
def path(trees, tmp_path) -> Path:
    save_trees([trees], tmp_path / "scorer.skops")
    return tmp_path / "scorer.skops"


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


def test_saved_trees_give_identical_odds(trees, path):
    rows = evidence(seed=1)[0]
    np.testing.assert_array_equal(log_odds(load_trees(path)[0], rows), log_odds(trees, rows))


def test_no_pickle_is_written_or_read(trees, tmp_path, monkeypatch):
    def refuse(*arguments, **settings):
        raise AssertionError("pickled")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    save_trees([trees], tmp_path / "scorer.skops")
    assert type(load_trees(tmp_path / "scorer.skops")[0]) is type(trees)
    with zipfile.ZipFile(tmp_path / "scorer.skops") as archive:
        assert {name.rpartition(".")[2] for name in archive.namelist()} <= {"json", "npy"}


def spoiled(path: Path, change) -> Path:
    """The same file after a change of the trees in it."""
    found = skops.io.load(path, trusted=trees_module._TRUSTED)
    change(found)
    skops.io.dump(found, path)
    return path


FAR = 10**6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("left", FAR),
        ("right", FAR),
        ("left", 0),
        ("feature_idx", FAR),
        ("feature_idx", 5),
        ("feature_idx", -5),
        ("is_categorical", 1),
    ],
)
def test_trees_that_lead_nowhere_are_refused(path, field, value):
    def change(found):
        found[0]._predictors[7][0].nodes[field][0] = value

    with pytest.raises(UserError, match=r"scorer\.skops.*damaged"):
        load_trees(spoiled(path, change))


def test_a_tree_without_a_node_is_refused(path):
    def change(found):
        found[0]._predictors[7][0].nodes = found[0]._predictors[7][0].nodes[:0]

    with pytest.raises(UserError, match=r"scorer\.skops.*damaged"):
        load_trees(spoiled(path, change))


class Unknown:
    pass


@pytest.mark.parametrize(
    "damage", ["cut", "text", "absent", "other model", "other models", "unknown class"]
)
def test_a_file_that_holds_no_trees_is_refused(path, damage):
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("trees")
    elif damage == "other model":
        skops.io.dump(LogisticRegression(), path)
    elif damage == "other models":
        skops.io.dump([LogisticRegression()], path)
    elif damage == "unknown class":
        skops.io.dump(Unknown(), path)
    with pytest.raises(UserError, match=r"scorer\.skops"):
        load_trees(path)
