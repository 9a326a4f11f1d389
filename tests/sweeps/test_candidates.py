from dataclasses import replace

import pytest
import yaml

from fraud_ae.configuration.command_line import candidate_folder
from fraud_ae.configuration.job import Job
from fraud_ae.errors import UserError
from fraud_ae.sweeps.candidates import (
    Candidate,
    check_data,
    swept_values,
    winning_overrides,
    write_candidates,
)

CHOICES = {
    "data": "custom",
    "features": "temporal",
    "model": "denoising",
    "trainer": "default",
    "scorer": "reconstruction",
    "stage": "broad",
    "wandb": "default",
    "candidate": None,
}
TASK = [
    "stage=broad",
    "experiment=x",
    "wandb.mode=online",
    "data=custom",
    "data.columns.amount=Amt",
    "model.latent_dim=8",
    "threshold.percentile=90",
    "seed=3",
]


@pytest.fixture
def job(compose, tmp_path):
    settings = compose("model.latent_dim=8", "threshold.percentile=90", "seed=3").settings
    settings["data"]["columns"] = {"amount": "Amt"}
    settings["trainer"]["max_epochs"] = 10
    return replace(Job.of_settings(settings, CHOICES), outputs=tmp_path, experiment="x")


def test_a_candidate_holds_what_decides_the_run_and_no_names(job):
    overrides = winning_overrides(job, swept_values(job.settings, TASK))
    assert overrides == {
        "defaults": [
            {"override /data": "custom"},
            {"override /features": "temporal"},
            {"override /model": "denoising"},
            {"override /trainer": "default"},
            {"override /scorer": "reconstruction"},
        ],
        "data": {"columns": {"amount": "Amt"}},
        "model": {"latent_dim": 8},
        "threshold": {"percentile": 90.0},
        "seed": 3,
        "trainer": {"max_epochs": 10},
    }


def test_a_candidate_of_a_candidate_keeps_what_the_first_one_said(job):
    first = winning_overrides(job, swept_values(job.settings, TASK))
    write_candidates(job.folder, "broad", [winner(first)])
    later = replace(
        job,
        choices={**CHOICES, "candidate": "broad_01"},
        trainer=replace(job.trainer, max_epochs=15),
    )
    again = winning_overrides(later, swept_values(job.settings, ["stage=refined", "seed=3"]))
    assert again == {**first, "trainer": {"max_epochs": 15}}


def winner(overrides: dict) -> dict:
    return {
        "run_id": "a",
        "metrics": {"final_auc": 0.8},
        "overrides": overrides,
        "data": "fingerprint1",
    }


def test_a_candidate_is_refused_on_other_data_than_it_was_tuned_on(tmp_path):
    write_candidates(tmp_path, "broad", [winner({"seed": 1})])
    check_data(tmp_path, "broad_01", "fingerprint1")
    with pytest.raises(UserError, match="broad_01.*tuned on other data.*experiment=NAME"):
        check_data(tmp_path, "broad_01", "fingerprint2")


def test_the_head_of_a_candidate_says_what_its_run_reached(tmp_path):
    told = {"validation_set": "1a2b", "maximised": "f1", "objective": 1 / 3}
    metrics = {"final_auc": 0.8, "epochs": 7}
    write_candidates(tmp_path, "broad", [winner({"seed": 1}) | told | {"metrics": metrics}])
    found = Candidate.of(candidate_folder(tmp_path) / "broad_01.yaml")
    assert found == Candidate("broad_01", "a", "1a2b", "f1", 1 / 3, 7, 1)
    assert found.stage == "broad"


def test_a_candidate_of_ones_own_says_nothing_of_a_run(tmp_path):
    path = tmp_path / "mine_01.yaml"
    path.write_text("# @package _global_\n# Data: fingerprint1\nseed: 1\n")
    assert Candidate.of(path) is None


def test_the_sweep_that_ended_last_has_the_highest_number(tmp_path):
    told = {"validation_set": "1a2b", "maximised": "f1", "objective": 1 / 3}
    told |= {"metrics": {"final_auc": 0.8, "epochs": 7}}

    def ended(stage: str) -> dict[str, int]:
        write_candidates(tmp_path, stage, [winner({"seed": 1}) | told])
        found = map(Candidate.of, candidate_folder(tmp_path).glob("*.yaml"))
        return {candidate.stage: candidate.sweep for candidate in found}

    assert ended("broad") == {"broad": 1}
    assert ended("final") == {"broad": 1, "final": 2}
    assert ended("final") == {"broad": 1, "final": 2}
    assert ended("broad") == {"broad": 3, "final": 2}


def test_candidates_are_numbered_best_first_and_replace_the_earlier_ones(tmp_path):
    write_candidates(tmp_path, "broad", [winner({"seed": n}) for n in range(3)])
    write_candidates(tmp_path, "refined", [winner({"seed": 9})])
    write_candidates(tmp_path, "broad", [winner({"seed": n}) for n in (7, 8)])
    paths = sorted(candidate_folder(tmp_path).glob("broad_*.yaml"))
    assert [p.name for p in paths] == ["broad_01.yaml", "broad_02.yaml"]
    assert [yaml.safe_load(p.read_text())["seed"] for p in paths] == [7, 8]
    assert paths[0].read_text().startswith("# @package _global_\n")
    assert len(list(candidate_folder(tmp_path).glob("refined_*.yaml"))) == 1
