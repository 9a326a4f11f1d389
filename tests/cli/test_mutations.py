"""Random mutations of command lines: each is a job, or a mistake told without a traceback."""

import random
import string

import pytest

from tests.command_ends import JOBS, end_of

OVERRIDES = (
    "experiment=shop",
    "data=custom",
    "data.path=shop.csv",
    "data.n_transactions=2500",
    "data.split.fractions=[0.6,0.2,0.2]",
    "data.split.label_delay_days=7",
    "data.columns.amount=price",
    "features=behavioural",
    "features.windows_days=[1,7]",
    "model=masked",
    "model.latent_dim=8",
    "model.hidden_sizes=[64,32]",
    "trainer.learning_rate=0.001",
    "trainer.batch_size=256",
    "scorer=calibrated",
    "threshold.method=percentile",
    "threshold.percentile=95",
    "encoder.clip=null",
    "metrics.extra.mine=math.fsum",
    "objective=final_auc",
    "seed=1",
    "stage=single",
    "wandb.mode=disabled",
    "production.fit_on=all",
    "stages=[features]",
    "gate.force=true",
    "overrides.broad=[seed=2]",
    "--config-dir=own",
    "--outputs=results",
)
VALUES = (
    *("", "null", "nan", "inf", "-1", "0", "1e400", "99999999999999999999", "true", "é", "[]"),
    *("{}", "{a:1}", "[[1]]", "'", '"', "${x}", "${oc.env:NONE}", "1,2", "range(3)", "a b", "../x"),
    *("glob(*)", "???", "0x10", "1_000", "-0.0", "\\", "#", "a=b", "[1,", "choice(1)", "/dev/null"),
)


def mutated(chance: random.Random) -> list[str]:
    arguments = chance.sample(OVERRIDES, chance.randint(1, 3))
    place = chance.randrange(len(arguments))
    arguments[place] = mutated_argument(arguments[place], chance, OVERRIDES)
    return arguments


def mutated_argument(argument: str, chance: random.Random, others: tuple[str, ...]) -> str:
    """An argument with another value, a key or a letter too many or too few, or the like."""
    key, _, value = argument.partition("=")
    at = chance.randrange(len(argument))
    letter = chance.choice(string.printable.strip())
    return chance.choice(
        (
            f"{key}={chance.choice(VALUES)}",
            f"{key}={chance.choice(VALUES)}",
            f"{key}.{chance.choice(('foo', '_target_', '0', ''))}={value}",
            f"{chance.choice(('+', '++', '~', '-', '--'))}{argument}",
            f"+foo={value}",
            f"{key}@foo={value}",
            key,
            argument[:at] + argument[at + 1 :],
            argument[:at] + letter + argument[at:],
            chance.choice(others).partition("=")[0] + "=" + value,
        )
    )


@pytest.mark.promise("D19")
@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("seed", range(5))
def test_no_mutation_of_a_command_line_ends_in_a_traceback(name, seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chance, ends = random.Random(seed), {}
    while len(ends) < 50:
        ends[tuple(mutated(chance))] = 0
    for arguments in ends:
        ends[arguments] = end_of(name, list(arguments))
    assert {arguments: end for arguments, end in ends.items() if end not in (0, 2)} == {}
    assert list(ends.values()).count(2) > 10


def test_a_name_where_a_list_has_places_is_a_mistake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert end_of("train", ["model.hidden_sizes._target_=[64,32]"]) == 2


@pytest.mark.parametrize("argument", ["+foo=1", "model.latent_dim=99999999999"])
@pytest.mark.parametrize("name", JOBS)
def test_what_cannot_be_is_refused(name, argument, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert end_of(name, [argument]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


@pytest.mark.parametrize("argument", ["stage=[64,32]", "model=[1]", "features=[a,b]"])
def test_a_list_where_a_group_takes_a_name_is_a_mistake(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [end_of(name, [argument]) for name in JOBS] == [2, 2]


@pytest.mark.slow
def test_keys_that_nothing_reads_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for key in ("foo", "metrics.foo", "encoder.foo", "trainer.foo", "wandb.foo", "data.split.foo"):
        assert [end_of(name, [f"+{key}=1"]) for name in JOBS] == [2, 2], key
