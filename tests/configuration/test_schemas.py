"""Every file of conf/ composes, and says what the code behind it takes."""

import inspect
import pkgutil
import re

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from fraud_ae.configuration.checks import check
from fraud_ae.configuration.job import Job
from fraud_ae.configuration.resolution import feature_parts
from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold import METHODS
from fraud_ae.models import training
from fraud_ae.sweeps.plugins import register
from tests.commands import ROOT

CONF = ROOT / "conf"
GROUPS = ("data", "features", "model", "scorer", "stage", "trainer", "wandb")
OPTIONS = [(g, p.stem) for g in GROUPS for p in sorted((CONF / g).rglob("*.yaml"))]


@pytest.fixture(autouse=True)
def _hydra():
    register()
    with initialize_config_dir(str(CONF)):
        yield


def composed(*overrides: str) -> dict:
    return OmegaConf.to_container(compose("train", overrides=list(overrides)), resolve=True)


def nodes_with_target(node):
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for child in node.values():
            yield from nodes_with_target(child)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_fits_the_signature_it_names(group, option):
    settings = composed(f"{group}={option}")
    check(settings)
    usage = {"name", "train_on", "split"}
    settings["features"] = feature_parts(settings["features"])[0]
    for node in nodes_with_target(settings):
        target = pkgutil.resolve_name(node["_target_"])
        arguments = {k: v for k, v in node.items() if k != "_target_"}
        if node is settings["data"]:
            arguments = {k: v for k, v in arguments.items() if k not in usage}
        if node is settings["model"]:
            arguments = {k: v for k, v in arguments.items() if k != "members"} | {"n_inputs": 1}
        inspect.signature(target).bind(**arguments)


def test_pipeline_knows_everything_that_train_knows():
    pipeline = OmegaConf.to_container(compose("pipeline"), resolve=True)
    own = {"stages", "gate", "overrides", "summary", "report", "workspace", "experiments"}
    own |= {"mode", "promotion"}
    assert {k: v for k, v in pipeline.items() if k not in own} == composed()


@pytest.mark.parametrize(
    ("override", "full_key", "nearest"),
    [
        ("model.latent_dm=8", "model.latent_dm", "latent_dim"),
        ("trainer.batchsize=8", "trainer.batchsize", "batch_size"),
        ("data.split.label_delay=8", "data.split.label_delay", "label_delay_days"),
        ("encoder.scalin=robust", "encoder.scalin", "scaling"),
        ("features.parts.behavioural.window_days=[1]", "window_days", "windows_days"),
        ("wandb.entty=me", "wandb.entty", "entity"),
        ("threshold.percentil=90", "threshold.percentil", "percentile"),
        ("metrics.replicate=9", "metrics.replicate", "replicates"),
        ("sed=1", "sed", "seed"),
    ],
)
def test_a_mistyped_key_is_named_with_the_nearest_real_one(override, full_key, nearest):
    with pytest.raises(ConfigCompositionException) as caught:
        composed(override)
    message = f"{caught.value} {caught.value.__cause__}"
    assert full_key in message
    assert re.search(rf"Did you mean(: | one of: ){nearest!r}", message)


@pytest.mark.parametrize(
    ("override", "full_key"),
    [
        ("model.latent_dim=wide", "model.latent_dim"),
        ("model.activation=swish", "model.activation"),
        ("trainer.max_epochs=2.5", "trainer.max_epochs"),
        ("trainer.learning_rate=fast", "trainer.learning_rate"),
        ("data.train_on=fraud", "data.train_on"),
        ("data.n_transactions=many", "data.n_transactions"),
        ("encoder.scaling=minmax", "encoder.scaling"),
        ("wandb.mode=on", "wandb.mode"),
        ("scorer=reconstruction scorer.cap=high", "scorer.cap"),
        ("threshold.method=median", "threshold.method"),
        ("threshold.alerts_per_day=few", "threshold.alerts_per_day"),
        ("metrics.top_k=many", "metrics.top_k"),
        (
            "features.parts.behavioural.windows_days=[week]",
            "features.parts.behavioural.windows_days",
        ),
        (
            "features.parts.demographic_risk.smoothing=lots",
            "features.parts.demographic_risk.smoothing",
        ),
        ("data.split.fractions=[a,b]", "data.split.fractions"),
        ("production.fit_on=test", "production.fit_on"),
        ("retrain=maybe", "retrain"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(override, full_key):
    with pytest.raises(ConfigCompositionException) as caught:
        composed(*override.split())
    assert f"full_key: {full_key}" in f"{caught.value} {caught.value.__cause__}"


def test_all_values_out_of_range_are_told_at_once():
    settings = composed("model.latent_dim=0", "threshold.percentile=150", "trainer.batch_size=-1")
    with pytest.raises(UserError) as caught:
        check(settings)
    for part in ("model.latent_dim=0", "threshold.percentile=150.0", "trainer.batch_size=-1"):
        assert part in str(caught.value)


OUT_OF_RANGE = [
    ("train", "threshold.percentile=0", "between 0 and 100"),
    ("train", "threshold.percentile=100", "between 0 and 100"),
    ("train", "threshold.least_recall=0", "greater than 0 and at most 1"),
    ("train", "threshold.least_recall=1.1", "greater than 0 and at most 1"),
    ("train", "threshold.least_precision=0", "greater than 0 and at most 1"),
    ("train", "threshold.alerts_per_day=0", "greater than 0"),
    ("train", "threshold.review_cost=-1", "0 or more"),
    ("train", "metrics.top_k=0", "greater than 0"),
    ("train", "metrics.replicates=0", "greater than 0"),
    ("train", "model.members=0", "greater than 0"),
    ("train", "model=masked model.rounds=0", "greater than 0"),
    ("train", "model=masked model.mask_ratio=0", "between 0 and 1"),
    ("train", "model=masked model.mask_ratio=1", "between 0 and 1"),
    ("train", "scorer=calibrated scorer.normal_rows=0", "greater than 0"),
    ("train", "scorer=calibrated scorer.contamination=0.5", "0 to below 0.5, or null"),
    ("train", "scorer=reconstruction scorer.cap=0", "greater than 0, or null"),
    ("pipeline", "gate.min_gain=1", "between -1 and 1"),
    ("pipeline", "gate.baseline_auc=1.1", "between 0 and 1"),
]


@pytest.mark.parametrize(("command", "overrides", "wanted"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_named_with_what_would_be_right(command, overrides, wanted):
    settings = OmegaConf.to_container(compose(command, overrides=overrides.split()), resolve=True)
    with pytest.raises(UserError) as caught:
        check(settings)
    key, value = overrides.split()[-1].split("=")
    assert re.match(rf"{key}={value}(\.0)?: must be {wanted}", str(caught.value))


@pytest.mark.parametrize(
    "overrides",
    [
        ["threshold.least_recall=1", "threshold.least_precision=1", "threshold.review_cost=0"],
        ["threshold.alerts_per_day=0.5", "threshold.percentile=99.9", "metrics.top_k=1"],
        *([f"threshold.method={method}"] for method in METHODS),
    ],
    ids=str,
)
def test_what_lies_at_the_edge_of_a_range_is_right(overrides):
    check(composed(*overrides))


def observed(job: Job, monkeypatch) -> dict:
    """What a training with these settings is seen to do."""
    lengths = []

    class Watched(training.Batches):
        def __iter__(self):
            lengths.append(self.at_once)
            return super().__iter__()

    monkeypatch.setattr(training, "Batches", Watched)
    import torch

    from fraud_ae.models.persistence import build_network

    recipe = job.recipe
    inputs = torch.zeros(1000, 12)
    trained = training.train_network(
        training.Training(
            lambda n: build_network({"n_inputs": n, **recipe.network}), recipe.trainer, 1
        ),
        training.Rows(inputs),
        None,
    )
    modules = list(trained.network.modules())
    return {
        "latent_dim": tuple(trained.network.encode(inputs).shape),
        "activation": {type(m).__name__ for m in modules if "torch" in type(m).__module__},
        "learning_rate": trained.history[0]["learning_rate"],
        "batch_size": max(lengths),
        "percentile": job.evaluation.policy.percentile,
    }


def broad_grid() -> dict[str, list[str]]:
    params = yaml.safe_load((CONF / "stage" / "broad.yaml").read_text())["hydra"]["sweeper"][
        "params"
    ]
    return {k: v.removeprefix("choice(").removesuffix(")").split(", ") for k, v in params.items()}


def test_the_broad_grid_has_48_combinations_of_what_was_asked_for():
    assert broad_grid() == {
        "model.latent_dim": ["8", "16", "32"],
        "model.activation": ["relu", "leaky_relu"],
        "trainer.learning_rate": ["0.001", "0.0005"],
        "trainer.batch_size": ["128", "256"],
        "threshold.percentile": ["90", "95"],
    }


@pytest.mark.parametrize("key", broad_grid())
def test_every_swept_key_changes_what_is_trained_and_nothing_else(key, monkeypatch):
    small = ["data.n_transactions=1000", "trainer.max_epochs=1"]
    settings = [composed(*small, f"{key}={value}") for value in broad_grid()[key][:2]]
    seen = [observed(Job.of_settings(chosen, {}), monkeypatch) for chosen in settings]
    changed = {name for name in seen[0] if seen[0][name] != seen[1][name]}
    assert changed == {key.split(".")[1]}


@pytest.mark.promise(14)
@pytest.mark.parametrize(
    ("switch", "value", "mode"),
    [
        ("WANDB_MODE", "disabled", "disabled"),
        ("WANDB_MODE", "dryrun", "offline"),
        ("WANDB_MODE", "online", "online"),
        ("WANDB_DISABLED", "true", "disabled"),
    ],
)
def test_wandbs_own_switches_count(switch, value, mode, monkeypatch):
    monkeypatch.setenv(switch, value)
    assert composed()["wandb"]["mode"] == mode
    assert composed("wandb.mode=offline")["wandb"]["mode"] == "offline"


def test_without_labels_planted_anomalies_are_the_objective():
    assert composed("data=custom")["objective"] == "final_auc"
    unlabelled = composed("data=custom", "data.columns.is_fraud=null")
    assert unlabelled["objective"] == "planted_auc"
    later = composed("data=custom", "data.columns.is_fraud=null", "data.labels=outcomes.csv")
    assert later["objective"] == "final_auc"
