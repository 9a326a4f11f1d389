"""Random mutations of command lines: each is a job, or a mistake told without a traceback."""

import random
import string

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from fraud_ae.cli.hydra_command import run_hydra
from fraud_ae.configuration.command_line import complete, normalized, only_shows
from fraud_ae.configuration.job import Job
from fraud_ae.configuration.pipeline_job import PipelineJob
from fraud_ae.errors import UserError

JOBS = {"train": Job, "pipeline": PipelineJob}
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
    arguments[place] = _mutation(arguments[place], chance)
    return arguments


def _mutation(argument: str, chance: random.Random) -> str:
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
            chance.choice(OVERRIDES).partition("=")[0] + "=" + value,
        )
    )


def composed(name: str, arguments: list[str]) -> None:
    """Everything that a command does before it reads data."""
    taken = complete(normalized(arguments, {}))
    if not only_shows(taken):
        choices = HydraConfig.get
        run_hydra(lambda cfg: JOBS[name].of(cfg, choices().runtime.choices), name, taken)


def end_of(name: str, arguments: list[str]) -> object:
    """The exit code that a command line leads to, or what else is raised."""
    try:
        composed(name, arguments)
    except UserError as error:
        return error.exit_code
    except SystemExit as ended:
        return ended.code
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        GlobalHydra.instance().clear()
    return 0


@pytest.mark.promise("D19")
@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("seed", range(5))
def test_no_mutation_of_a_command_line_ends_in_a_traceback(name, seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chance = random.Random(seed)
    ends = {tuple(arguments): 0 for arguments in (mutated(chance) for _ in range(50))}
    for arguments in ends:
        ends[arguments] = end_of(name, list(arguments))
    assert {arguments: end for arguments, end in ends.items() if end not in (0, 2)} == {}
    assert list(ends.values()).count(2) > 10


def test_a_name_where_a_list_has_places_is_a_mistake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert end_of("train", ["model.hidden_sizes._target_=[64,32]"]) == 2


def test_keys_that_nothing_reads_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for key in ("foo", "metrics.foo", "encoder.foo", "trainer.foo", "wandb.foo", "data.split.foo"):
        assert [end_of(name, [f"+{key}=1"]) for name in JOBS] == [2, 2], key
