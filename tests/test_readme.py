"""What the README shows runs as it stands there."""

import re
import shlex
import shutil

import pytest
import yaml

from tests.commands import ROOT, run_in

README = (ROOT / "README.md").read_text()


def block(after: str, language: str) -> str:
    """The first block of a language behind a text."""
    rest = README[README.index(after) :]
    return re.search(rf"```{language}\n(.*?)```", rest, re.DOTALL).group(1)


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
    assert "python train.py features=payday\n" in README
    run_in(checkout, "train.py", "features=payday", *small)
    run_in(checkout, "train.py", "stage=production", "candidate=null", "features=payday", *small)
    info = yaml.safe_load((checkout / "outputs" / "synthetic" / "model_info.yaml").read_text())
    assert "days_since_payday" in info["feature_names"]
    assert "amount" in info["feature_names"]
    swept = run_in(checkout, "train.py", "-m", "features=glob(*)", *small)
    assert "payday" in swept


def test_every_command_of_the_readme_is_understood(checkout):
    """Each is composed, not run: a key or an option that does not exist stops there."""
    commands = [
        line.split("   ")[0].strip()
        for part in re.findall(r"```\n(.*?)```", README.replace("\\\n", " "), re.DOTALL)
        for line in part.splitlines()
        if line.startswith(("python train.py", "python pipeline.py"))
    ]
    assert len(commands) > 15
    (checkout / "conf" / "features" / "payday.yaml").write_text("_target_: payday.Payday\n")
    for command in commands:
        script, *arguments = shlex.split(command)[1:]
        kept = [a for a in arguments if a not in ("-m", "--cfg", "job")]
        kept = [a for a in kept if not a.startswith("candidate=") and not is_sweep(a)]
        run_in(checkout, script, "--cfg", "job", *kept)


def is_sweep(argument: str) -> bool:
    value = argument.partition("=")[2]
    return "glob(" in value or ("," in value and not value.startswith("["))
