"""What the README and the pages under docs/ show runs as it stands there."""

import argparse
import ast
import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import typer
import yaml

from fraud_ae.cli import app as fraud_ae_app
from tests.commands import ROOT, fraud_ae, run_in

PAGES = {"README.md": ROOT / "README.md", **{f"docs/{p.name}": p for p in ROOT.glob("docs/*.md")}}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAMS = r"python (?:train|pipeline)\.py|python -m benchmarks\.\w+|fraud-ae (?!VERB)"


@dataclass(frozen=True)
class Block:
    """A block of code on a page: its language, empty for commands, and its text."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(PAGES[page].read_text())]


def lines(page: str) -> Iterator[str]:
    """The lines of commands in the blocks of a page, without what is said beside them."""
    for block in blocks(page):
        if not block.language:
            for line in block.text.replace("\\\n", " ").splitlines():
                command = re.split(r" {3,}", line.removeprefix("$ "))[0].strip()
                yield command.partition(" or ")[0]


def commands(page: str) -> list[str]:
    """The project's commands on a page, in its blocks and within its text."""
    text = FENCE.sub("", PAGES[page].read_text())
    inline = (code for code in re.findall(r"`([^`]+)`", text) if re.match(PROGRAMS, code))
    return [*(line for line in lines(page) if re.match(PROGRAMS, line)), *inline]


COMMANDS = [(page, command) for page in PAGES for command in dict.fromkeys(commands(page))]


def of(*programs: str) -> list:
    """The commands of some programs, as parameters of a test."""
    return [
        pytest.param(command, id=f"{page}: {command}")
        for page, command in COMMANDS
        if command.startswith(programs)
    ]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what a user has, with the files of their own that the pages name."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("train.py", "pipeline.py"):
        shutil.copy(ROOT / name, root)
    for name in ("conf", "fraud_ae"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "payday.py").write_text(strategy_block("python"))
    (root / "conf" / "features" / "payday.yaml").write_text(strategy_block("yaml"))
    (root / "mine" / "data").mkdir(parents=True)
    shutil.copy(root / "conf" / "data" / "custom.yaml", root / "mine" / "data" / "shop.yaml")
    return root


def strategy_block(language: str) -> str:
    """The first block of a language on the page about strategies."""
    page = blocks("docs/strategies.md")
    return next(block.text for block in page if block.language == language)


@pytest.mark.slow
def test_the_strategy_of_ones_own_runs_as_it_is_printed(checkout):
    assert len((strategy_block("python") + strategy_block("yaml")).splitlines()) <= 12
    small = ("data.n_transactions=2000", "trainer.max_epochs=1", "wandb.mode=disabled")
    small += ("scorer=reconstruction",)
    assert "python train.py features=payday" in lines("docs/strategies.md")
    run_in(checkout, "train.py", "features=payday", *small)
    run_in(checkout, "train.py", "stage=production", "candidate=null", "features=payday", *small)
    info = yaml.safe_load((checkout / "outputs" / "synthetic" / "model_info.yaml").read_text())
    assert "days_since_payday" in info["feature_names"]
    assert "amount" in info["feature_names"]
    swept = run_in(checkout, "train.py", "-m", "features=glob(*)", *small)
    assert "payday" in swept


@pytest.mark.slow
@pytest.mark.parametrize("command", of("python train.py", "python pipeline.py"))
def test_a_command_of_an_experiment_is_composed(checkout, command):
    """It is not run: a key, an option or a value that is none stops already there."""
    script, *arguments = shlex.split(command)[1:]
    if command in MISTAKES:
        assert run_in(checkout, script, *arguments, code=2) == MISTAKES[command]
        return
    composed = [of_sweep(a) for a in arguments if a not in ("-m", "--cfg", "job")]
    # Candidates are the files of a sweep that has been run.
    composed = [a for a in composed if a and not a.startswith("candidate=")]
    run_in(checkout, script, "--cfg", "job", *composed)


def of_sweep(argument: str) -> str:
    """One value of those that a sweep goes through; nothing where they are names of files."""
    key, equals, value = argument.partition("=")
    if value.startswith("glob("):
        return ""
    return key + equals + (value if value.startswith("[") else value.partition(",")[0])


# What a page shows as a mistake, and what is printed then.
MISTAKES = {
    command: f"{error}\n"
    for page in PAGES
    for command, error in re.findall(r"^\$ (.*)\n(error: .*)$", PAGES[page].read_text(), re.M)
}


@pytest.fixture(scope="module")
def verbs() -> dict:
    """The commands of the real application, by name."""
    fraud_ae_app._register()
    return typer.main.get_command(fraud_ae_app.app).commands


@pytest.mark.slow
@pytest.mark.parametrize("command", of("fraud-ae "))
def test_a_command_of_the_tool_is_parsed(checkout, verbs, command):
    """Options, their values and the number of arguments, by the parser of the command itself."""
    verb, *arguments = shlex.split(command)[1:]
    verbs[verb].make_context(verb, list(arguments))
    if verb in ("retrain", "audit"):
        settings = [a for a in arguments if "=" in a]
        # A retraining takes the kind of data from the model in production.
        data = ["data=custom"] if any(a.startswith("data.path=") for a in settings) else []
        run_in(checkout, "pipeline.py", "--cfg", "job", *data, *settings)


def test_every_verb_of_the_tool_stands_in_the_readme(verbs):
    shown = {command.split()[1] for command in commands("README.md") if "fraud-ae" in command}
    assert shown == set(verbs)


class Parsed(Exception):
    """The arguments are right, and nothing of the benchmark is to be run."""


@pytest.mark.parametrize("command", of("python -m benchmarks."))
def test_a_command_of_a_benchmark_is_parsed(command, monkeypatch):
    _, _, module, *arguments = shlex.split(command)
    main = importlib.import_module(module).main
    if not arguments:
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, *_):
        parse(parser, arguments)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    with pytest.raises(Parsed):
        main()


def test_what_other_programs_are_given_is_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = extras["optional-dependencies"]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    seen = set()
    for line in (line for page in PAGES for line in lines(page)):
        match = re.match(r"(make|\.venv/bin/pip install|wandb sweep) (.*)", line)
        if not match:
            continue
        program, rest = match.groups()
        seen.add(program)
        if program == "make":
            assert rest in targets, line
        elif program == "wandb sweep":
            assert (ROOT / rest).is_file(), line
        else:
            (extra,) = re.findall(r"-e '\.\[(\w+)\]'", line)
            assert extra in extras, line
    assert seen == {"make", ".venv/bin/pip install", "wandb sweep"}


def test_what_the_service_is_asked_for_is_a_route_of_it():
    code = (ROOT / "fraud_ae" / "serving" / "http" / "app.py").read_text()
    routes = {(method, path) for method, path in re.findall(r'@app\.(\w+)\("([^"]+)"', code)}
    asked = [line for page in PAGES for line in lines(page) if line.startswith("curl")]
    assert len(asked) > 3
    for line in asked:
        (path,) = re.findall(r"localhost:8000(/\S+)", line)
        method = "post" if " -d " in line or "-X POST" in line else "get"
        assert path == "/openapi.json" or (method, path) in routes, line


@pytest.mark.parametrize("page", PAGES)
def test_what_python_on_a_page_imports_is_there(page):
    for block in blocks(page):
        if block.language == "python":
            for node in ast.parse(block.text).body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    exec(ast.unparse(node), {})


@pytest.fixture(scope="module")
def in_production(model, tmp_path_factory):
    """The folder in which the page on production is read: a small model is in production."""
    root = tmp_path_factory.mktemp("production")
    models = root / "outputs" / "synthetic" / "models"
    shutil.copytree(model, models / "versions" / "0001")
    (models / "production").symlink_to("versions/0001")
    files = [b.text for b in blocks("docs/production.md") if "to_parquet" in b.text]
    run_python(files[0], root)
    return root


def run_python(code: str, folder) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/production.md", "docs/python-api.md"])
def test_python_of_a_page_runs_with_a_model_in_production(in_production, page):
    codes = [b.text for b in blocks(page) if b.language == "python" and "FraudDetector" in b.text]
    assert codes
    for code in codes:
        run_python(code, in_production)


RUN_WITH_A_MODEL = ("score", "explain", "threshold", "drift", "export")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    dict.fromkeys(
        line
        for page in ("docs/production.md", "docs/service.md", "docs/drift-and-retraining.md")
        for line in lines(page)
        if line.startswith(tuple(f"fraud-ae {verb}" for verb in RUN_WITH_A_MODEL))
    ),
)
def test_a_command_runs_with_a_model_in_production(in_production, command):
    verb, *arguments = shlex.split(command)[1:]
    if verb == "drift":
        # The small model was made of other weeks: these have drifted.
        fraud_ae(verb, *arguments, cwd=in_production, code=1)
        assert (in_production / "drift.html").is_file()
        return
    assert fraud_ae(verb, *arguments, cwd=in_production)


def test_the_readme_can_be_read_in_one_go():
    assert len(PAGES["README.md"].read_text().splitlines()) <= 200


def test_every_numbered_promise_says_which_tests_keep_it():
    page = (ROOT / "docs" / "promises-and-limits.md").read_text()
    promised = {
        number: set(re.findall(r"`([\w/]+\.py)`", where))
        for number, where in re.findall(r"^\| ([A-D]?\d+) \|.*\| (.*) \|$", page, re.MULTILINE)
    }
    kept = defaultdict(set)
    tests = ROOT / "tests"
    for path in tests.rglob("test_*.py"):
        marker = r"^@pytest\.mark\.promise\(\"?([A-D]?\d+)\"?\)"
        for number in re.findall(marker, path.read_text(), re.MULTILINE):
            kept[number].add(str(path.relative_to(tests)))
    numbers = [int(number.lstrip("ABCD")) for number in promised]
    assert numbers == [*range(1, 16), *range(1, 21)]
    assert kept == promised
