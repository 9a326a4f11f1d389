"""What the README and the pages under docs/ show runs as it stands there."""

import re
import shlex
import shutil
from collections.abc import Iterator

import pytest
import yaml

from tests.commands import ROOT, fraud_ae, run_in

PAGES = {"README.md": ROOT / "README.md", **{f"docs/{p.name}": p for p in ROOT.glob("docs/*.md")}}
STRATEGIES = PAGES["docs/strategies.md"].read_text()


def block(after: str, language: str) -> str:
    """The first block of a language behind a text of the page on strategies."""
    rest = STRATEGIES[STRATEGIES.index(after) :]
    return re.search(rf"```{language}\n(.*?)```", rest, re.DOTALL).group(1)


def commands_of(page: str) -> Iterator[str]:
    """The commands in the blocks of a page, each in one line, without what is said beside it."""
    text = PAGES[page].read_text().replace("\\\n", " ")
    for part in re.findall(r"```\n(.*?)```", text, re.DOTALL):
        for line in part.splitlines():
            command = re.split(r" {3,}", line.removeprefix("$ "))[0].strip()
            command = command.partition(" or ")[0]
            if command.startswith(("python train.py", "python pipeline.py", "fraud-ae ")):
                yield command


@pytest.fixture
def checkout(tmp_path):
    """A copy of what a user has, to put files of one's own into."""
    for name in ("train.py", "pipeline.py"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("conf", "fraud_ae"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.slow
def test_the_strategy_of_ones_own_runs_as_it_is_printed(checkout):
    code, settings = block("`payday.py`", "python"), block("`conf/features/payday.yaml`", "yaml")
    assert len((code + settings).splitlines()) <= 12
    (checkout / "payday.py").write_text(code)
    (checkout / "conf" / "features" / "payday.yaml").write_text(settings)
    small = ("data.n_transactions=2000", "trainer.max_epochs=1", "wandb.mode=disabled")
    small += ("scorer=reconstruction",)
    assert "python train.py features=payday\n" in STRATEGIES
    run_in(checkout, "train.py", "features=payday", *small)
    run_in(checkout, "train.py", "stage=production", "candidate=null", "features=payday", *small)
    info = yaml.safe_load((checkout / "outputs" / "synthetic" / "model_info.yaml").read_text())
    assert "days_since_payday" in info["feature_names"]
    assert "amount" in info["feature_names"]
    swept = run_in(checkout, "train.py", "-m", "features=glob(*)", *small)
    assert "payday" in swept


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_understood(checkout, page):
    """Each is composed or asked for its help, not run: a key or option that is none stops there."""
    (checkout / "conf" / "features" / "payday.yaml").write_text("_target_: payday.Payday\n")
    (checkout / "mine" / "data").mkdir(parents=True)
    (checkout / "mine" / "data" / "shop.yaml").write_text(
        (checkout / "conf" / "data" / "custom.yaml").read_text()
    )
    for command in commands_of(page):
        program, *arguments = shlex.split(command)
        if program == "fraud-ae":
            verb, *options = arguments
            if verb != "--help":
                # An option that is not known is refused before the help is shown.
                shown = fraud_ae(verb, *options, "--help", cwd=checkout)
                unknown = {o.split("=")[0] for o in options if o.startswith("-")} - known_in(shown)
                assert not unknown, command
            continue
        script, *given = arguments
        kept = [a for a in given if a not in ("-m", "--cfg", "job", "trainer.max_epoch=3")]
        kept = [a for a in kept if not a.startswith("candidate=") and not is_sweep(a)]
        run_in(checkout, script, "--cfg", "job", *kept)


def test_the_pages_show_enough_commands_to_be_worth_a_test():
    assert sum(len(list(commands_of(page))) for page in PAGES) > 60


def test_the_readme_can_be_read_in_one_go():
    assert len(PAGES["README.md"].read_text().splitlines()) <= 200


def known_in(shown: str) -> set[str]:
    """The options that a help page names."""
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", shown))


def is_sweep(argument: str) -> bool:
    value = argument.partition("=")[2]
    return "glob(" in value or ("," in value and not value.startswith("["))
