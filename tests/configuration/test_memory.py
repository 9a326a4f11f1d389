"""Settings that no machine has the memory for are refused before it is asked for."""

import pytest

from fraud_ae.configuration.memory import check_memory
from fraud_ae.errors import UserError

NETWORK = {"hidden_sizes": [64, 32], "latent_dim": 16, "members": 1}


@pytest.mark.promise("D19")
@pytest.mark.parametrize(
    ("section", "name", "value", "told"),
    [
        ("model", "latent_dim", 99_999_999_999, "model.latent_dim=99999999999"),
        ("model", "hidden_sizes", [10**9, 10**9], "model.hidden_sizes=[1000000000, 1000000000]"),
        ("model", "members", 10**12, "model.members=1000000000000"),
        ("data", "n_transactions", 10**14, "data.n_transactions=100000000000000"),
        ("data", "n_customers", 10**15, "data.n_customers=1000000000000000"),
        ("metrics", "replicates", 10**15, "metrics.replicates=1000000000000000"),
    ],
)
def test_it_names_the_setting_and_both_amounts(section, name, value, told):
    settings = {"model": dict(NETWORK), "data": {}, "metrics": {}}
    check_memory(settings)
    settings[section][name] = value
    with pytest.raises(UserError, match=r"takes [\d,]+ GB of memory at least.* has [\d,]+ GB") as e:
        check_memory(settings)
    assert told in str(e.value)
    assert "\n" not in str(e.value)


def test_large_ones_that_fit_and_networks_of_ones_own_pass():
    check_memory({"model": NETWORK | {"latent_dim": 1000}, "data": {"n_transactions": 10**6}})
    check_memory({"model": {"width": 10**30}, "data": {"n_customers": None}})
    check_memory({"model": {"latent_dim": [10**30]}, "data": {}})
