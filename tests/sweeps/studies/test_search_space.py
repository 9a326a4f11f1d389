import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from fraud_ae.sweeps.studies.search_space import as_parameter, in_json, search_space


def space(*overrides, told=(), candidates=None):
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    swept = {o.key_or_group: o for o in parsed if o.is_sweep_override()}
    return search_space(swept, [*swept, *told], candidates)


@pytest.mark.parametrize(
    ("override", "distribution"),
    [
        ("a.b=8,4,8", CategoricalDistribution([8, 4])),
        ("a.b=relu,null,true", CategoricalDistribution(["relu", None, True])),
        ('a.b="1","2"', CategoricalDistribution(["1", "2"])),
        ('a.b=[64,32],["x"]', CategoricalDistribution(["[64, 32]", '["x"]'])),
        ("a.b=interval(0.1,2)", FloatDistribution(0.1, 2)),
        ("a.b=tag(log,interval(0.0001,0.01))", FloatDistribution(0.0001, 0.01, log=True)),
        ("a.b=int(interval(1,10))", IntDistribution(1, 10)),
        ("a.b=range(0,10,3)", IntDistribution(0, 9)),
        ("a.b=range(0,1,0.25)", FloatDistribution(0, 0.75)),
        ("+a.b=1,2", CategoricalDistribution([1, 2])),
    ],
)
def test_the_distribution_of_a_sweep_is_known_before_its_first_job(override, distribution):
    assert space(override) == {"a.b": distribution}


def test_what_has_one_value_is_no_parameter():
    assert space("a.b=choice(1)", "a.c=range(3,4)", "a.d=1,2").keys() == {"a.d"}


def candidate(folder, number, features, **values):
    lines = ["defaults:", f"- override /features: {features}", "model:"]
    lines += [f"  {key}: {value}" for key, value in values.items()]
    (folder / f"broad_{number:02d}.yaml").write_text("\n".join([*lines, "trainer:"]))
    with (folder / f"broad_{number:02d}.yaml").open("a") as file:
        file.write(f"\n  max_epochs: {number}\n")


def test_of_candidates_the_parameters_are_the_values_in_which_they_differ(tmp_path):
    candidate(tmp_path, 1, "combined", latent_dim=16, activation="relu", norm="layer")
    candidate(tmp_path, 2, "combined", latent_dim=8, activation="silu", norm="layer")
    candidate(tmp_path, 3, "baseline", latent_dim=8, activation="relu", norm="layer", members=2)
    glob = "candidate=broad_01,broad_02,broad_03"
    found = space(glob, "seed=1,2", candidates=tmp_path, told=["model.activation"])
    assert in_json(found) == {
        "features": ["baseline", "combined"],
        "model.latent_dim": [8, 16],
        "model.members": [None, 2],
        "seed": [1, 2],
    }
    other = space("candidate=broad_03,broad_02,broad_01", candidates=tmp_path)
    assert list(other) == sorted(other)
    assert other["model.latent_dim"].choices == (8, 16)
    assert space("candidate=null,broad_01", candidates=tmp_path) == {}


def test_an_interval_holds_numbers_between_its_bounds():
    bounds = FloatDistribution(0.1, 2)
    assert as_parameter(1, bounds) == 1
    for other in (3, None, "1"):
        with pytest.raises(KeyError):
            as_parameter(other, bounds)
    assert in_json({"a": bounds}) == {"a": {"low": 0.1, "high": 2.0, "log": False}}
