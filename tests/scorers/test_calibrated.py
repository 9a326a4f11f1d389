import itertools
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.tree import ExtraTreeClassifier

from fraud_ae.errors import UserError
from fraud_ae.scorers import calibrated
from fraud_ae.scorers.calibrated import (
    LEAST_FRAUDS,
    LEAST_VALIDATION_FRAUDS,
    LEAVES,
    CalibratedScorer,
)
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from tests.scorers.rows import labelled, signals

FITTED, VALIDATION, OTHERS = labelled(seed=1), labelled(seed=2), labelled(seed=3)


@pytest.fixture(scope="module")
def fitted() -> CalibratedScorer:
    return CalibratedScorer().fit(*FITTED, *VALIDATION)


@pytest.fixture(scope="module")
def scores(fitted) -> np.ndarray:
    return fitted.score(OTHERS[0])


def with_frauds(rows: tuple, count: int) -> tuple:
    """Labels that know so many of the frauds."""
    signals_, labels = rows
    return signals_, np.where(np.cumsum(labels) > count, 0, labels)


def test_frauds_that_are_unusual_in_one_feature_are_learned_from_labels(scores):
    reconstruction = ReconstructionScorer().fit(*FITTED, *VALIDATION).score(OTHERS[0])
    learned = roc_auc_score(OTHERS[1], scores)
    assert learned > 0.95
    assert learned > roc_auc_score(OTHERS[1], reconstruction) + 0.1


def test_each_kind_of_evidence_is_used():
    labels = (np.arange(2000) % 20 == 0).astype(np.int8)
    for name in ("inputs", "residuals", "code"):
        rows, others = signals(2000, seed=1), signals(2000, seed=2)
        for each in (rows, others):
            getattr(each, name)[labels == 1, 0] += 3.0
        assert roc_auc_score(labels, CalibratedScorer().fit(rows, labels).score(others)) > 0.95


def test_scores_are_probabilities_one_float32_for_each_row(fitted, scores):
    assert scores.shape == (4000,)
    assert scores.dtype == np.float32
    assert 0 <= scores.min() < scores.max() <= 1
    assert fitted.score(OTHERS[0][:1]).shape == (1,)
    assert fitted.score(OTHERS[0][:0]).shape == (0,)


def test_the_mean_probability_is_the_share_of_frauds_in_validation(fitted):
    mean = fitted.score(VALIDATION[0]).mean()
    assert mean == pytest.approx(VALIDATION[1].mean(), abs=0.002)


@pytest.mark.parametrize("rows", [VALIDATION, OTHERS], ids=["validation", "others"])
def test_of_rows_of_like_probability_that_share_is_fraud(fitted, rows):
    scores, labels = fitted.score(rows[0]), rows[1]
    edges = [0, 0.02, 0.1, 0.3, 0.6, 1]
    for low, high in itertools.pairwise(edges):
        inside = (scores >= low) & (scores < high)
        expected, n = scores[inside].mean(), inside.sum()
        noise = np.sqrt(expected * (1 - expected) / n)
        assert n > 20
        assert labels[inside].mean() == pytest.approx(expected, abs=4 * noise + 0.03)


def test_calibration_leaves_the_order_as_it_is(scores):
    plain = CalibratedScorer().fit(*FITTED).score(OTHERS[0])
    assert not np.allclose(plain, scores, atol=0.01)
    order = np.argsort(plain, kind="stable")
    assert (np.diff(scores[order]) >= 0).all()
    assert len(np.unique(scores)) == len(np.unique(plain))


def test_scores_that_separate_validation_rows_keep_their_order_too():
    rows = [labelled(seed=seed) for seed in (1, 2, 3)]
    for each, labels in rows:
        each.inputs[labels == 1, 0] += 20
    plain = CalibratedScorer().fit(*rows[0]).score(rows[2][0])
    scores = CalibratedScorer().fit(*rows[0], *rows[1]).score(rows[2][0])
    assert roc_auc_score(rows[2][1], plain) == 1
    assert len(np.unique(scores)) == len(np.unique(plain))
    assert scores.max() < 1


def test_trees_that_err_in_validation_are_not_turned_round(caplog):
    turned = 1 - VALIDATION[1]
    found = CalibratedScorer().fit(*FITTED, VALIDATION[0], turned)
    assert roc_auc_score(OTHERS[1], found.score(OTHERS[0])) > 0.95
    assert "not calibrated" in found.fallback
    assert found.fallback in caplog.text


@pytest.mark.parametrize("frauds", [0, 1, LEAST_FRAUDS - 1])
def test_with_too_few_frauds_it_scores_as_reconstruction_does_and_says_so(caplog, frauds):
    rows = with_frauds(FITTED, frauds)
    found = CalibratedScorer().fit(*rows, *VALIDATION)
    expected = ReconstructionScorer().fit(*rows, *VALIDATION).score(OTHERS[0])
    np.testing.assert_array_equal(found.score(OTHERS[0]), expected)
    assert not found.uses_labels
    assert found.fallback.startswith(f"{frauds} known frauds")
    assert str(LEAST_FRAUDS) in found.fallback
    assert found.fallback in caplog.text


def test_with_just_enough_frauds_it_learns(caplog):
    found = CalibratedScorer().fit(*with_frauds(FITTED, LEAST_FRAUDS), *VALIDATION)
    assert found.uses_labels
    assert found.fallback is None
    assert not caplog.records


def test_too_few_frauds_in_validation_are_said_and_scores_stay_as_they_are(caplog):
    few = with_frauds(VALIDATION, LEAST_VALIDATION_FRAUDS - 1)
    found = CalibratedScorer().fit(*FITTED, *few)
    assert found.uses_labels
    assert found.fallback.startswith(f"{LEAST_VALIDATION_FRAUDS - 1} frauds in validation")
    assert found.fallback in caplog.text
    plain = CalibratedScorer().fit(*FITTED)
    np.testing.assert_array_equal(found.score(OTHERS[0]), plain.score(OTHERS[0]))
    enough = CalibratedScorer().fit(*FITTED, *with_frauds(VALIDATION, LEAST_VALIDATION_FRAUDS))
    assert enough.fallback is None


def noisy(rows: tuple, seed: int) -> tuple:
    """Three in ten labels are wrong."""
    wrong = np.random.default_rng(seed).random(len(rows[1])) < 0.3
    return rows[0], np.where(wrong, 1 - rows[1], rows[1]).astype(np.int8)


NOISY = (*noisy(FITTED, 1), *noisy(VALIDATION, 2))


@pytest.mark.parametrize(("rows", "best"), [((*FITTED, *VALIDATION), 3), (NOISY, 10)])
def test_leaves_are_as_large_as_ranks_validation_rows_best(monkeypatch, rows, best):
    scores = {}
    for leaf in LEAVES:
        monkeypatch.setattr(calibrated, "LEAVES", (leaf,))
        scores[leaf] = CalibratedScorer().fit(*rows).score(rows[2])
    precision = {leaf: average_precision_score(rows[3], found) for leaf, found in scores.items()}
    assert max(precision, key=precision.get) == best
    monkeypatch.undo()
    np.testing.assert_array_equal(CalibratedScorer().fit(*rows).score(rows[2]), scores[best])


def test_a_refit_without_validation_rows_keeps_the_curve_and_the_leaves():
    found = CalibratedScorer().fit(*NOISY)
    kept = found.curve_, found.leaf_
    untaught = CalibratedScorer().fit(*FITTED)
    assert kept[0] != untaught.curve_
    assert kept[1] != untaught.leaf_
    found.fit(*OTHERS)
    assert (found.curve_, found.leaf_) == kept
    assert found.trees_.min_samples_leaf == kept[1]
    assert found.fallback is None


def test_a_refit_that_was_never_calibrated_says_so():
    few = with_frauds(VALIDATION, 0)
    found = CalibratedScorer().fit(*FITTED, *few).fit(*OTHERS)
    assert "not calibrated" in found.fallback
    late = CalibratedScorer().fit(*with_frauds(FITTED, 0), *VALIDATION).fit(*OTHERS)
    assert late.uses_labels
    assert "not calibrated" in late.fallback
    assert late.fit(*OTHERS, *VALIDATION).fallback is None


def test_a_seed_repeats_the_scores_and_another_gives_others(scores):
    again = CalibratedScorer().fit(*FITTED, *VALIDATION).score(OTHERS[0])
    np.testing.assert_array_equal(again, scores)
    other = CalibratedScorer(seed=1).fit(*FITTED, *VALIDATION).score(OTHERS[0])
    assert not np.array_equal(other, scores)


@pytest.fixture
def saved(fitted, tmp_path) -> Path:
    fitted.save(tmp_path)
    return tmp_path


def test_a_saved_scorer_gives_identical_scores(saved, scores):
    again = CalibratedScorer.load(saved)
    np.testing.assert_array_equal(again.score(OTHERS[0]), scores)
    assert again.uses_labels
    assert again.fallback is None
    # A refit of what was loaded is that of what was saved.
    np.testing.assert_array_equal(
        again.fit(*OTHERS).score(VALIDATION[0]),
        CalibratedScorer().fit(*FITTED, *VALIDATION).fit(*OTHERS).score(VALIDATION[0]),
    )


def test_no_pickle_is_written_or_read(fitted, tmp_path, monkeypatch):
    def refuse(*arguments, **settings):
        raise AssertionError("pickled")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    fitted.save(tmp_path)
    assert CalibratedScorer.load(tmp_path).trees_.n_estimators == fitted.trees_.n_estimators
    with zipfile.ZipFile(tmp_path / "scorer.skops") as archive:
        assert {name.rpartition(".")[2] for name in archive.namelist()} <= {"json", "npy"}


@pytest.mark.parametrize("frauds", [0, LEAST_FRAUDS])
def test_a_scorer_that_fell_back_is_saved_as_such(tmp_path, frauds):
    rows = (*with_frauds(FITTED, frauds), *with_frauds(VALIDATION, 0))
    found = CalibratedScorer().fit(*rows)
    found.save(tmp_path)
    again = CalibratedScorer.load(tmp_path)
    assert (again.fallback, again.uses_labels) == (found.fallback, found.uses_labels)
    np.testing.assert_array_equal(again.score(OTHERS[0]), found.score(OTHERS[0]))


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("children_left", 10**6),
        ("children_right", 10**6),
        ("children_left", 0),  # a circle, which would never end
        ("children_right", -7),
        ("feature", 10**6),
        ("feature", -5),
    ],
)
def test_trees_that_lead_nowhere_are_refused(saved, array, value):
    trees = skops.io.load(saved / "scorer.skops", trusted=["sklearn.tree._tree.Tree"])
    getattr(trees.estimators_[7].tree_, array)[0] = value
    skops.io.dump(trees, saved / "scorer.skops")
    with pytest.raises(UserError, match=r"scorer\.skops.*damaged"):
        CalibratedScorer.load(saved)


@pytest.mark.parametrize("damage", ["cut", "text", "absent", "other trees", "other class"])
def test_a_file_that_holds_no_trees_is_refused(saved, damage):
    path = saved / "scorer.skops"
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("trees")
    elif damage == "other trees":
        skops.io.dump(ExtraTreeClassifier().fit([[0], [1]], [0, 1]), path)
    elif damage == "other class":
        skops.io.dump(ReconstructionScorer(), path)
    with pytest.raises(UserError, match=r"scorer\.skops"):
        CalibratedScorer.load(saved)
