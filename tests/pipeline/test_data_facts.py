import pytest

from fraud_ae.errors import UserError
from fraud_ae.pipeline.data_facts import read_data_facts, write_data_facts


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs" / "small"


def test_facts_are_those_of_the_transactions_before_the_test_period(compose, folder):
    config = compose()
    assert read_data_facts(folder) is None
    write_data_facts(config, ["experiment=small"])
    facts = read_data_facts(folder)
    dataset = config.dataset
    transactions, split = dataset.transactions, config.split
    before = transactions[split.before_test(transactions)]
    assert facts["fingerprint"] == dataset.fingerprint
    assert facts["rows"] == len(transactions) == 2500
    assert facts["before_test"] == {
        "rows": len(before),
        "frauds": before["is_fraud"].sum(),
        "fraud_ratio": before["is_fraud"].mean(),
    }
    described = split.describe(transactions)
    assert facts["split"] == {part: described[part] for part in ("train", "validation")}


def test_each_command_is_kept_once_and_other_data_begin_anew(compose, folder):
    for overrides in (["a=1"], ["stages=[broad]"], ["a=1"]):
        write_data_facts(compose(), overrides)
    assert read_data_facts(folder)["commands"] == [["a=1"], ["stages=[broad]"]]
    write_data_facts(compose("data.seed=8"), ["data.seed=8"])
    assert read_data_facts(folder)["commands"] == [["data.seed=8"]]


@pytest.mark.promise("B12")
def test_what_differs_from_the_last_pipeline_of_the_experiment_is_told(compose, folder, capsys):
    for _ in range(2):
        write_data_facts(compose(), ["a=1", "b=2"])
        assert capsys.readouterr().out == ""
    write_data_facts(compose(), ["a=1", "b=3"])
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("this experiment was run before, and not the same")
    assert told[1:] == ["  now, not before: b=3", "  before, not now: b=2"]
    write_data_facts(compose("data.seed=8", "data.n_transactions=2600"), ["a=1", "b=3"])
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert told[1].startswith("  transactions: synthetic, 2,600 from ")
    assert "; before: synthetic, 2,500 from " in told[1]


def test_a_folder_that_cannot_be_written_is_said(compose, folder):
    folder.parent.mkdir()
    folder.write_text("no folder")
    with pytest.raises(UserError, match=r"data\.json: cannot be written"):
        write_data_facts(compose(), [])
