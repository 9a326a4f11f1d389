"""Imports go down the layers, never up, and never in a circle; few files know Hydra."""

import ast

from tests import house

KNOW_HYDRA = ("cli", "production", "pipeline", "sweeps", "configuration")


def test_every_file_lies_in_a_layer():
    layers = {house.layer_of(module) for module in house.modules()}
    assert layers - {None} == set(house.LAYERS)


def test_imports_go_down():
    assert house.climbs() == []


def test_no_modules_import_one_another_in_a_circle():
    assert house.circles() == []


def test_the_configuration_goes_a_short_way():
    assert len(house.configuration_way(house.TRAIN)) <= 12


def test_folders_and_files_can_be_taken_in():
    folders = {file.parent for file in house.modules().values()}
    for folder in folders:
        files = [file for file in folder.glob("*.py") if file.name != "__init__.py"]
        assert len(files) <= 14, folder
    for module, file in house.modules().items():
        assert len(file.read_text().splitlines()) <= 350, module


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
