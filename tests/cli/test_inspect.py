"""`fraud-ae inspect`: a stranger's file, and the command that reads it."""

import re
import shlex

import numpy as np
import pandas as pd
import pytest
import yaml

from fraud_ae.data.simulation.synthetic import simulate
from tests.commands import ROOT, fraud_ae, run
from tests.data.public_sets import PUBLIC_SETS

ROOT_OPTIONS = ROOT / "conf" / "data"
TINY = ("trainer.max_epochs=1", "wandb.mode=disabled", "scorer=reconstruction")


def command_of(printed: str) -> list[str]:
    """The arguments of the command that is printed at the end."""
    command = printed[printed.index("python pipeline.py") :]
    return shlex.split(command.replace("\\\n", " "))[2:]


@pytest.mark.promise(13)
@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_a_public_file_is_understood(name, tmp_path):
    PUBLIC_SETS[name]().to_csv(tmp_path / "data.csv", index=False)
    printed = fraud_ae("inspect", "data.csv", cwd=tmp_path)
    assert "3,000 rows" in printed
    assert "problem" not in printed
    table = printed.split("note:")[0].splitlines()
    assert max(map(len, table)) <= 80
    # Nothing is cut off at the right edge.
    assert all(line[-1] in "┓┃┩│┘" for line in table if line[:1] in tuple("┏┃┡│└"))
    columns = {
        argument.partition("=")[0].removeprefix("data.columns."): argument.partition("=")[2]
        for argument in command_of(printed)
        if argument.startswith("data.columns.")
    }
    expected = yaml.safe_load((ROOT_OPTIONS / f"{name}.yaml").read_text())["columns"]
    for required in ("timestamp", "amount", "is_fraud"):
        wanted = expected[required]
        assert columns.get(required, f'"{required}"') == written(wanted), required


def written(value) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    return f'"{value}"'


def shop(rows: int = 3_000) -> pd.DataFrame:
    """European: comma, points, days first, euros, Latin-1, yes and no in words."""
    rng = np.random.default_rng(0)
    fraud = rng.random(rows) < 0.06
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 9e6, rows)), "s")
    euros = rng.lognormal(4, 1, rows) * np.where(fraud, 4, 1)
    return pd.DataFrame(
        {
            "Beleg": [f"B{n}" for n in range(rows)],
            "customer no": rng.integers(0, 90, rows),
            "created": times.strftime("%d.%m.%Y %H:%M"),
            "amount": [f"{e:,.2f} €".replace(",", " ").replace(".", ",") for e in euros],
            "Stadt": rng.choice(["Köln", "Zürich"], rows),
            "fraud": np.where(fraud, "yes", "no"),
            "": 0,
        }
    )


def test_a_customer_is_who_pays_not_where_or_how_old_and_may_be_there_once(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "Transaction ID": [f"t{n}" for n in range(500)],
            "Customer ID": [f"c{n}" for n in range(500)],
            "Customer Location": rng.choice(["Rome", "Oslo"], 500),
            "Customer Age": rng.integers(18, 90, 500),
            "Transaction Date": pd.date_range("2024-01-01", periods=500, freq="4h").astype(str),
            "Transaction Amount": rng.lognormal(3, 1, 500).round(2),
            "IP Address": [f"10.0.{n // 250}.{n % 250}" for n in range(500)],
            "Is Fraudulent": (rng.random(500) < 0.1).astype(int),
        }
    )
    frame.to_csv(tmp_path / "shop.csv", index=False)
    printed = fraud_ae("inspect", "shop.csv", cwd=tmp_path)
    arguments = command_of(printed)
    for role, column in (
        ("customer_id", "Customer ID"),
        ("customer_location", "Customer Location"),
        ("customer_age", "Customer Age"),
        ("ip_address", "IP Address"),
    ):
        assert f'data.columns.{role}="{column}"' in arguments
    assert "Rome" in printed.split("python pipeline.py")[0]


@pytest.mark.slow
def test_a_strangers_file_goes_to_a_pipeline_without_editing_anything(tmp_path):
    file = tmp_path / "Käufe 2024.csv"
    shop().to_csv(file, sep=";", encoding="cp1252", index=False)
    printed = fraud_ae("inspect", file.name, "--write", "my/data/shop.yaml", cwd=tmp_path)
    assert "separator ;" in printed
    option = yaml.safe_load((tmp_path / "my" / "data" / "shop.yaml").read_text())
    assert option["decimal"] == ","
    assert option["time_format"] == "%d.%m.%Y %H:%M"
    assert option["columns"]["customer_id"] == "customer no"
    assert option["extra_categories"] == ["Stadt"]
    run("train.py", *(a for a in command_of(printed)), *TINY, cwd=tmp_path)
    assert (tmp_path / "outputs" / "shop").is_dir()


@pytest.mark.slow
def test_the_printed_command_itself_can_be_typed(tmp_path):
    shop().to_csv(tmp_path / "shop.csv", sep=";", index=False)
    printed = fraud_ae("inspect", "shop.csv", cwd=tmp_path)
    trained = run("train.py", *command_of(printed), *TINY, cwd=tmp_path)
    assert re.search(r"final_auc=0\.\d+", trained)


def test_what_cannot_be_written_or_read_is_said(tmp_path):
    shop().to_csv(tmp_path / "shop.csv", index=False)
    assert "folder data" in fraud_ae(
        "inspect", "shop.csv", "--write", "x.yaml", cwd=tmp_path, code=2
    )
    assert "no such file" in fraud_ae("inspect", "none.csv", cwd=tmp_path, code=2)
    (tmp_path / "empty.csv").write_text("a,b\n")
    assert "no rows" in fraud_ae("inspect", "empty.csv", cwd=tmp_path, code=2)


@pytest.mark.slow
@pytest.mark.promise(15)
def test_hundreds_of_columns_are_said_in_a_few_rows(tmp_path):
    frame = simulate(600, days=30)[0][["transaction_id", "customer_id", "timestamp", "amount"]]
    numbers = np.random.default_rng(0).normal(size=(600, 500)).round(4)
    wide = pd.DataFrame(numbers, columns=[f"V{n}" for n in range(1, 501)])
    frame.join(wide).to_csv(tmp_path / "wide.csv", index=False)
    printed = fraud_ae("inspect", "wide.csv", cwd=tmp_path)
    assert len(printed.splitlines()) < 50
    assert "498 more" in printed
    assert """'data.extra_columns=["V1:V500"]'""" in printed
    command = shlex.split(printed[printed.index("python pipeline.py") :])[2:]
    small = ("trainer.max_epochs=1", "model.hidden_sizes=[16]", "wandb.mode=disabled")
    trained = run("train.py", *(a for a in command if a != "\n"), *small, cwd=tmp_path)
    assert "feature_count=5" in trained
