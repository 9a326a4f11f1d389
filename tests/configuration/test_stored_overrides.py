"""What an experiment's files may add to a command, and that they can name no code."""

from dataclasses import fields

import pytest
import yaml

from fraud_ae.configuration.command_line import complete
from fraud_ae.configuration.schemas import PipelineConfig
from fraud_ae.configuration.stored_overrides import KEYS, check_candidates, check_command
from fraud_ae.errors import UserError
from fraud_ae.runtime.kept_files import write_kept

# What only a command line or a folder of the user's own may say.
FOR_USERS_ALONE = {"allowed_modules", "experiment", "outputs_dir", "stage"}


def test_every_setting_may_be_stored_or_is_for_users_alone():
    assert {*KEYS, *FOR_USERS_ALONE} == {field.name for field in fields(PipelineConfig)}


@pytest.mark.parametrize(
    "argument",
    [
        "data=custom",
        "data.path='my file.csv'",
        "data.columns.amount=Amt",
        "+data.labels_map.charged-back=1",
        "features=combined",
        "trainer.max_epochs=3",
        "metrics.top_k=50",
        "seed=3",
        "~data.columns.category",
        "gate.min_gain=0.1",
        'overrides.broad=["model.latent_dim=4,8","candidate=features_01"]',
    ],
)
def test_settings_may_be_stored(tmp_path, argument):
    check_command(tmp_path / "data.json", [argument])


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    "argument",
    [
        "features._target_=shutil.rmtree",
        "+features.path._target_=shutil.rmtree",
        "features={_target_: shutil.rmtree, path: victim}",
        "+data.extra={_target_: pandas.read_pickle}",
        "features=../../evil",
        "data=/tmp/evil",
        "+features@allowed_modules=evil",
        "allowed_modules=[evil]",
        "+allowed_modules=[evil]",
        "metrics.extra.cost=evil.cost",
        "metrics={extra: {cost: evil.cost}}",
        "overrides.production=[allowed_modules=[evil]]",
        "hydra.searchpath=[/tmp/evil]",
        "+hydra.callbacks.evil._target_=evil.Evil",
        "--config-dir=/tmp/evil",
        "--config-path",
        "outputs_dir=/tmp/evil",
        "candidate=../../evil",
        'overrides.broad=["seed=1","features._target_=shutil.rmtree"]',
        "overrides.broad=evil",
        "overrides.broad=[[",
        "",
    ],
)
def test_what_names_code_or_folders_may_not(tmp_path, argument):
    with pytest.raises(UserError, match="not taken from a file"):
        check_command(tmp_path / "data.json", ["seed=1", argument])


WON = {
    "defaults": [{"override /data": "synthetic"}, {"override /features": "combined"}],
    "trainer": {"max_epochs": 10},
    "model": {"latent_dim": 32},
    "seed": 3,
}


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """The folder of an experiment with one candidate, in the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "synthetic"
    (folder / "conf" / "candidate").mkdir(parents=True)
    (folder / "conf" / "candidate" / "broad_01.yaml").write_text(yaml.safe_dump(WON))
    return folder


def test_a_candidate_is_taken(experiment):
    assert "candidate=broad_01" in complete(["candidate=broad_01"])


def test_what_vouches_for_candidates_and_what_was_set_aside_may_lie_beside_them(experiment):
    path = experiment / "conf" / "candidate" / "broad_01.yaml"
    write_kept(path, path.read_text())
    path.write_text("damaged: {\n")
    write_kept(path, yaml.safe_dump(WON))
    kept = {file.name for file in path.parent.glob("[!.]*")}
    assert kept == {"broad_01.yaml", "broad_01.yaml.damaged", "checksums.json"}
    assert "candidate=broad_01" in complete(["candidate=broad_01"])


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    "said",
    [
        {**WON, "features": {"_target_": "shutil.rmtree", "path": "victim"}},
        {**WON, "model": {"parts": [{"_target_": "evil.Evil"}]}},
        {**WON, "allowed_modules": ["evil"]},
        {**WON, "hydra": {"callbacks": {"evil": {"_target_": "evil.Evil"}}}},
        {**WON, "metrics": {"extra": {"cost": "evil.cost"}}},
        {**WON, "defaults": [{"override /features": "../../evil"}]},
        {**WON, "defaults": [{"override /hydra/launcher": "basic"}]},
        {**WON, "defaults": ["evil"]},
        ["evil"],
        None,
    ],
)
def test_a_candidate_that_says_more_than_settings_is_refused_by_name(experiment, said):
    path = experiment / "conf" / "candidate" / "broad_01.yaml"
    path.write_text(yaml.safe_dump(said))
    with pytest.raises(UserError, match=r"broad_01\.yaml"):
        complete(["candidate=broad_01"])


@pytest.mark.parametrize("text", ["a: [", "[" * 100_000, "\x00"])
def test_a_damaged_candidate_is_refused_by_name(experiment, text):
    path = experiment / "conf" / "candidate" / "broad_01.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"broad_01\.yaml: cannot be read as YAML"):
        check_candidates(experiment, [path])


def test_no_other_options_come_from_an_experiment(experiment):
    (experiment / "conf" / "features").mkdir()
    (experiment / "conf" / "features" / "evil.yaml").write_text("_target_: evil.Evil\n")
    with pytest.raises(UserError, match=r"evil\.yaml: only files of candidates"):
        complete(["features=evil"])


def test_a_link_is_no_candidate(experiment, tmp_path):
    (tmp_path / "evil.yaml").write_text("seed: 1\n")
    (experiment / "conf" / "candidate" / "broad_02.yaml").symlink_to(tmp_path / "evil.yaml")
    with pytest.raises(UserError, match=r"broad_02\.yaml"):
        complete(["candidate=broad_01"])
