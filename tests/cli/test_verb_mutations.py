"""Random mutations of every verb of `fraud-ae`: done, or a mistake told in one line."""

import random
from pathlib import Path

import pandas as pd
import pytest

from fraud_ae.cli.app import app
from tests.cli.test_mutations import VALUES, mutated_argument
from tests.command_ends import end_of_verb

# A command of each verb, on a folder in which there is a file of transactions and no model.
VERBS = {
    "audit": ["combined", "payday", "data.columns.amount=price", "--outputs=out"],
    "compare": ["shop", "shop*", "--outputs=out", "--recursive=1"],
    "drift": ["shop.csv", "--history=shop.csv", "--days=7", "--out=drift.json", "--model=out"],
    "explain": ["shop.csv", "--id=1", "--top=5", "--most=10", "--out=e.json", "--history=shop.csv"],
    "export": ["--model=out", "--outputs=out"],
    "forget": ["--customer=c1", "--store=none.db", "--model=out", "--outputs=out"],
    "inspect": ["shop.csv", "--write=conf/data/shop.yaml"],
    "models": ["--experiment=shop", "--outputs=out"],
    "promote": ["0001", "--experiment=shop", "--outputs=out"],
    "report": ["--experiment=shop", "--outputs=out"],
    "retrain": ["data.path=shop.csv", "--labels=shop.csv", "promotion.policy=better"],
    "rollback": ["--experiment=shop", "--outputs=out"],
    "score": ["shop.csv", "--out=s.csv", "--history=shop.csv", "--model=out"],
    "serve": ["--port=8000", "--model=out", "--public-key=none.pub", "--history=shop.csv"],
    "sign": ["--key=none.pem", "--model=out"],
    "threshold": ["--method=budget", "--alerts-per-day=20", "--value=0.4", "--model=out"],
    "workspace": ["--entity=a/b", "--project=", "--outputs=out"],
}
# What follows them unchanged, so that none begins to work on simulated transactions.
FIXED = {"audit": ["data=custom", "data.path=none.csv"], "retrain": ["data=custom"]}
MUTATIONS = 20


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # Nobody answers there.
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    table = {"customer": ["a", "b"], "amount": [1, 2], "time": ["2024-01-01", "2024-01-02"]}
    pd.DataFrame(table).to_csv(tmp_path / "shop.csv", index=False)
    return tmp_path


def mutations(verb: str) -> list[list[str]]:
    """So many command lines of a verb, none twice: of its options each may be mutated or left."""
    chance, found = random.Random(verb), {}
    while len(found) < MUTATIONS:
        given = VERBS[verb]
        arguments = chance.sample(given, chance.randint(1, len(given)))
        place = chance.randrange(len(arguments))
        arguments[place] = mutated_argument(arguments[place], chance, tuple(given))
        if chance.random() < 0.2:
            arguments.insert(chance.randrange(len(arguments) + 1), chance.choice(VALUES))
        found[tuple(arguments)] = [verb, *arguments, *FIXED.get(verb, [])]
    return [*found.values()]


@pytest.mark.promise("D19")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("verb", VERBS)
def test_no_mutation_of_a_verb_ends_in_a_traceback(verb, folder, capsys):
    assert end_of_verb([verb, "--help"]) == 0
    capsys.readouterr()
    ends = {}
    for arguments in mutations(verb):
        end = end_of_verb(arguments)
        told = capsys.readouterr().err.splitlines()
        errors = [line for line in told if line.startswith("error: ")]
        if end not in (0, 2) or (end == 2) != (len(errors) == 1):
            ends[tuple(arguments)] = end, told
    assert ends == {}


def test_a_name_that_is_no_folder_below_the_outputs_is_refused(folder, capsys):
    for name in ("/dev/null", "../shop", "a/b"):
        assert end_of_verb(["rollback", f"--experiment={name}"]) == 2
        assert "must be a plain folder name" in capsys.readouterr().err


def test_every_verb_is_mutated(folder):
    assert end_of_verb(["--version"]) == 0
    assert {command.name for command in app.registered_commands} == {*VERBS}
