"""The page of an experiment, whatever has been run and whatever its names are."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from fraud_ae.errors import UserError
from fraud_ae.report.content import plain, report_content
from fraud_ae.report.page import json_for_html, write_report
from tests.report.made import MadeExperiment, told

COMMAND = """python pipeline.py data=custom 'data.columns.device="Gerät"'"""
HOSTILE = '</script><script>alert("1")</script><img src=x onerror=alert(2)>'


class Parsed(HTMLParser):
    """What a browser would load and run, and the text that it would show."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses, self.tags, self.scripts, self._text = [], [], [], []
        self._inside = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._inside = tag
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self._text.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._text).replace("\xa0", " ").split())


def written(made: MadeExperiment, comparison: pd.DataFrame | None = None) -> Parsed:
    page = write_report(made.folder, comparison).read_text()
    parsed = Parsed(page)
    # What a number or a value that is not there would look like.
    assert not re.search(r"\b(nan|NaN|None|inf|Infinity|undefined)\b", parsed.text), parsed.text
    for constant in ("NaN", "Infinity"):
        assert constant not in parsed.scripts[0]
    return parsed


@pytest.fixture
def made(tmp_path):
    return MadeExperiment(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An experiment with everything, and its page; tests only read it."""
    made = MadeExperiment(tmp_path_factory.mktemp("whole"))
    made.features()
    made.gate()
    for stage in ("broad", "refined", "final", "production", "top_transactions"):
        getattr(made, stage)()
    return made, written(made)


def test_the_file_needs_nothing_beside_it(whole):
    made, page = whole
    assert all(address.startswith("#") for address in page.addresses)
    assert not {"link", "img", "iframe", "object", "base"} & set(page.tags)
    text = (made.folder / "report.html").read_text()
    assert not re.search(r"url\(|@import", text)
    assert len(text) < 3_000_000
    targets = {address[1:] for address in page.addresses}
    assert targets <= set(re.findall(r' id="([\w-]+)"', text))


def test_figures_of_both_parts_and_the_decision_are_told(whole):
    made, page = whole
    content = report_content(made.folder)
    first = content["figures"]["rows"][0]
    for part in ("validation", "test"):
        assert f"{first[part]['value']:.4f}" in page.text
        assert f"{first[part]['low']:.3f}–{first[part]['high']:.3f}" in page.text
    assert first["optimism"] == first["validation"]["value"] - first["test"]["value"]
    assert "The gate was passed" in page.text
    assert "The model for production was made on 1 May 2024" in page.text
    assert "behavioural refused : the data have no customer_id" in page.text
    assert "1 has no figure" in page.text
    assert "diverged : the loss became infinite" in page.text


def test_reasons_of_the_highest_scores_are_told(whole):
    page = whole[1]
    for text in (
        "V0001",
        "1,234.50",
        "new device in 4% of transactions",
        "70 %",
        "usually 5 to 80",
    ):
        assert text in page.text


def test_what_is_not_known_of_an_alert_is_left_out(made):
    made.until("production").top_transactions(customer_id=None, reasons=[], alert=False)
    text = written(made).text
    assert "none stands out" in text
    assert "no alert" in text


def test_commands_are_as_they_were_typed(whole):
    assert f"{COMMAND} {COMMAND} 'stages=[broad]' gate.force=true" in whole[1].text


def test_a_parameter_that_was_not_varied_is_no_dimension(whole):
    broad = report_content(whole[0].folder)["broad"]
    names = [dimension["name"] for dimension in broad["dimensions"]]
    assert names == ["model.latent_dim", "model.activation", "trainer.learning_rate"]
    assert all(len(dimension["places"]) == 11 for dimension in broad["dimensions"])
    for method in broad["methods"]:
        assert sum(row["shares"][method] for row in broad["importances"]) == pytest.approx(1)
    assert broad["importances"][0]["name"] == "model.latent_dim"


def test_a_pipeline_that_stopped_at_the_gate_says_so(made):
    made.features()
    assert not made.gate(baseline_auc=0.999)["tune"]
    page = written(made)
    assert "The pipeline stopped at the gate" in page.text
    assert "not above gate.baseline_auc=0.999" in page.text
    assert "There is no model for production" in page.text
    assert f"{COMMAND} gate.force=true" in page.text
    assert "The broad sweep has not been run, as the pipeline stopped at the gate" in page.text
    assert "stages=[final]" not in page.text
    assert "test" not in json.loads(page.scripts[0])["explorer"]["parts"]


@pytest.mark.parametrize("stage", ["features", "broad", "refined", "final"])
def test_before_there_is_a_model_the_best_so_far_is_told_of_on_validation_alone(made, stage):
    made.until(stage)
    content = report_content(made.folder)
    best = pd.read_csv(made.folder / "leaderboards" / f"{stage}.csv").iloc[0]
    assert content["figures"]["stage"] == stage
    assert content["figures"]["rows"][0]["validation"]["value"] == best["final_auc"]
    assert set(content["explorer"]["parts"]) == set(content["curves"]) == {"validation"}
    page = written(made)
    assert "no test row has been looked at" in page.text
    assert (f"{COMMAND} 'stages=[final]'" in page.text) == (stage != "final")
    assert "optimism" not in page.text.replace("the difference is the optimism", "")


def test_validation_rows_of_one_class_have_no_curve(tmp_path):
    made = MadeExperiment(tmp_path, frauds=False)
    made.until("broad")
    content = report_content(tmp_path)
    assert content["curves"] == {}
    assert content["broad"]["dimensions"] == []
    page = written(made)
    assert "the validation rows have one class alone" in page.text
    assert "No strategy has a ROC AUC" in page.text


def test_without_customers(tmp_path):
    made = MadeExperiment(tmp_path, customers=False)
    made.until("production")
    assert "The winner, fitted on the training rows" in written(made).text


def test_a_sweep_in_which_everything_diverged(made):
    made.features()
    board = pd.read_csv(made.folder / "leaderboards" / "features.csv")
    board["status"], board["reason"], board["run_id"] = "diverged", "the loss became NaN!", None
    figures = board.columns[board.columns.get_loc("final_auc") : board.columns.get_loc("data")]
    board[figures] = np.nan
    for stage in ("features", "broad", "final"):
        board.to_csv(made.folder / "leaderboards" / f"{stage}.csv", index=False)
    content = report_content(made.folder)
    assert content["figures"] is None
    assert content["broad"]["importances"] is None
    page = write_report(made.folder).read_text()
    assert "There are no scores to explore" in page


def test_an_experiment_of_single_runs_alone(tmp_path):
    (tmp_path / "runs").mkdir()
    page = written(MadeExperiment(tmp_path))
    assert "No stage of the pipeline has been run yet" in page.text
    assert "script" in page.tags
    assert len((tmp_path / "report.html").read_text()) < 200_000


def test_names_of_the_data_cannot_break_out(tmp_path):
    folder = tmp_path / "a&b<i>"
    folder.mkdir()
    made = MadeExperiment(folder, strategies=(HOSTILE, "baseline"))
    made.until("production").top_transactions(
        transaction_id=HOSTILE,
        customer_id=HOSTILE,
        reasons=[told(HOSTILE, HOSTILE, HOSTILE, 0.5)],
    )
    board = made.folder / "leaderboards" / "broad.csv"
    rows = pd.read_csv(board)
    rows["model.activation"] = rows["model.activation"].replace("relu", HOSTILE)
    rows.to_csv(board, index=False)
    hostile = dict.fromkeys(("strategy", "gate"), HOSTILE)
    rows = [experiment(HOSTILE, HOSTILE, 0.5, **hostile), experiment("a&b<i>", HOSTILE, 0.5)]
    page = written(made, pd.DataFrame(rows))
    assert "img" not in page.tags
    assert "<h1>a&amp;b&lt;i&gt;</h1>" in (folder / "report.html").read_text()
    assert page.tags.count("script") == 3
    assert HOSTILE in page.text
    values = json.loads(page.scripts[0])["broad"]["dimensions"]
    assert any(HOSTILE in dimension["values"] for dimension in values)


def experiment(name: str, data: str, auc: float, **values: object) -> dict:
    """A row of the comparison; what an experiment has not come to is missing."""
    nothing = dict.fromkeys(
        f"{part}_{figure}{end}"
        for part in ("validation", "test")
        for figure in ("auc", "average_precision")
        for end in ("", "_low", "_high", "_change")
    )
    names = ("from", "to", "rows", "fraud_ratio", "strategy", "parameters", "validation_set")
    last = ("stage", "gate", "in_production", "threshold", "alert_rate")
    own = {"experiment": name, "data": data, "validation_auc": auc}
    return {**nothing, **dict.fromkeys((*names, *last)), **own, **values}


def test_experiments_are_compared_where_there_are_two(whole):
    made, page = whole
    assert "Experiments compared" not in page.text
    shop = experiment(made.folder.name, "custom", 0.9, validation_set="a")
    shop["parameters"] = "model.latent_dim=16 seed=1"
    assert "Experiments compared" not in written(made, pd.DataFrame([shop])).text
    later = experiment(
        "shop later",
        "custom",
        0.925,
        validation_auc_low=0.91,
        validation_auc_high=0.94,
        validation_auc_change=0.025,
        parameters="model.latent_dim=8 seed=1",
        validation_set="b",
        in_production="2024-05-06T10:00:00+00:00",
        threshold=0.5,
        **{"from": "2024-01-02T00:00:00+00:00", "to": "2024-04-05T00:00:00+00:00"},
    )
    other = experiment("other", "ecommerce", 0.7, validation_set="c")
    text = written(made, pd.DataFrame([shop, later, other])).text
    assert "Experiments compared" in text
    assert "0.9250 0.910–0.940 +0.0250" in text
    assert text.count("+0.0250") == 1
    assert "2 Jan 2024 5 Apr 2024" in text
    assert "6 May 2024 threshold 0.5" in text
    assert "latent_dim=8" in text
    # What is the same in both is not repeated, and other sources are nothing to this reader.
    assert "seed=1" not in text
    assert "other" not in re.findall(r"\w+", text[text.index("Experiments compared") :])
    assert "Validation rows differ" in text


def test_figures_of_others_are_told_with_who_ran_them(made):
    made.until("features")
    made.gate()
    path = made.folder / "decision.json"
    decision = json.loads(path.read_text())
    told = {"strategy": "payday", "final_auc": 0.9876, "run_id": "r", "user": "ana"}
    decision["best_elsewhere"] = {**told, "url": "https://wandb.example/r"}
    path.write_text(json.dumps(decision))
    page = written(made)
    assert "Elsewhere payday reached 0.9876 on the same rows, run by ana: W&B" in page.text


def test_stages_that_saw_other_data_are_named(made):
    made.until("broad")
    path = made.folder / "leaderboards" / "broad.csv"
    board = pd.read_csv(path)
    board.assign(data="ffff0000ffff0000").to_csv(path, index=False)
    assert "These stages saw different data" in written(made).text


def test_the_audit_of_the_winning_strategy_is_shown_if_it_is_of_these_data(made):
    made.until("features")
    assert f"{COMMAND} audit=true" in written(made).text
    finding = {"check": "single feature", "passed": False, "features": ["V1"], "detail": "too good"}
    audited = {"created": "2024-05-01T00:00:00+00:00", "findings": [finding]}
    for fingerprint, shown in (("0123456789abcdef", True), ("other", False)):
        audits = {"combined": {**audited, "fingerprint": fingerprint}}
        (made.folder / "audit.json").write_text(json.dumps(audits))
        text = written(made).text
        assert ("1 check failed" in text and "too good (V1)" in text) == shown


def test_a_report_that_cannot_be_written_is_said(made):
    made.features()
    (made.folder / "report.html").mkdir()
    with pytest.raises(UserError, match=r"report\.html: the report cannot be written"):
        write_report(made.folder)


def test_json_ends_no_script_and_has_no_number_that_is_none():
    text = json_for_html({"name": "</script>&\u2028", "value": 1.5})
    assert "<" not in text
    assert json.loads(text) == {"name": "</script>&\u2028", "value": 1.5}
    with pytest.raises(ValueError, match="JSON"):
        json_for_html({"value": float("nan")})
    found = plain({"a": [np.float64("nan"), np.int64(3)], "b": (pd.NaT, float("inf"), "x")})
    assert found == {"a": [None, 3], "b": [None, None, "x"]}
