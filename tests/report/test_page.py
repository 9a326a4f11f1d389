"""The page of an experiment, whatever has been run and whatever its names are."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraud_ae.errors import UserError
from fraud_ae.report.content import report_content
from fraud_ae.report.page import write_report
from fraud_ae.runtime.kept_files import write_kept, write_kept_json
from tests.report.made import MadeExperiment, compared, reason

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

    @property
    def drawn(self) -> dict:
        """What the charts are drawn from."""
        return json.loads(self.scripts[0])


def written(folder: Path, *experiments: dict) -> Parsed:
    """The report of a folder, compared with experiments if any are given."""
    comparison = pd.DataFrame(list(experiments)) if experiments else None
    parsed = Parsed(write_report(folder, comparison).read_text())
    # What a number or a value that is missing would look like.
    assert not re.search(r"\b(nan|NaN|None|inf|Infinity|undefined)\b", parsed.text), parsed.text
    assert not {"NaN", "Infinity"} & set(re.findall(r"\w+", parsed.scripts[0]))
    return parsed


@pytest.fixture
def made(tmp_path):
    return MadeExperiment(tmp_path)


@pytest.fixture
def copied(whole, tmp_path) -> MadeExperiment:
    """A copy of the experiment with everything, which a test may change."""
    return MadeExperiment(shutil.copytree(whole.folder, tmp_path / "copied"))


def test_the_file_needs_nothing_beside_it(whole):
    text = (whole.folder / "report.html").read_text()
    page = Parsed(text)
    assert all(address.startswith("#") for address in page.addresses)
    assert not {"link", "img", "iframe", "object", "base"} & set(page.tags)
    assert not re.search(r"url\(|@import", text)
    assert len(text) < 3_000_000
    targets = {address[1:] for address in page.addresses}
    assert targets <= set(re.findall(r' id="([\w-]+)"', text))


def test_the_report_of_an_experiment_with_everything(whole):
    text, content = written(whole.folder).text, report_content(whole.folder)
    first = content["figures"]["rows"][0]
    for part in ("validation", "test"):
        assert f"{first[part]['value']:.4f}" in text
        assert f"{first[part]['low']:.3f}–{first[part]['high']:.3f}" in text
    assert first["optimism"] == first["validation"]["value"] - first["test"]["value"]
    for sentence in (
        "The gate was passed",
        "The model for production was made on 1 May 2024",
        "behavioural refused : the data have no customer_id",
        "1 has no figure",
        "diverged : the loss became infinite",
        # The highest score and its reasons.
        "V0001",
        "1,234.50",
        "new device in 4% of transactions",
        "70 %",
        "usually 5 to 80",
        # Commands as they were typed.
        f"{COMMAND} {COMMAND} 'stages=[broad]' gate.force=true",
    ):
        assert sentence in text
    broad = content["broad"]
    # A parameter with one value is no dimension.
    names = [dimension["name"] for dimension in broad["dimensions"]]
    assert names == ["model.latent_dim", "model.activation", "trainer.learning_rate"]
    assert all(len(dimension["places"]) == 11 for dimension in broad["dimensions"])
    for method in broad["methods"]:
        assert sum(row["shares"][method] for row in broad["importances"]) == pytest.approx(1)
    assert broad["importances"][0]["name"] == "model.latent_dim"


def test_what_is_not_known_of_an_alert_is_left_out(copied):
    copied.top_transactions(customer_id=None, reasons=[], score=0.0)
    text = written(copied.folder).text
    assert "none stands out" in text
    assert "no alert" in text


def test_a_pipeline_that_stopped_at_the_gate_says_so(made):
    made.features()
    assert not made.gate(baseline_auc=0.999)["tune"]
    page = written(made.folder)
    for sentence in (
        "The pipeline stopped at the gate",
        "not above gate.baseline_auc=0.999",
        "There is no model for production",
        f"{COMMAND} gate.force=true",
        "The broad sweep has not been run, as the pipeline stopped at the gate",
    ):
        assert sentence in page.text
    assert "stages=[final]" not in page.text
    assert "test" not in page.drawn["explorer"]["parts"]


@pytest.mark.slow
def test_before_there_is_a_model_the_report_is_about_the_best_so_far_on_validation(tmp_path):
    made = MadeExperiment(tmp_path, customers=False)
    for stage in ("features", "broad", "refined", "final"):
        getattr(made, stage)()
        content = report_content(made.folder)
        best = pd.read_csv(made.folder / "leaderboards" / f"{stage}.csv").iloc[0]
        assert content["figures"]["stage"] == stage
        assert content["figures"]["rows"][0]["validation"]["value"] == best["final_auc"]
        assert set(content["explorer"]["parts"]) == set(content["curves"]) == {"validation"}
        text = written(made.folder).text
        assert "no test row has been looked at" in text
        assert (f"{COMMAND} 'stages=[final]'" in text) == (stage != "final")
        assert "optimism" not in text.replace("the difference is the optimism", "")
    made.production()
    assert "The winner, fitted on the training rows" in written(made.folder).text


def test_validation_rows_of_one_class_have_no_curve(tmp_path):
    MadeExperiment(tmp_path, frauds=False).until("broad")
    content = report_content(tmp_path)
    assert content["curves"] == {}
    assert content["broad"]["dimensions"] == []
    text = written(tmp_path).text
    assert "the validation rows have one class alone" in text
    assert "No strategy has a ROC AUC" in text


def test_a_sweep_in_which_everything_diverged(made):
    made.features()
    board = pd.read_csv(made.folder / "leaderboards" / "features.csv")
    board["status"], board["reason"], board["run_id"] = "diverged", "the loss became NaN!", None
    figures = board.columns[board.columns.get_loc("final_auc") : board.columns.get_loc("data")]
    board[figures] = np.nan
    for stage in ("features", "broad", "final"):
        write_kept(made.folder / "leaderboards" / f"{stage}.csv", board.to_csv(index=False))
    content = report_content(made.folder)
    assert content["figures"] is None
    assert content["broad"]["importances"] is None
    assert "There are no scores to explore" in write_report(made.folder).read_text()


def test_an_experiment_of_single_runs_alone(tmp_path):
    (tmp_path / "runs").mkdir()
    page = written(tmp_path)
    assert "No stage of the pipeline has been run yet" in page.text
    assert "script" in page.tags
    assert len((tmp_path / "report.html").read_text()) < 200_000


def test_names_of_the_data_cannot_break_out(tmp_path):
    folder = tmp_path / "a&b<i>"
    folder.mkdir()
    MadeExperiment(folder, strategies=(HOSTILE, "baseline")).until("production").top_transactions(
        transaction_id=HOSTILE, customer_id=HOSTILE, reasons=[reason(HOSTILE, HOSTILE, 0.5)]
    )
    board = folder / "leaderboards" / "broad.csv"
    rows = pd.read_csv(board)
    rows["model.activation"] = rows["model.activation"].replace("relu", HOSTILE)
    write_kept(board, rows.to_csv(index=False))
    experiments = [compared(HOSTILE, strategy=HOSTILE, gate=HOSTILE), compared("a&b<i>")]
    page = written(folder, *({**row, "data": HOSTILE} for row in experiments))
    assert "img" not in page.tags
    assert "<h1>a&amp;b&lt;i&gt;</h1>" in (folder / "report.html").read_text()
    assert page.tags.count("script") == 3
    assert HOSTILE in page.text
    assert any(HOSTILE in dimension["values"] for dimension in page.drawn["broad"]["dimensions"])


def test_experiments_are_compared_where_there_are_two(copied):
    name, same = copied.folder.name, {"data": "custom", "validation_auc": 0.925}
    shop = compared(name, **same, validation_set="a", parameters="model.latent_dim=16 seed=1")
    assert "Experiments compared" not in written(copied.folder).text
    assert "Experiments compared" not in written(copied.folder, shop).text
    later = compared(
        "shop later",
        **same,
        validation_auc_low=0.91,
        validation_auc_high=0.94,
        validation_auc_change=0.025,
        parameters="model.latent_dim=8 seed=1",
        validation_set="b",
        in_production="2024-05-06T10:00:00+00:00",
        threshold=0.5,
        **{"from": "2024-01-02T00:00:00+00:00", "to": "2024-04-05T00:00:00+00:00"},
    )
    other = compared("other", data="ecommerce", validation_auc=0.7, validation_set="c")
    text = written(copied.folder, shop, later, other).text
    text = text[text.rindex("Experiments compared") :]
    assert "0.9250 0.910–0.940 +0.0250" in text
    assert text.count("+0.0250") == 1
    assert "2 Jan 2024 5 Apr 2024" in text
    assert "6 May 2024 threshold 0.5" in text
    assert "latent_dim=8" in text
    # What is the same in both is not repeated, and other sources are nothing to this reader.
    assert "seed=1" not in text
    assert "other" not in re.findall(r"\w+", text)
    assert "Validation rows differ" in text


def test_figures_of_others_are_shown_with_who_ran_them(copied):
    path = copied.folder / "decision.json"
    remote = {"strategy": "payday", "final_auc": 0.9876, "user": "ana", "url": "https://w.example"}
    write_kept_json(path, {**json.loads(path.read_text()), "best_elsewhere": remote})
    text = written(copied.folder).text
    assert "Elsewhere payday reached 0.9876 on the same rows, run by ana: W&B" in text


def test_stages_that_saw_other_data_are_named(copied):
    path = copied.folder / "leaderboards" / "broad.csv"
    board = pd.read_csv(path).assign(data="ffff0000ffff0000")
    write_kept(path, board.to_csv(index=False))
    assert "These stages saw different data" in written(copied.folder).text


def test_the_audit_of_the_winning_strategy_is_shown_if_it_is_of_these_data(copied):
    assert f"{COMMAND} audit=true" in written(copied.folder).text
    finding = {"check": "single feature", "passed": False, "features": ["V1"], "detail": "too good"}
    audited = {"created": "2024-05-01T00:00:00+00:00", "findings": [finding]}
    for fingerprint, shown in (("0123456789abcdef", True), ("other", False)):
        audits = {"combined": {**audited, "fingerprint": fingerprint}}
        (copied.folder / "audit.json").write_text(json.dumps(audits))
        text = written(copied.folder).text
        assert ("1 check failed" in text and "too good (V1)" in text) == shown


def test_a_report_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match=r"report\.html: cannot be written"):
        write_report(tmp_path)


def test_it_gives_the_command_that_compares_usual_detectors_on_the_same_transactions(tmp_path):
    folder = MadeExperiment(tmp_path).until("production").folder
    facts = json.loads((folder / "data.json").read_text())
    settings = ["features=combined", "data.path=shop.csv", "trainer.max_epochs=3"]
    facts["commands"] = [["data=shop", "--config-dir=conf", *settings]]
    (folder / "data.json").write_text(json.dumps(facts))
    text = Parsed(write_report(folder).read_text()).text
    command = "python -m benchmarks.detection --known 20,all --config conf --data shop "
    assert f"{command}features=combined data.path=shop.csv " in text
    assert "max_epochs" not in text.partition(command)[2].partition("shop.csv")[0]
