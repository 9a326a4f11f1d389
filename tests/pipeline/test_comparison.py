import json

import pandas as pd
import pytest
import yaml
from rich.console import Console

from fraud_ae.errors import UserError
from fraud_ae.pipeline.comparison import compare_experiments
from fraud_ae.pipeline.comparison_tables import print_comparison
from fraud_ae.runtime.kept_files import write_kept
from fraud_ae.sweeps.leaderboard import write_leaderboard
from tests.commands import fraud_ae, run
from tests.sweeps.test_leaderboard import result

SPLIT = {"fractions": [0.6, 0.2, 0.2], "label_delay_days": 7.0}


def recipe(fingerprint: str = "f1", latent_dim: int = 16) -> dict:
    """The identity of a run, or the part of a configuration that has the same keys."""
    return {
        "data": {"name": "shop", "fingerprint": fingerprint, "split": SPLIT},
        "features": {"_target_": "fraud_ae.features.Combined"},
        "model": {"_target_": "fraud_ae.models.network.Autoencoder", "latent_dim": latent_dim},
        "scorer": {"_target_": "fraud_ae.scorers.calibrated.CalibratedScorer"},
        "encoder": {"scaling": "standard"},
        "trainer": {"max_epochs": 50, "learning_rate": 0.001, "accelerator": "auto"},
        "seed": 42,
    }


def with_interval(name: str, value: float) -> dict:
    return {name: value, f"{name}_low": value - 0.01, f"{name}_high": value + 0.01}


def produce(folder, auc: float, to: str, fingerprint: str = "f1", latent_dim: int = 16) -> None:
    """An experiment with a model in production."""
    (folder / "runs").mkdir(parents=True)
    part = {"rows": 100, "frauds": 3}
    info = {
        "created": "2026-11-25T01:26:04+00:00",
        "run_id": "made",
        "figures": {
            "winner": {
                "run_id": "won",
                "validation": {
                    **with_interval("final_auc", auc),
                    **with_interval("average_precision", 0.5),
                },
                "test": {
                    **with_interval("test_auc", auc - 0.02),
                    **with_interval("average_precision", 0.4),
                },
            },
            "deployed": {"threshold": 0.25, "test": {"alert_rate": 0.06}},
        },
        "data": {
            "fingerprint": fingerprint,
            "rows": 330,
            "from": "2024-01-01T00:00:00+00:00",
            "to": to,
            "split": {"train": part, "validation": part, "test": part},
        },
        "configuration": recipe(fingerprint, latent_dim),
    }
    (folder / "model_info.yaml").write_text(yaml.safe_dump(info))


def sweep(folder, stage: str, run_id: str, auc: float, fingerprint: str = "f1") -> None:
    """A finished stage of an experiment."""
    (folder / "runs" / run_id).mkdir(parents=True)
    (folder / "runs" / run_id / "config.yaml").write_text(yaml.safe_dump(recipe(fingerprint)))
    found = result(run_id, auc, data=fingerprint)
    found["metrics"]["average_precision"] = 0.3
    write_leaderboard(folder, stage, [found, result("worse", auc - 0.1, data=fingerprint)])


def test_a_model_in_production_is_told_with_its_figures(tmp_path):
    produce(tmp_path / "shop", 0.9, "2024-06-28T00:00:00+00:00", latent_dim=8)
    (tmp_path / "shop" / "decision.json").write_text(json.dumps({"tune": True, "forced": False}))
    (row,) = compare_experiments(tmp_path).to_dict("records")
    assert row["fraud_ratio"] == pytest.approx(0.03)
    assert row["test_auc"] == pytest.approx(0.88)
    assert row["validation_auc_low"] == pytest.approx(0.89)
    expected = {
        "experiment": "shop",
        "data": "shop",
        "fingerprint": "f1",
        "rows": 330,
        "stage": "production",
        "winner": "won",
        "strategy": "Combined",
        "gate": "tune",
        "in_production": "2026-11-25T01:26:04+00:00",
        "run_id": "made",
        "threshold": 0.25,
        "alert_rate": 0.06,
    }
    assert {name: row[name] for name in expected} == expected
    parameters = row["parameters"].split(" ")
    assert "model.latent_dim=8" in parameters
    assert "scorer=CalibratedScorer" in parameters
    assert not [p for p in parameters if "accelerator" in p]


def test_without_a_model_the_last_stage_counts(tmp_path):
    folder = tmp_path / "shop"
    sweep(folder, "features", "first", 0.7)
    sweep(folder, "broad", "second", 0.8)
    (folder / "best_features.yaml").write_text(yaml.safe_dump(recipe()))
    (row,) = compare_experiments(tmp_path).to_dict("records")
    assert (row["stage"], row["winner"], row["data"]) == ("broad", "second", "shop")
    assert (row["validation_auc"], row["validation_average_precision"]) == (0.8, 0.3)
    missing = ("in_production", "run_id", "threshold", "test_auc", "gate", "from", "rows")
    assert all(pd.isna(row[name]) for name in missing)


def test_stages_of_earlier_data_do_not_count(tmp_path):
    folder = tmp_path / "shop"
    sweep(folder, "broad", "old", 0.8, "f1")
    sweep(folder, "features", "new", 0.7, "f2")
    described = {"name": "shop", "fingerprint": "f2", "rows": 500}
    described["before_test"] = {"rows": 400, "frauds": 20, "fraud_ratio": 0.05}
    described |= {"from": "2024-02-01", "to": "2024-07-01", "frauds": 25, "split": {}}
    (folder / "data.json").write_text(json.dumps(described))
    (row,) = compare_experiments(tmp_path).to_dict("records")
    assert (row["winner"], row["fingerprint"], row["rows"]) == ("new", "f2", 500)
    assert (row["from"], row["to"], row["fraud_ratio"]) == ("2024-02-01", "2024-07-01", 0.05)


def test_experiments_of_one_source_come_in_the_order_of_their_data(tmp_path):
    produce(tmp_path / "a_new", 0.92, "2024-08-01T00:00:00+00:00", "f3")
    produce(tmp_path / "b_old", 0.90, "2024-06-01T00:00:00+00:00", "f1")
    produce(tmp_path / "c_mid", 0.91, "2024-07-01T00:00:00+00:00", "f2")
    (tmp_path / "runs_only" / "runs").mkdir(parents=True)
    frame = compare_experiments(tmp_path)
    assert list(frame["experiment"]) == ["b_old", "c_mid", "a_new", "runs_only"]
    assert frame["validation_set"].nunique() == 3
    assert list(compare_experiments(tmp_path, ["*_mid"])["experiment"]) == ["c_mid"]


def printed(frame: pd.DataFrame, width: int) -> str:
    console = Console(highlight=False, width=width)
    with console.capture() as capture:
        print_comparison(frame, console)
    return capture.get()


def test_the_tables_fit_any_terminal_and_show_what_changed(tmp_path):
    produce(tmp_path / "old", 0.90, "2024-06-01T00:00:00+00:00", "f1")
    produce(tmp_path / ("new_" * 20), 0.92, "2024-08-01T00:00:00+00:00", "f2", latent_dim=8)
    for number in range(12):
        sweep(tmp_path / f"more_{number}", "features", "one", 0.7)
    text = printed(compare_experiments(tmp_path), 80)
    assert all(len(line) <= 80 for line in text.splitlines())
    for shown in ("+0.0200", "latent_dim=8", "no model", "6.00%", "0.2500", ".890-.910"):
        assert shown in text
    assert "learning_rate" not in text
    assert "Validation sets differ" in text


def test_what_differs_and_what_changed_is_told_beside_each(tmp_path):
    produce(tmp_path / "old", 0.90, "2024-06-01T00:00:00+00:00", "f1")
    produce(tmp_path / "new", 0.92, "2024-08-01T00:00:00+00:00", "f2", latent_dim=8)
    path = tmp_path / "new" / "model_info.yaml"
    path.write_text(path.read_text().replace("learning_rate: 0.001", "learning_rate: 0.0005"))
    (tmp_path / "none" / "runs").mkdir(parents=True)
    frame = compare_experiments(tmp_path).set_index("experiment")
    assert frame["differing"].to_dict() == {
        "old": "latent_dim=16 learning_rate=0.001",
        "new": "latent_dim=8 learning_rate=0.0005",
        "none": "",
    }
    assert frame.loc["new", "validation_auc_change"] == pytest.approx(0.02)
    assert frame[["validation_auc_change"]].isna().sum().item() == 2


def test_experiments_of_the_same_rows_are_comparable(tmp_path):
    produce(tmp_path / "one", 0.90, "2024-06-01T00:00:00+00:00")
    produce(tmp_path / "two", 0.92, "2024-06-01T00:00:00+00:00")
    assert "Validation sets differ" not in printed(compare_experiments(tmp_path), 80)


def test_an_experiment_of_another_version_is_named(tmp_path):
    (tmp_path / "shop" / "runs").mkdir(parents=True)
    (tmp_path / "shop" / "model_info.yaml").write_text("{created: today}")
    with pytest.raises(UserError, match="shop"):
        compare_experiments(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_file_is_named_and_the_others_are_compared(tmp_path, content, caplog):
    produce(tmp_path / "other", 0.90, "2024-06-01T00:00:00+00:00")
    (tmp_path / "shop" / "runs").mkdir(parents=True)
    (tmp_path / "shop" / "model_info.yaml").write_text(content)
    compared = compare_experiments(tmp_path).set_index("experiment")
    assert compared["validation_auc"]["other"] == 0.90
    assert pd.isna(compared["validation_auc"]["shop"])
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path / 'shop' / 'model_info.yaml'}: damaged (")


def test_the_summary_of_several_ends_with_the_comparison(tmp_path):
    produce(tmp_path / "outputs" / "old", 0.90, "2024-06-01T00:00:00+00:00", "f1")
    sweep(tmp_path / "outputs" / "new", "features", "one", 0.7)
    # No more than the comparison: a summary of each needs what only a real experiment has.
    (tmp_path / "outputs" / "old" / "model_info.yaml").rename(tmp_path / "model_info.yaml")
    text = fraud_ae("compare", cwd=tmp_path)
    assert text.index("In production") > text.index("new: ")
    assert "outputs/experiments.csv" in text
    kept = pd.read_csv(tmp_path / "outputs" / "experiments.csv")
    assert set(kept["experiment"]) == {"old", "new"}
    listed = fraud_ae("compare", "old", "new", cwd=tmp_path)
    assert "In production" in listed
    one = run("pipeline.py", "summary=true", "experiment=new", cwd=tmp_path)
    assert "In production" not in one


def test_the_summary_says_why_a_strategy_was_left_out(tmp_path):
    sweep(tmp_path / "outputs" / "shop", "features", "one", 0.7)
    path = tmp_path / "outputs" / "shop" / "leaderboards" / "features.csv"
    board = pd.read_csv(path)
    refused = {"features": "payday", "status": "refused", "reason": "Payday adds nothing"}
    write_kept(path, pd.concat([board, pd.DataFrame([refused])]).to_csv(index=False))
    printed = run("pipeline.py", "summary=true", "experiment=shop", cwd=tmp_path)
    assert "features: payday refused: Payday adds nothing" in printed
