"""Imports go one way: data, features, models, scorers, evaluation, experiment, sweep and so on."""

import ast

import pytest

from tests.commands import ROOT

PACKAGE = ROOT / "fraud_ae"
# A part may import from those before it and from itself.
ORDER = (
    "data",
    "features",
    "models",
    "scorers",
    "evaluation",
    "experiment",
    "sweep",
    "report",
    "service",
    "commands",
)
SHARED = ("errors", "atomic_files", "side_by_side", "cores")
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str | None:
    """The part of the design that a module belongs to, None for what all may use."""
    name = module.removeprefix("fraud_ae.").split(".")[0]
    if name in SHARED or module == "fraud_ae":
        return None
    if name == "__main__":
        return "commands"
    return name if name in ORDER else "experiment"


def imported(path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


def module_name(path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_one_way(path):
    own = part_of(module_name(path))
    if own is None or module_name(path) == "fraud_ae.config":
        return
    for name in imported(path):
        if name.startswith("fraud_ae"):
            other = part_of(name)
            assert other is None or ORDER.index(other) <= ORDER.index(own), f"{path}: {name}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_only_the_sweep_and_the_schemas_know_hydra(path):
    knows = {n.split(".")[0] for n in imported(path)} & {"hydra", "omegaconf", "optuna"}
    allowed = "sweep" in path.parts or path.name == "config.py"
    assert allowed or not knows
