"""What the report says of probabilities, and that it says nothing of scores that are none."""

import math

import numpy as np
import pandas as pd
import pytest

from fraud_ae.experiments.run_store import SCORES, TEST_SCORES
from fraud_ae.report.content import report_content
from fraud_ae.report.reliability import reliability
from fraud_ae.runtime.named_objects import class_path
from fraud_ae.scorers.calibrated import CalibratedScorer
from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from tests.report.made import PRODUCTION, WINNER, MadeExperiment, scored
from tests.report.test_page import written

pytestmark = pytest.mark.slow

HEADING = "Reliability of the probabilities"


def numbers(content: object) -> list[float]:
    """Every number within some content."""
    if isinstance(content, dict | list):
        items = content.values() if isinstance(content, dict) else content
        return [number for item in items for number in numbers(item)]
    return [content] if isinstance(content, int | float) else []


def test_probabilities_are_shown_beside_what_happened(whole):
    page, content = written(whole.folder), report_content(whole.folder)["reliability"]
    assert page.drawn["reliability"] == content
    assert HEADING in page.text
    assert list(content["parts"]) == ["validation", "test"]
    assert content["said_of"] == "test"
    for part, folder, name in (("validation", WINNER, SCORES), ("test", PRODUCTION, TEST_SCORES)):
        rows = pd.read_parquet(whole.folder / "runs" / folder / name)
        bins = content["parts"][part]["bins"]
        assert sum(row["rows"] for row in bins) == len(rows)
        assert sum(row["frauds"] for row in bins) == rows["is_fraud"].sum()
        for row in bins:
            assert f"{row['rows']:,} " in page.text
    assert "test rows are the honest ones" in page.text
    assert "the deployed fit keeps its calibration curve" in page.text
    assert all(math.isfinite(number) for number in numbers(content))


def test_right_probabilities_can_be_taken_at_their_word(tmp_path):
    MadeExperiment(tmp_path, calibrated=True).whole()
    content = report_content(tmp_path)["reliability"]
    example = content["example"]
    assert content["verdict"] is True
    assert example["frauds"] == max(row["frauds"] for row in content["parts"]["test"]["bins"])
    text = written(tmp_path).text
    assert "The probabilities can be taken at their word." in text
    low, high, observed = (100 * example[name] for name in ("low", "high", "observed"))
    interval = f"{100 * example['observed_low']:.1f} % to {100 * example['observed_high']:.1f} %"
    said = f"scored {low:g} to {high:g} %, {observed:.1f} % were fraud (95 %: {interval})"
    assert f"Of the test transactions {said}" in text


@pytest.mark.parametrize(
    ("scorer", "fallback"),
    [
        (ReconstructionScorer, None),
        (MahalanobisScorer, None),
        (CalibratedScorer, "2 known frauds in the training window: scores are errors"),
        (CalibratedScorer, "4 frauds in validation: scores are not calibrated"),
    ],
)
def test_scores_that_are_no_probabilities_have_no_such_section(tmp_path, scorer, fallback):
    MadeExperiment(tmp_path).until("production").scorer(class_path(scorer()), fallback)
    assert report_content(tmp_path)["reliability"] is None
    page = written(tmp_path)
    assert "eliab" not in page.text
    assert "#reliability" not in page.addresses
    assert page.drawn["reliability"] is None


def test_without_a_saved_model_nothing_is_said(tmp_path):
    MadeExperiment(tmp_path).until("production")
    assert report_content(tmp_path)["reliability"] is None


def test_before_there_is_a_model_it_is_about_validation_and_says_that_this_is_optimistic(tmp_path):
    made = MadeExperiment(tmp_path, calibrated=True).until("final")
    made.scorer(class_path(CalibratedScorer()))
    assert report_content(tmp_path)["reliability"]["said_of"] == "validation"
    text = written(tmp_path).text
    assert "Of the validation transactions scored" in text
    assert "better than later transactions will be" in text
    assert "honest ones" not in text


def test_rows_of_one_class_have_none(tmp_path):
    made = MadeExperiment(tmp_path, frauds=False, calibrated=True).until("production")
    made.scorer(class_path(CalibratedScorer()))
    assert report_content(tmp_path)["reliability"] is None
    assert HEADING not in written(tmp_path).text


def test_rows_without_a_label_are_left_out():
    frame = scored("test", 2.4, calibrated=True)
    known = frame.index % 3 > 0
    missing = frame.assign(is_fraud=frame["is_fraud"].astype("float64").where(known))
    assert reliability({"test": missing}) == reliability({"test": frame[known]})


def test_the_bin_that_is_farthest_off_is_named(tmp_path):
    made = MadeExperiment(tmp_path, calibrated=True).whole()
    path = made.folder / "runs" / PRODUCTION / TEST_SCORES
    rows = pd.read_parquet(path)
    too_high = np.sqrt(rows["score"].to_numpy())
    rows.assign(score=too_high).to_parquet(path, index=False)
    content = report_content(tmp_path)["reliability"]
    assert content["verdict"] is False
    bins = content["parts"]["test"]["bins"]
    distances = [abs(r["predicted"] - r["observed"]) for r in bins if not r["agrees"]]
    example = content["example"]
    assert abs(example["predicted"] - example["observed"]) == max(distances)
    text = written(tmp_path).text
    assert "Not every probability can be taken at its word." in text
    assert f"In {len(bins) - len(distances)} of {len(bins)} groups" in text


def test_few_frauds_that_agree_prove_nothing():
    few = pd.DataFrame({"is_fraud": np.arange(200) < 6, "score": 0.03})
    content = reliability({"test": few.astype({"is_fraud": "int8"})})
    assert content["verdict"] is None
    assert content["agreeing"] == 1
