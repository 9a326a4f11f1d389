"""What the options of conf/model and conf/scorer become, and that each setting changes it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from fraud_ae.configuration.job import Job
from fraud_ae.errors import UserError
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.threshold import ThresholdPolicy
from fraud_ae.experiments.run import network_settings
from fraud_ae.models.persistence import build_network
from fraud_ae.scorers.scorer import Scorer
from fraud_ae.sweeps.plugins import register
from tests.commands import ROOT
from tests.scorers.rows import GROUPS, labelled

CONF = ROOT / "conf"
# Another value of each setting than the one it has.
OTHER = {
    "model.hidden_sizes": "[8]",
    "model.latent_dim": "3",
    "model.activation": "tanh",
    "model.norm": "batch",
    "model.dropout": "0.5",
    "model.input_noise": "0.7",
    "model.members": "2",
    "model.kl_weight": "1.0",
    "model.mask_ratio": "0.6",
    "model.rounds": "1",
    "scorer.cap": "2.0",
    "scorer.seed": "5",
    "scorer.members": "2",
    "scorer.normal_rows": "200",
    "scorer.contamination": "0.01",
}
SETTINGS = {
    "model": {
        "autoencoder": ("hidden_sizes latent_dim activation norm dropout input_noise members"),
        "denoising": ("hidden_sizes latent_dim activation norm dropout input_noise members"),
        "variational": (
            "hidden_sizes latent_dim activation norm dropout input_noise members kl_weight"
        ),
        "masked": (
            "hidden_sizes latent_dim activation norm dropout input_noise members mask_ratio rounds"
        ),
    },
    "scorer": {
        "reconstruction": "cap",
        "calibrated": "contamination members normal_rows seed",
        "mahalanobis": "",
    },
}
OPTIONS = [(group, option) for group, options in SETTINGS.items() for option in options]
CASES = [(group, o, key) for group, o in OPTIONS for key in SETTINGS[group][o].split()]


@pytest.fixture(autouse=True)
def _hydra():
    register()
    with initialize_config_dir(str(CONF)):
        yield


def composed(*overrides: str) -> Job:
    return Job.of(compose("train", overrides=list(overrides)), {})


def model_seen(job: Job) -> np.ndarray:
    """A loss in training, and residuals in evaluation."""
    recipe = job.recipe
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build_network(network_settings(recipe.network, GROUPS.tolist()))
    rows = torch.from_numpy(labelled(50)[0].inputs)
    with torch.no_grad():
        loss = network.loss(rows).mean()
        return np.append(loss, network.eval().signals(rows)[0]).round(6)


def scorer_seen(job: Job) -> np.ndarray:
    scorer = job.recipe.scorer
    assert isinstance(scorer, Scorer)
    # Frauds enough for the trees to count.
    return scorer.fit(*labelled(1000, share=0.3)).score(labelled(300, seed=2)[0])


SEEN = {"model": model_seen, "scorer": scorer_seen}


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_is_built_from_the_settings_that_it_shows(group, option):
    job = composed(f"{group}={option}")
    assert set(job.settings[group]) == {"_target_", *SETTINGS[group][option].split()}
    seen = SEEN[group](job)
    assert np.isfinite(seen).all()
    np.testing.assert_array_equal(SEEN[group](job), seen)


def test_every_option_is_tried():
    for group, options in SETTINGS.items():
        assert set(options) == {path.stem for path in (CONF / group).glob("*.yaml")}


@pytest.mark.parametrize(("group", "option", "key"), CASES)
def test_every_setting_changes_what_is_built(group, option, key):
    name = f"{group}.{key}"
    before, after = (
        composed(f"{group}={option}"),
        composed(f"{group}={option}", f"{name}={OTHER[name]}"),
    )
    assert before.settings[group][key] != after.settings[group][key]
    assert not np.array_equal(SEEN[group](before), SEEN[group](after))


def test_the_seed_of_the_run_is_that_of_the_trees():
    assert composed("scorer=calibrated", "seed=9").scorer_node["seed"] == 9


def test_a_network_whose_settings_do_not_fit_is_refused_by_name():
    job = composed()
    model = {**job.model_node, "_target_": "fraud_ae.models.ensemble.Ensemble"}
    with pytest.raises(UserError, match=r"model\._target_=fraud_ae\.models\.ensemble\.Ensemble"):
        _ = replace(job, model_node=model).recipe


def test_scores_are_read_as_the_configuration_says():
    own = ["threshold.method=budget", "threshold.alerts_per_day=7", "metrics.top_k=3"]
    own += ["metrics.replicates=11", "metrics.extra.cost=math.dist", "allowed_modules=[math]"]
    assert composed(*own).evaluation == Evaluation(
        policy=ThresholdPolicy(method="budget", alerts_per_day=7.0),
        extra={"cost": "math.dist"},
        top_k=3,
        replicates=11,
    )
    assert composed().evaluation == Evaluation()
