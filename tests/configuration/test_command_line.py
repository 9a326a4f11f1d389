import json
import random

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fraud_ae.configuration.command_line import (
    complete,
    complete_retraining,
    experiment_name,
    normalized,
    quoted,
)
from fraud_ae.errors import UserError
from fraud_ae.runtime.kept_files import write_kept, write_kept_json
from tests.damage import MUTATIONS, mutated


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def leave_candidates(experiment: str, *names: str) -> None:
    from pathlib import Path

    folder = Path("outputs") / experiment / "conf" / "candidate"
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.yaml").write_text("# @package _global_\nseed: 1\n")


def without_search_path(arguments: list[str]) -> list[str]:
    return [a for a in arguments if not a.startswith("hydra.searchpath=")]


@pytest.mark.parametrize("sweep", ["features=glob(*)", "features=baseline,temporal"])
def test_a_sweep_over_features_is_the_features_stage(sweep):
    assert complete(["-m", sweep]) == ["-m", sweep, "stage=features"]


def test_a_stage_that_was_named_stays():
    assert complete(["-m", "features=glob(*)", "stage=single"])[-1] == "stage=single"


def test_one_strategy_is_no_sweep():
    assert complete(["features=temporal"]) == ["features=temporal"]


@pytest.mark.parametrize("stage", ["features", "broad", "refined", "final"])
def test_a_sweep_without_multirun_says_what_to_type(stage):
    with pytest.raises(UserError, match=f"python train.py -m stage={stage}"):
        complete([f"stage={stage}"])


def test_a_stage_reads_the_candidates_of_the_stage_before_it():
    leave_candidates("mine", "broad_01", "broad_02")
    completed = complete(["-m", "stage=refined", "experiment=mine"])
    assert "candidate=glob(broad_*)" in completed
    assert completed[-1].startswith("hydra.searchpath=[file://")
    assert completed[-1].endswith("outputs/mine/conf]")


def test_a_single_run_takes_the_one_that_wins_among_the_bests_of_the_stages():
    leave_candidates("mine", "final_01", "broad_01", "broad_02", "features_01")
    arguments = ["stage=production", "experiment=mine"]
    asked = []

    def choose(candidates):
        asked.extend(path.stem for path in candidates)
        return "broad_01"

    assert "candidate=broad_01" in complete(arguments, choose)
    assert asked == ["features_01", "broad_01", "final_01"]
    assert "candidate=final_01" in complete([*arguments, "candidate=final_01"], choose)
    assert len(asked) == 3


def test_candidates_that_were_given_stay():
    leave_candidates("mine", "broad_01", "broad_02")
    completed = complete(["-m", "stage=refined", "experiment=mine", "candidate=broad_02"])
    assert [a for a in completed if a.startswith("candidate=")] == ["candidate=broad_02"]


def test_broad_goes_without_a_feature_sweep():
    assert complete(["-m", "stage=broad"]) == ["-m", "stage=broad"]


@pytest.mark.parametrize(
    "arguments",
    [["-m", "stage=refined"], ["stage=production"], ["candidate=broad_07"]],
)
def test_missing_candidates_are_named_with_what_to_run(arguments):
    leave_candidates("synthetic", "broad_01")
    (expected,) = [a for a in complete(["-m", "stage=refined"]) if a.startswith("candidate=")]
    assert expected == "candidate=glob(broad_*)"
    with pytest.raises(UserError, match=r"no such candidate in .*Run the stage that makes them"):
        complete([*arguments, "experiment=other"])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "synthetic"),
        (["data=handbook"], "handbook"),
        (["data=handbook", "experiment=x1"], "x1"),
        (["data=custom", "data.name=mine"], "mine"),
        (["experiment='quoted'"], "quoted"),
    ],
)
def test_an_experiment_is_named_after_its_data_unless_it_is_named(arguments, name):
    assert experiment_name(arguments) == name


def test_a_fixed_value_of_the_grid_is_a_choice_of_one():
    completed = complete(["-m", "stage=broad", "model.latent_dim=8", "seed=3", "model=denoising"])
    assert "model.latent_dim=choice(8)" in completed
    assert {"seed=3", "model=denoising"} <= set(completed)
    assert "model.latent_dim=4,8" in complete(["-m", "stage=broad", "model.latent_dim=4,8"])


@pytest.mark.parametrize("name", ["../x", "a/b", "", " ", "..", ".", "a\0b", "a\nb", "/x"])
def test_an_experiment_outside_of_outputs_is_refused_before_anything_is_made(name, tmp_path):
    with pytest.raises(UserError, match="plain folder name"):
        complete([f"experiment={name}"])
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "taken").write_text("a file")
    with pytest.raises(UserError, match="outputs/taken: cannot be written"):
        complete(["experiment=taken"])


def test_help_is_left_alone():
    assert complete(["--help", "stage=refined"]) == ["--help", "stage=refined"]


def test_the_search_path_is_told_only_where_there_is_one():
    assert without_search_path(complete(["experiment=none"])) == complete(["experiment=none"])


def test_a_candidate_that_was_changed_is_told_and_a_broken_one_refused(tmp_path, caplog):
    path = tmp_path / "outputs" / "mine" / "conf" / "candidate" / "features_01.yaml"
    write_kept(path, "# @package _global_\nseed: 1\n")
    command = ["stage=production", "experiment=mine"]
    complete(command)
    assert not caplog.messages
    path.write_text("# @package _global_\nseed: 2\n")
    assert "candidate=features_01" in complete(command)
    (line,) = caplog.messages
    assert line.startswith("outputs/mine/conf/candidate/features_01.yaml: changed since")
    path.write_text("# @package _global_\nseed: [2\n")
    with pytest.raises(UserError, match=r"features_01.yaml: damaged .* -m stage=features"):
        complete(command)


@pytest.fixture
def retrained(tmp_path, monkeypatch):
    """An experiment with a model in production, whose pipeline was told a few things."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "shop"
    (folder / "models" / "production").mkdir(parents=True)
    told = ["data=custom", "data.path=old.csv", "data.columns.amount=Amt", "stages=[broad]"]
    told += ["experiment=shop", "retrain=true", "seed=3"]
    (folder / "data.json").write_text(json.dumps({"commands": [["seed=1"], told]}))
    return folder


def test_a_retraining_is_told_what_the_last_pipeline_was(retrained):
    given = ["data.path=new.csv"]
    kept = ["data=custom", "data.columns.amount=Amt", "seed=3", "experiment=shop"]
    assert complete_retraining(given) == [*given, *kept]
    assert complete_retraining([*given, "experiment=shop"]) == [
        *given,
        "experiment=shop",
        *kept[:-1],
    ]


def test_another_source_has_none_of_the_settings_of_the_first(retrained):
    given = ["data=handbook", "experiment=shop"]
    assert complete_retraining(given) == [*given, "seed=3"]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_settings_that_are_lost_are_not_guessed(retrained, mutation):
    path = retrained / "data.json"
    write_kept_json(path, json.loads(path.read_text()))
    mutated(path, mutation, random.Random(0))
    with pytest.raises(UserError, match=r"data.json: damaged \(.*run that once more") as refused:
        complete_retraining(["data.path=new.csv"])
    assert "\n" not in str(refused.value)


def test_of_two_experiments_none_is_guessed(retrained):
    (retrained.parent / "other" / "models" / "production").mkdir(parents=True)
    assert complete_retraining([]) == ["experiment=synthetic"]
    assert complete_retraining(["experiment=other"]) == ["experiment=other"]


@pytest.mark.parametrize(
    "text", ["plain", "Müller & Co", "it's", "a,b", "x=1", "(v2)", "#1", "end\\", "\\'", "${a}"]
)
def test_a_quoted_value_is_read_back_by_hydra(text):
    assert OverridesParser.create().parse_override(f"key={quoted(text)}").value() == text


def test_outputs_is_a_setting_and_a_flag():
    assert normalized(["--outputs", "my results", "seed=1"], {}) == [
        "outputs_dir='my results'",
        "seed=1",
    ]
    assert normalized(["--outputs=there"], {}) == ["outputs_dir=there"]
    leave_candidates("x", "broad_01")
    with pytest.raises(UserError, match="no such candidate in elsewhere/x"):
        complete(["-m", "stage=refined", "experiment=x", "outputs_dir=elsewhere"])


def test_words_and_flags_that_are_not_known_are_refused():
    with pytest.raises(UserError, match=r"mode=retrain: use fraud-ae retrain"):
        normalized(["mode=retrain"], {"mode=retrain": "fraud-ae retrain"})
    with pytest.raises(UserError, match="--multirum: no such flag; did you mean --multirun"):
        normalized(["--multirum"], {})
    flags = ["--cfg", "job", "-m", "-cd", "mine", "--config-dir=mine", "--info", "defaults"]
    assert normalized(flags, {}) == flags


def test_an_experiment_is_named_as_an_option_of_ones_own_says(tmp_path):
    (tmp_path / "own" / "data").mkdir(parents=True)
    (tmp_path / "own" / "data" / "shop.yaml").write_text("name: mine\n")
    assert experiment_name(["--config-dir", "own", "data=shop"]) == "mine"
    assert experiment_name(["-cd=own", "data=shop"]) == "mine"
