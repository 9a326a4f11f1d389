import dataclasses
import io
import json
import logging
import multiprocessing
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import optuna
import pytest
from optuna.importance import (
    FanovaImportanceEvaluator,
    MeanDecreaseImpurityImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import TrialState

from fraud_ae.sweep import studies as studies_module
from fraud_ae.sweep.studies import trial_of
from fraud_ae.sweep.study_file import STUDIES, StudyFile
from tests.sweep.study_results import SWEPT, grid, result, studies, trials, write

EVALUATORS = (
    FanovaImportanceEvaluator(seed=0),
    MeanDecreaseImpurityImportanceEvaluator(seed=0),
    PedAnovaImportanceEvaluator(),
)


@pytest.fixture(autouse=True)
def _quiet():
    studies_module._warn_once.cache_clear()
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def rows(folder) -> dict[str, list]:
    """What lies in the tables that hold trials."""
    names = ("trials", "trial_values", "trial_params", "trial_user_attributes")
    with closing(sqlite3.connect(folder / STUDIES)) as tables:
        return {
            name: sorted(tables.execute(f"SELECT * FROM {name}"), key=str)
            for name in (*names, "version_info")
        }


def test_each_result_is_a_finished_trial_with_its_parameters_and_figures(tmp_path):
    run = tmp_path / "runs" / "run0"
    kept = run / "wandb" / "offline-run-20261125_012526-e90mbybo"
    kept.mkdir(parents=True)
    (run / "metrics.json").write_text("{}")
    trained = datetime.fromtimestamp((run / "metrics.json").stat().st_mtime)
    write(tmp_path, grid())
    found = trials(tmp_path)
    assert [trial.number for trial in found] == [0, 1, 2, 3]
    assert {trial.state for trial in found} == {TrialState.COMPLETE}
    assert [trial.value for trial in found] == [0.6, 0.7, 0.8, 0.9]
    first = found[0]
    assert first.params == {
        "candidate": "features_01",
        "features": "combined",
        "model.latent_dim": 8,
        "model.activation": "relu",
    }
    told = {"run_id": "run0", "run": str(run), "wandb": str(kept), "seconds": 2.0, "f1": 0.1}
    assert first.user_attrs.items() >= told.items()
    assert first.datetime_complete == trained
    assert first.duration == timedelta(seconds=2)
    study = next(iter(studies(tmp_path).values()))
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.user_attrs["fingerprint"] == "f1"


def test_a_link_of_ones_own_stands_for_the_wandb_run(tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    (tmp_path / "runs" / "run0" / "wandb.json").write_text('{"url": "https://wandb.ai/me/x"}')
    assert trial_of(result(), tmp_path, "final_auc", []).attributes["wandb"].startswith("https:")


def test_a_second_sweep_adds_what_is_new_and_no_more(tmp_path):
    write(tmp_path, grid()[:3])
    before = rows(tmp_path)
    write(tmp_path, grid()[:3])
    assert rows(tmp_path) == before
    write(tmp_path, grid())
    assert [trial.value for trial in trials(tmp_path)] == [0.6, 0.7, 0.8, 0.9]


def test_a_finished_sweep_is_looked_up_without_sqlalchemy(tmp_path, monkeypatch):
    write(tmp_path, grid())
    monkeypatch.setattr(StudyFile, "_create", lambda self: pytest.fail("made anew"))
    monkeypatch.setattr(StudyFile, "_widened", lambda *a: pytest.fail("written again"))
    write(tmp_path, grid())


def test_a_run_that_was_made_again_corrects_its_trial(tmp_path):
    write(tmp_path, grid())
    again = grid()
    again[1] |= {"objective": 0.95, "metrics": {"final_auc": 0.95, "f1": 0.4}}
    again[2] |= {"objective": None}
    write(tmp_path, again)
    found = trials(tmp_path)
    assert [trial.value for trial in found] == [0.6, 0.95, None, 0.9]
    assert found[1].user_attrs["f1"] == 0.4
    assert found[2].state == TrialState.FAIL


def test_failed_jobs_are_failed_trials_with_the_reason(tmp_path):
    none = {"run_id": None, "value": None, "metrics": {}}
    refused = result(status="refused", reason="no column device", **none)
    diverged = result(
        status="failed", reason="training diverged", parameters={"model.latent_dim": 9}, **none
    )
    undefined = result(3, None, metrics={"final_auc": None})
    for _ in range(2):
        write(tmp_path, [refused, diverged, undefined])
    found = trials(tmp_path)
    assert [trial.state for trial in found] == [TrialState.FAIL] * 3
    reasons = [trial.user_attrs["reason"] for trial in found]
    assert reasons[:2] == ["no column device", "training diverged"]
    assert "final_auc is undefined" in reasons[2]
    assert [t.user_attrs["status"] for t in found] == ["refused", "failed", "undefined"]
    assert found[0].params["model.latent_dim"] == 8


def test_a_candidate_that_was_renamed_is_the_same_trial(tmp_path):
    write(tmp_path, [result()])
    renamed = result()
    renamed["choices"] = {**renamed["choices"], "candidate": "features_02"}
    write(tmp_path, [renamed])
    assert len(trials(tmp_path)) == 1


def test_other_values_join_the_study_and_stay_comparable(tmp_path):
    write(tmp_path, grid())
    others = [
        result(10, 0.7, parameters={"model.latent_dim": 4, "model.activation": "silu"}),
        result(11, 0.8, parameters={"model.latent_dim": 2.5, "model.activation": None}),
        result(12, 0.8, parameters={"model.latent_dim": "wide", "model.activation": True}),
        result(13, 0.8, parameters={"model.hidden_sizes": [64, 32], "model.latent_dim": 8}),
    ]
    write(tmp_path, others)
    found = trials(tmp_path)
    assert len(found) == 8
    assert [t.params["model.activation"] for t in found[:6]] == [
        *["relu", "tanh", "relu", "tanh"],
        *["silu", None],
    ]
    assert [t.params.get("model.latent_dim") for t in found] == [8, 8, 16, 16, 4, 2.5, None, 8]
    # What cannot be one of the numbers is told all the same.
    assert found[6].user_attrs["model.latent_dim"] == "wide"
    assert found[7].params["model.hidden_sizes"] == "[64, 32]"
    assert len({str(t.distributions["model.activation"]) for t in found if t.number < 7}) == 1
    assert {"model.latent_dim"} <= set(found[0].params)


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
def test_importances_can_be_told_after_sweeps_of_different_values(tmp_path, evaluator):
    write(tmp_path, grid())
    for number in range(8):
        parameters = {"model.latent_dim": 4 + number, "model.activation": "silu"}
        write(tmp_path, [result(20 + number, 0.5 + number / 20, parameters=parameters)])
    (study,) = studies(tmp_path).values()
    found = get_param_importances(study, evaluator=evaluator)
    assert {"model.latent_dim", "model.activation"} <= set(found)


def test_a_sweep_has_its_own_values_from_the_first_trial_on(tmp_path):
    write(tmp_path, grid()[:1])
    (trial,) = trials(tmp_path)
    assert trial.distributions["model.activation"].choices == tuple(SWEPT["model.activation"])
    assert trial.distributions["model.latent_dim"].high == 16


def test_what_is_not_comparable_is_another_study(tmp_path):
    write(tmp_path, [result()])
    write(tmp_path, [result()], objective="f1")
    write(tmp_path, [result(data="f2", validation_set="set2")])
    found = studies(tmp_path)
    assert len(found) == 3
    assert {name.split(" ")[1] for name in found} == {"final_auc", "f1"}
    assert all(len(study.get_trials()) == 1 for study in found.values())


def test_trials_lie_in_the_file_as_optuna_itself_would_write_them(tmp_path):
    """Whoever raises the version of Optuna sees here whether its tables have changed."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    theirs.mkdir()
    failed = result(9, None, status="failed", reason="diverged")
    write(mine, [*grid(), failed])
    (study,) = studies(mine).values()
    copy = optuna.create_study(
        storage=f"sqlite:///{theirs / STUDIES}", study_name=study.study_name, direction="maximize"
    )
    for trial in study.get_trials():
        copy.add_trial(trial)
    own, other = rows(mine), rows(theirs)
    assert own.keys() == other.keys()
    for table in own:
        # Rows of attributes come in another order.
        skipped = 1 if table in ("trial_user_attributes", "trial_params") else 0
        assert sorted(r[skipped:] for r in own[table]) == sorted(r[skipped:] for r in other[table])


def _add(path, start):
    file = StudyFile(path, "broad final_auc x", "final_auc", {"stage": "broad"})
    start.wait()
    for number in range(10):
        file.add([trial_of(result(number, number / 10), path.parent, "final_auc", SWEPT)])


def test_two_sweeps_at_the_same_time_lose_and_double_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    both = [context.Process(target=_add, args=(tmp_path / STUDIES, start)) for _ in range(2)]
    for process in both:
        process.start()
    start.set()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    found = trials(tmp_path)
    assert sorted(trial.number for trial in found) == list(range(10))
    assert sorted(trial.value for trial in found) == [number / 10 for number in range(10)]


@pytest.mark.parametrize("what", ["damaged", "folder", "newer"])
def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(tmp_path, what, caplog):
    path = tmp_path / STUDIES
    if what == "damaged":
        path.write_bytes(b"no database at all" * 100)
    elif what == "folder":
        (tmp_path / ".locks").write_text("in the way")
    else:
        write(tmp_path, [result(5)])
        with closing(sqlite3.connect(path)) as tables, tables:
            tables.execute("UPDATE version_info SET schema_version = 99")
    with caplog.at_level(logging.WARNING, "fraud_ae"):
        for _ in range(3):
            write(tmp_path, grid())
    (record,) = caplog.records
    assert str(path) in record.message
    assert "\n" not in record.message
    assert "the same command adds the trials" in record.message


def test_what_a_kill_left_of_a_file_is_completed(tmp_path):
    (tmp_path / STUDIES).touch()
    write(tmp_path, grid())
    assert len(trials(tmp_path)) == 4
    # A study that was begun, and whose metric has no name yet.
    with closing(sqlite3.connect(tmp_path / STUDIES)) as tables, tables:
        tables.execute("DELETE FROM study_system_attributes")
    write(tmp_path, [*grid(), result(9, 0.1)])
    assert len(trials(tmp_path)) == 5


def test_a_trial_says_no_more_than_it_is(tmp_path):
    trial = trial_of(result(metrics={"final_auc": 0.9, "curve": [1, 2]}), tmp_path, "final_auc", [])
    assert "curve" not in trial.attributes
    assert dataclasses.is_dataclass(trial)


def test_the_dashboard_shows_the_studies(tmp_path):
    dashboard = pytest.importorskip("optuna_dashboard")
    write(tmp_path, grid())
    app = dashboard.wsgi(f"sqlite:///{tmp_path / STUDIES}")

    def get(path: str) -> dict:
        told = {}
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
        }
        body = b"".join(app(environ, lambda status, *more: told.update(status=status)))
        assert told["status"].startswith("200"), body
        return json.loads(body)

    (study,) = get("/api/studies")["study_summaries"]
    shown = get(f"/api/studies/{study['study_id']}")
    assert shown["name"].startswith("broad final_auc ")
    assert len(shown["trials"]) == 4
    assert {space["name"] for space in shown["intersection_search_space"]} >= set(SWEPT)
