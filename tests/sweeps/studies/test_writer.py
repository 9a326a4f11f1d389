import io
import json
import logging
import multiprocessing
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.importance import (
    FanovaImportanceEvaluator,
    MeanDecreaseImpurityImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import TrialState

from fraud_ae.sweeps.studies import storages
from fraud_ae.sweeps.studies import writer as studies_module
from fraud_ae.sweeps.studies.storages import STUDIES, StudyFile, SweepStudy
from fraud_ae.sweeps.studies.writer import trial_of
from tests.sweeps.studies.study_results import SPACE, SWEPT, grid, result, studies, trials, write

pytestmark = pytest.mark.slow

EVALUATORS = (
    FanovaImportanceEvaluator(seed=0),
    MeanDecreaseImpurityImportanceEvaluator(seed=0),
    PedAnovaImportanceEvaluator(),
)


@pytest.fixture(autouse=True)
def _quiet():
    studies_module._warn_once.cache_clear()
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def unasked(monkeypatch):
    """Optuna's storage is not asked for."""
    monkeypatch.setattr(storages, "_made", lambda *_: pytest.fail("storage opened"))


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
        "model.latent_dim": 8,
        "model.activation": "relu",
    }
    assert first.distributions == SPACE
    told = {"run_id": "run0", "run": str(run), "wandb": str(kept), "seconds": 2.0, "f1": 0.1}
    told["candidate"] = "features_01"
    assert first.user_attrs.items() >= told.items()
    assert first.datetime_complete == trained
    assert first.duration == timedelta(seconds=2)
    study = next(iter(studies(tmp_path).values()))
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.user_attrs["fingerprint"] == "f1"
    assert study.user_attrs["swept"] == SWEPT
    assert study.user_attrs["fixed"] == {"features": "combined", "trainer.max_epochs": 10}


def test_a_link_of_ones_own_stands_for_the_wandb_run(tmp_path):
    (tmp_path / "runs" / "run0").mkdir(parents=True)
    (tmp_path / "runs" / "run0" / "wandb.json").write_text('{"url": "https://wandb.ai/me/x"}')
    assert trial_of(result(), tmp_path, "final_auc", {}).user_attrs["wandb"].startswith("https:")


def test_a_second_sweep_adds_what_is_new_and_no_more(tmp_path):
    write(tmp_path, grid()[:3])
    before = trials(tmp_path)
    write(tmp_path, grid()[:3])
    assert trials(tmp_path) == before
    write(tmp_path, grid())
    assert [trial.value for trial in trials(tmp_path)] == [0.6, 0.7, 0.8, 0.9]


def test_a_finished_sweep_is_looked_up_without_optunas_storage(tmp_path, request):
    write(tmp_path, grid())
    before = (tmp_path / STUDIES).stat().st_mtime_ns
    request.getfixturevalue("unasked")
    write(tmp_path, grid())
    assert (tmp_path / STUDIES).stat().st_mtime_ns == before


def test_a_run_that_was_made_again_takes_the_place_of_its_trial(tmp_path):
    write(tmp_path, grid())
    again = grid()
    again[1] |= {"objective": 0.95, "metrics": {"final_auc": 0.95, "f1": 0.4}}
    again[2] |= {"objective": None}
    write(tmp_path, again[1:3])
    found = trials(tmp_path)
    assert [trial.number for trial in found] == [0, 1, 2, 3]
    assert [trial.value for trial in found] == [0.6, 0.95, None, 0.9]
    assert found[1].user_attrs["f1"] == 0.4
    assert found[2].state == TrialState.FAIL


def test_what_failed_and_then_succeeds_is_one_trial(tmp_path):
    failed = result(None, None, status="failed", reason="diverged", run_id=None, metrics={})
    write(tmp_path, [failed])
    write(tmp_path, [result()])
    (trial,) = trials(tmp_path)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.9)


def test_a_study_that_a_kill_left_half_made_again_is_completed(tmp_path, monkeypatch):
    write(tmp_path, grid())
    again = [{**each, "objective": each["objective"] / 2} for each in grid()]

    def killed(self, trials):
        self.add_trial(next(iter(trials)))
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "add_trials", killed)
        write(tmp_path, again)
    assert len(trials(tmp_path)) == 1
    write(tmp_path, again)
    assert sorted(trial.value for trial in trials(tmp_path)) == [0.3, 0.35, 0.4, 0.45]


def test_failed_jobs_are_failed_trials_with_the_reason(tmp_path):
    none = {"run_id": None, "value": None, "metrics": {}}
    refused = result(status="refused", reason="no column device", **none)
    wide = {"model.latent_dim": 16, "model.activation": "relu"}
    diverged = result(status="failed", reason="training diverged", parameters=wide, **none)
    other = {"model.latent_dim": 8, "model.activation": "tanh"}
    undefined = result(3, None, metrics={"final_auc": None}, parameters=other)
    for _ in range(2):
        write(tmp_path, [refused, diverged, undefined])
    found = trials(tmp_path)
    assert [trial.state for trial in found] == [TrialState.FAIL] * 3
    reasons = [trial.user_attrs["reason"] for trial in found]
    assert reasons[:2] == ["no column device", "training diverged"]
    assert "final_auc is undefined" in reasons[2]
    assert [t.user_attrs["status"] for t in found] == ["refused", "failed", "undefined"]
    assert found[0].params["model.latent_dim"] == 8


def test_a_candidate_that_was_renamed_is_the_same_trial_and_says_so(tmp_path):
    write(tmp_path, [result()])
    renamed = result()
    renamed["choices"] = {**renamed["choices"], "candidate": "features_02"}
    write(tmp_path, [renamed])
    (trial,) = trials(tmp_path)
    assert trial.user_attrs["candidate"] == "features_02"


def test_a_value_that_is_none_of_the_swept_is_told_all_the_same(tmp_path):
    space = {**SPACE, "model.hidden_sizes": CategoricalDistribution(["[64, 32]", "[8]"])}
    parameters = {"model.latent_dim": "8", "model.activation": True}
    write(tmp_path, [result(parameters={**parameters, "model.hidden_sizes": [8]})], space=space)
    (trial,) = trials(tmp_path)
    assert trial.params == {"model.latent_dim": 8, "model.hidden_sizes": "[8]"}
    assert trial.user_attrs["model.activation"] is True


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
def test_importances_can_be_told(tmp_path, evaluator):
    write(tmp_path, grid())
    (study,) = studies(tmp_path).values()
    assert set(get_param_importances(study, evaluator=evaluator)) == set(SWEPT)


def test_what_is_not_comparable_is_another_study(tmp_path):
    write(tmp_path, [result()])
    write(tmp_path, [result(1)], objective="f1")
    write(tmp_path, [result(2, data="f2", validation_set="set2")])
    wider = {**SPACE, "model.latent_dim": CategoricalDistribution([8, 16, 32])}
    write(tmp_path, [result(3)], space=wider)
    fixed = {"model.latent_dim": 8, "model.activation": "relu", "model.dropout": 0.1}
    write(tmp_path, [result(4, parameters=fixed)])
    found = studies(tmp_path)
    assert len(found) == 5
    assert {name.split(" ")[1] for name in found} == {"final_auc", "f1"}
    assert {t.user_attrs["run_id"] for s in found.values() for t in s.get_trials()} == {
        f"run{number}" for number in range(5)
    }


@pytest.mark.parametrize("name", ["a b", "50%41", "what?", "a#b", "{curly}", "é&=+;'"])
def test_the_folder_may_have_any_name(tmp_path, name, request):
    folder = tmp_path / name
    folder.mkdir()
    write(folder, grid())
    assert len(trials(folder)) == 4
    assert {path.name for path in folder.iterdir()} == {STUDIES, ".locks"}
    assert [path.name for path in tmp_path.iterdir()] == [name]
    request.getfixturevalue("unasked")
    write(folder, grid())


def test_a_file_that_was_deleted_is_made_again(tmp_path):
    write(tmp_path, grid())
    (tmp_path / STUDIES).unlink()
    write(tmp_path, grid())
    assert len(trials(tmp_path)) == 4


def _add(path, start):
    file, study = StudyFile(path), SweepStudy("broad final_auc x", "final_auc", {"stage": "broad"})
    space = {**SPACE, "model.latent_dim": IntDistribution(0, 9)}
    start.wait()
    for number in range(10):
        parameters = {"model.latent_dim": number, "model.activation": "relu"}
        told = result(number, number / 10, parameters=parameters)
        file.add(study, [trial_of(told, path.parent, "final_auc", space)])


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


@pytest.mark.parametrize("mutation", ["zeros", "halved", "garbage"])
def test_a_damaged_file_is_named_set_aside_and_made_again(tmp_path, mutation, caplog):
    path = tmp_path / STUDIES
    write(tmp_path, grid()[:2])
    storages._made.cache_clear()
    # Of a hole in the middle SQLite tells only where a page is read.
    content = path.read_bytes()
    damaged = {
        "zeros": bytes(len(content)),
        "halved": content[: len(content) // 2],
        "garbage": b"no database at all" * 100,
    }[mutation]
    path.write_bytes(damaged)
    with caplog.at_level(logging.WARNING, "fraud_ae"):
        write(tmp_path, grid())
    (record,) = caplog.records
    assert record.message.startswith(f"{path}: damaged (")
    assert "\n" not in record.message
    assert len(trials(tmp_path)) == 4
    assert path.with_name(f"{STUDIES}.damaged").read_bytes() == damaged


@pytest.mark.parametrize("what", ["folder", "newer"])
def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(tmp_path, what, caplog):
    path = tmp_path / STUDIES
    if what == "folder":
        (tmp_path / ".locks").write_text("in the way")
    else:
        write(tmp_path, [result(5)])
        with closing(sqlite3.connect(path)) as tables, tables:
            tables.execute("UPDATE alembic_version SET version_num = 'v99'")
        storages._made.cache_clear()
    with caplog.at_level(logging.WARNING, "fraud_ae"):
        for _ in range(3):
            write(tmp_path, grid())
    (record,) = caplog.records
    assert str(path) in record.message
    assert "\n" not in record.message
    assert "the same command adds the trials" in record.message


def test_what_a_kill_left_of_a_file_is_completed(tmp_path):
    (tmp_path / STUDIES).touch()
    write(tmp_path, grid()[:2])
    (before,) = studies(tmp_path).values()
    # A study that was begun, and whose metric has no name yet.
    optuna.delete_study(study_name=before.study_name, storage=before._storage)
    optuna.create_study(study_name=before.study_name, storage=before._storage, direction="maximize")
    write(tmp_path, grid())
    assert len(trials(tmp_path)) == 4
    (after,) = studies(tmp_path).values()
    assert after.user_attrs == before.user_attrs


def test_a_trial_says_no_more_than_it_is(tmp_path):
    trial = trial_of(result(metrics={"final_auc": 0.9, "curve": [1, 2]}), tmp_path, "final_auc", {})
    assert "curve" not in trial.user_attrs


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
