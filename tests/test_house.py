"""Imports go down the layers, never up, and never in a circle; few files know Hydra."""

import ast

from tests import house

# Imports that still go up; each one that goes is taken out of here.
CLIMBS = {
    "fraud_ae.audit.stored -> fraud_ae.experiments.run_store",
    "fraud_ae.detector.detector -> fraud_ae.experiments.run_store",
    "fraud_ae.detector.model_info -> fraud_ae.experiments.run_store",
    "fraud_ae.models.persistence -> fraud_ae.scorers.signals",
}
KNOW_HYDRA = ("cli", "production", "pipeline", "sweeps", "configuration")


def test_every_file_lies_in_a_layer():
    layers = {house.layer_of(module) for module in house.modules()}
    assert layers - {None} == set(house.LAYERS)


def test_imports_go_down():
    assert set(house.climbs()) == CLIMBS


def test_only_layers_from_the_configuration_up_know_hydra():
    for module, file in house.modules().items():
        roots = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                roots.add(node.module.split(".")[0])
            if isinstance(node, ast.Import):
                roots.update(alias.name.split(".")[0] for alias in node.names)
        if house.layer_of(module) not in KNOW_HYDRA:
            assert not roots & {"hydra", "omegaconf", "optuna"}, module
