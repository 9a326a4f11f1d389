"""No module depends on what another package keeps private and may change in any release."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("fraud_ae", "benchmarks", "dependencies")
OURS = (*FOLDERS, "tests", "train", "pipeline")
# File and name of what there is no public way for, or only a far slower one.
ALLOWED = {
    ("fraud_ae/models/adam.py", "torch._foreach_add_"),
    ("fraud_ae/models/adam.py", "torch._fused_adam_"),
}
FILES = sorted(
    [
        *(path for name in FOLDERS for path in (ROOT / name).rglob("*.py")),
        *(ROOT / f"{name}.py" for name in ("train", "pipeline")),
    ]
)


def is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.endswith("__") for part in name.split("."))


def is_foreign(module: str) -> bool:
    first = module.partition(".")[0]
    return first not in OURS and first not in sys.stdlib_module_names


def private_uses(source: str) -> set[str]:
    """Private modules and names of other packages that a module imports or asks for."""
    imported, found = {}, set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                imported[alias.asname or whole] = whole
                found.add(alias.name)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                found.add(f"{node.module}.{alias.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            owner, name = node.args[:2]
            if isinstance(name, ast.Constant):
                found.add(f"{ast.unparse(owner)}.{name.value}")
    whole = set()
    for name in found:
        first, _, rest = name.partition(".")
        whole.add(f"{imported[first]}.{rest}" if first in imported and rest else name)
    known = {module.partition(".")[0] for module in imported.values() if is_foreign(module)}
    return {
        name
        for name in whole
        if all(part.isidentifier() for part in name.split("."))
        and is_private(name)
        and name.partition(".")[0] in known
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_private_of_another_package_is_used(path):
    file = path.relative_to(ROOT).as_posix()
    allowed = {name for own, name in ALLOWED if own == file}
    assert private_uses(path.read_text()) == allowed


@pytest.mark.parametrize(
    "source",
    [
        "import hydra._internal.utils",
        "from hydra._internal.utils import run_and_report",
        "from torch import _foreach_add_",
        "import torch\ntorch._foreach_add_(a, 1)",
        "import torch as t\nt.optim._functional.adam()",
        "from torch import nn\nnn._reduction",
        "import torch\ngetattr(torch, '_fused_adam_')",
    ],
)
def test_each_way_is_seen(source):
    assert private_uses(source)


@pytest.mark.parametrize(
    "source", ["import os\nos._exit(1)", "import torch\ntorch.__version__", "self._torch = 1"]
)
def test_what_is_documented_or_ones_own_is_left_alone(source):
    assert not private_uses(source)
