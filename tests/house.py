"""The layers of the package, and every import that does not go down: `python -m tests.house`."""

import ast
import graphlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fraud_ae"
# From the top: a layer imports from those below it and from itself.
LAYERS = (
    "cli",
    "report",
    "serving",
    "production",
    "pipeline",
    "sweeps",
    "configuration",
    "experiments",
    "tracking",
    "audit",
    "detector",
    "evaluation",
    "scorers",
    "models",
    "features",
    "data",
    "runtime",
    "errors",
)
# Where `python train.py` begins; the second is named in `conf/`.
TRAIN = ("fraud_ae.cli.train", "fraud_ae.sweeps.callback")
_CONFIGURATIONS = {"DictConfig", "Job", "PipelineJob"}
# `python -m fraud_ae` is the command; the package itself promises a name and a version.
ENTRY, VERSION = "fraud_ae.__main__", "fraud_ae"


def modules() -> dict[str, Path]:
    """Dotted name of every module of the package -> its file."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {name_of(file): file for file in files}


def name_of(file: Path) -> str:
    """Dotted name of a module."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imported(file: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the package that a file imports, at its head or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (within & set(known)) or {node.module}
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names & set(known)


def layer_of(module: str) -> str | None:
    """The layer of a module; None for the package itself."""
    if module == ENTRY:
        return LAYERS[0]
    return None if module == VERSION else module.split(".")[1]


def climbs() -> list[str]:
    """Every import that goes up, as `importer -> imported`."""
    known = modules()
    found = []
    for module, file in known.items():
        for other in sorted(imported(file, known)):
            lower, upper = layer_of(module), layer_of(other)
            if lower and upper and LAYERS.index(upper) < LAYERS.index(lower):
                found.append(f"{module} -> {other}")
    return found


def circles() -> list[str]:
    """A circle of modules that import one another, if there is one; folders do not matter."""
    known = modules()
    graph = {module: imported(file, known) - {VERSION} for module, file in known.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def configuration_way(entries: tuple[str, ...]) -> list[str]:
    """Modules behind some entries that see a composed configuration, or the job made of it."""
    known = modules()
    reached, waiting = set(), list(entries)
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += imported(known[module], known)
    return sorted(module for module in reached if _names(known[module]) & _CONFIGURATIONS)


def _names(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.name for node in nodes if isinstance(node, ast.ClassDef)}


def main() -> None:
    """Print the layers with their sizes, whatever breaks them, and the configuration's way."""
    for layer in LAYERS:
        files = [f for m, f in modules().items() if layer_of(m) == layer]
        lines = sum(len(file.read_text().splitlines()) for file in files)
        print(f"{layer:<14} {len(files):>3} files {lines:>6,} lines")
    broken = [*climbs(), *circles()]
    print("\n".join(broken) if broken else "every import goes down, and there is no circle")
    way = configuration_way(TRAIN)
    print(f"the configuration's way from train.py, {len(way)} files: {', '.join(way)}")


if __name__ == "__main__":
    main()
