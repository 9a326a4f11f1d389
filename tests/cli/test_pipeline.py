"""`python pipeline.py`, as it is typed, from nothing to a model for production."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from fraud_ae.data.sources import synthetic
from fraud_ae.detector.files import MODEL_FILES
from tests.commands import ROOT, SHARED_DATA, board, fraud_ae, run, run_cold, start_warm
from tests.sweeps.studies.study_results import studies, trials
from tests.tracking.offline_runs import Tracked

pytestmark = pytest.mark.slow
SMALL = ("data.n_transactions=2000", "gate.force=true", "experiment=small", "scorer=reconstruction")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A pipeline that ran undisturbed: its folder, and what it printed."""
    cwd = tmp_path_factory.mktemp("whole")
    return cwd / "outputs" / "small", run("pipeline.py", *SMALL, cwd=cwd)


def trainings(folder) -> int:
    return len(list(folder.glob("runs/*/metrics.json")))


def test_leaves_everything_that_was_promised(whole):
    folder, _ = whole
    for name in ("best_features.yaml", "final_config.yaml", "decision.json", "model_info.yaml"):
        assert (folder / name).is_file()
    assert len(board(folder, "features")) == 5
    assert len(board(folder, "broad")) == 48
    assert len(board(folder, "refined")) == 10
    assert len(board(folder, "final")) == 3
    names = {path.name for path in (folder / "models" / "final_model").iterdir()}
    assert names > {*MODEL_FILES, "manifest.json", "model_info.yaml", "schema.json"}
    candidates = sorted(path.stem for path in (folder / "conf" / "candidate").glob("*.yaml"))
    expected = [f"broad_{n:02d}" for n in range(1, 11)]
    expected += ["features_01", "final_01", *(f"refined_{n:02d}" for n in range(1, 4))]
    assert candidates == sorted(expected)


def test_combinations_that_differ_in_the_threshold_alone_share_a_training(whole):
    broad = board(whole[0], "broad")
    assert broad["run_id"].nunique() == 24
    pairs = broad.groupby("run_id")["threshold.percentile"].apply(set)
    assert (pairs == {90.0, 95.0}).all()
    assert (broad.groupby("run_id")["final_auc"].nunique() == 1).all()


def test_candidates_are_the_best_different_trainings_with_the_better_threshold(whole):
    folder, _ = whole
    broad = board(folder, "broad")
    best = broad.sort_values(["final_auc", "f1"], ascending=False, kind="stable")
    best = best.drop_duplicates("run_id").head(10).reset_index(drop=True)
    for rank, row in best.iterrows():
        content = (folder / "conf" / "candidate" / f"broad_{rank + 1:02d}.yaml").read_text()
        overrides = yaml.safe_load(content)
        assert row["run_id"] in content
        assert overrides["model"]["latent_dim"] == row["model.latent_dim"]
        assert overrides["model"]["activation"] == row["model.activation"]
        assert overrides["trainer"]["batch_size"] == row["trainer.batch_size"]
        assert overrides["trainer"]["learning_rate"] == row["trainer.learning_rate"]
        assert overrides["threshold"]["percentile"] == row["threshold.percentile"]


def test_each_run_was_trained_with_the_configuration_that_its_row_says(whole):
    folder, _ = whole
    epochs = {"broad": 10, "refined": 15, "final": 50}
    for row in board(folder, "broad").to_dict("records"):
        kept = yaml.safe_load((folder / "runs" / row["run_id"] / "config.yaml").read_text())
        assert kept["model"]["latent_dim"] == row["model.latent_dim"]
        assert kept["model"]["activation"] == row["model.activation"]
        assert kept["trainer"]["batch_size"] == row["trainer.batch_size"]
        assert kept["trainer"]["learning_rate"] == row["trainer.learning_rate"]
    for stage, most in epochs.items():
        for run_id in board(folder, stage)["run_id"]:
            kept = yaml.safe_load((folder / "runs" / run_id / "config.yaml").read_text())
            assert kept["trainer"]["max_epochs"] == most


def test_one_wandb_run_for_each_training(whole):
    folder, _ = whole
    kept = list(folder.glob("runs/*/wandb/offline-run-*/run-*.wandb"))
    assert len(kept) == trainings(folder)


def test_wandb_runs_carry_the_tags_of_their_stage(whole):
    folder, _ = whole
    trained_in = {stage: board(folder, stage) for stage in ("features", "refined", "final")}
    ids = {stage: rows["run_id"].iloc[0] for stage, rows in trained_in.items()}
    broad = board(folder, "broad")
    ids["broad"] = broad.loc[
        ~broad["run_id"].isin(trained_in["features"]["run_id"]), "run_id"
    ].iloc[0]
    ids["production"] = yaml.safe_load((folder / "model_info.yaml").read_text())["run_id"]
    tags = {
        "features": ["feature_sweep"],
        "broad": ["param_sweep", "stage_broad"],
        "refined": ["param_sweep", "stage_refined"],
        "final": ["param_sweep", "stage_final"],
        "production": ["final_model"],
    }
    for stage, run_id in ids.items():
        (file,) = (folder / "runs" / run_id).glob("wandb/offline-run-*/run-*.wandb")
        tracked = Tracked(file)
        assert (tracked.run["run_group"], tracked.run["job_type"]) == ("small", stage)
        assert tracked.tags == tags[stage]
        models = {found["name"] for found in tracked.artifacts if found["type"] == "model"}
        assert models == ({"small-detector"} if stage == "production" else set())


def test_each_sweep_is_ranked_in_a_wandb_run_of_its_own(whole):
    folder, _ = whole
    for stage, label in (("features", "features"), ("broad", "run_id"), ("final", "candidate")):
        (file,) = (folder / "leaderboards" / stage).glob("wandb/offline-run-*/run-*.wandb")
        tracked = Tracked(file)
        assert (tracked.run["run_group"], tracked.run["job_type"]) == ("small", stage)
        (path,) = file.parent.rglob("comparison_table*.table.json")
        content = json.loads(path.read_text())
        expected = board(folder, stage)[[label, "final_auc"]].astype({label: "str"})
        assert content["columns"] == [label, "final_auc"]
        assert [row[0] for row in content["data"]] == expected[label].tolist()
        assert [row[1] for row in content["data"]] == pytest.approx(expected["final_auc"].tolist())


def test_a_second_pipeline_trains_nothing_and_says_so(whole, tmp_path):
    folder, first = whole
    # Nor does it wait for what it would train with.
    for name in ("torch", "pytorch_lightning", "wandb", "xgboost", "sklearn", "scipy"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} imported')\n")
    before = {p: p.stat().st_mtime_ns for p in folder.glob("runs/*/metrics.json")}
    boards = {s: board(folder, s) for s in ("features", "broad", "refined", "final")}
    again = run_cold("pipeline.py", *SMALL, cwd=folder.parents[1], PYTHONPATH=str(tmp_path))
    assert "nothing trained: all finished before" in again
    assert f"{trainings(folder)} runs trained now" in first
    assert {p: p.stat().st_mtime_ns for p in folder.glob("runs/*/metrics.json")} == before
    for stage, earlier in boards.items():
        pd.testing.assert_frame_equal(
            board(folder, stage).drop(columns="reused"), earlier.drop(columns="reused")
        )


def test_each_sweep_is_a_study_with_a_trial_for_each_row_of_its_leaderboard(whole):
    folder, _ = whole
    for stage, count in {"features": 5, "broad": 48, "refined": 10, "final": 3}.items():
        found = [(t.user_attrs["run_id"], t.value) for t in trials(folder, stage)]
        rows = board(folder, stage)
        assert len(found) == count
        assert sorted(found) == sorted(zip(rows["run_id"], rows["final_auc"], strict=True))


def test_the_summary_is_printed_again_and_nothing_else_happens(whole):
    folder, first = whole
    printed = run("pipeline.py", "summary=true", "experiment=small", cwd=folder.parents[1])
    assert "python train.py" not in printed
    for text in ("behavioural", "refined", "gate:", "production model of", "% asked"):
        assert text in printed
    assert printed.strip() in first
    assert all(len(line) <= 80 for line in printed.splitlines() if line.startswith(("│", "┃")))
    everything = fraud_ae("compare", cwd=folder.parents[1])
    assert "small" in everything
    nothing = run(
        "pipeline.py", "summary=true", "experiment=other", cwd=folder.parents[1], fails=True
    )
    assert "nothing has been run" in nothing


def test_it_ends_with_a_report_and_writes_it_again_from_what_is_kept(whole):
    folder, first = whole
    assert first.rstrip().endswith("report: outputs/small/report.html")
    report = folder / "report.html"
    before = report.read_text()
    report.unlink()

    def changed() -> dict:
        files = [p for p in folder.rglob("*") if p.is_file() and "hydra" not in p.parts]
        return {p: p.stat().st_mtime_ns for p in files if p != report}

    files = changed()
    printed = fraud_ae("report", "-e", "small", cwd=folder.parents[1])
    assert printed == "report: outputs/small/report.html\n"
    assert changed() == files
    # All but the time when it was written.
    assert report.read_text().split("<footer>")[0] == before.split("<footer>")[0]
    for text in (*SMALL, "The model for production", "behavioural", "leaky_relu"):
        assert text in before
    printed = fraud_ae("report", "-e", "sm*", cwd=folder.parents[1])
    assert printed == "report: outputs/small/report.html\n"
    nothing = fraud_ae("report", "-e", "other", cwd=folder.parents[1], code=2)
    assert "nothing has been run" in nothing


def test_a_report_that_cannot_be_written_leaves_the_result(whole):
    folder, _ = whole
    report = folder / "report.html"
    report.unlink()
    report.mkdir()
    printed = run("pipeline.py", *SMALL, cwd=folder.parents[1], fails=True)
    report.rmdir()
    assert "production model of" in printed
    assert printed.splitlines()[-1].startswith(
        "error: outputs/small/report.html: cannot be written"
    )
    assert "Traceback" not in printed


def test_the_detector_scores_raw_transactions_in_a_fresh_process(whole):
    folder, _ = whole
    info = yaml.safe_load((folder / "model_info.yaml").read_text())
    known = synthetic(n_transactions=2000).transactions
    known.to_parquet(folder / "raw.parquet")
    script = (
        "import pandas as pd, numpy as np\n"
        "from fraud_ae import FraudDetector\n"
        f"detector = FraudDetector.load({str(folder / 'models' / 'final_model')!r})\n"
        f"df = pd.read_parquet({str(folder / 'raw.parquet')!r})\n"
        "scores = detector.predict_anomaly_scores(df)\n"
        "assert (detector.predict(df) == (scores > detector.threshold)).all()\n"
        f"np.save({str(folder / 'scores.npy')!r}, scores)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
    scores = np.load(folder / "scores.npy")
    assert scores.shape == (2000,)
    kept = pd.read_parquet(folder / "runs" / info["run_id"] / "test_scores.parquet")
    mine = pd.Series(scores, index=known["transaction_id"])[kept["transaction_id"]]
    np.testing.assert_allclose(mine, kept["deployed_score"], rtol=1e-6)


def test_model_info_says_which_figures_belong_to_which_fit(whole):
    info = yaml.safe_load((whole[0] / "model_info.yaml").read_text())
    winner, deployed = info["figures"]["winner"], info["figures"]["deployed"]
    assert winner["fitted_on"] == "train"
    assert "final_auc" in winner["validation"]
    assert "test_auc" in winner["test"]
    assert deployed["fitted_on"] == "train+validation"
    assert "validation rows" in deployed["threshold_from"]
    assert info["configuration"]["stage"]["name"] == "production"
    assert info["feature_names"]
    assert info["versions"]["torch"]


def test_the_test_period_appears_in_no_figure_before_production(whole):
    folder, _ = whole
    for stage in ("features", "broad", "refined", "final"):
        assert not [c for c in board(folder, stage).columns if "test" in c]


def sweep_results(folder) -> int:
    return len(list(folder.glob("hydra/broad/*/*/result.json")))


def trials_of_the_broad_sweep(folder) -> list:
    """Those that somebody else sees in the file of studies while the sweep goes on."""
    found = [s for name, s in studies(folder).items() if name.startswith("broad ")]
    return found[0].get_trials() if found else []


def test_killed_in_the_broad_sweep_it_goes_on_where_it_was(whole, tmp_path):
    undisturbed, _ = whole
    folder = tmp_path / "outputs" / "small"
    process = start_warm("pipeline.py", *SMALL, cwd=tmp_path)
    deadline = time.monotonic() + 200
    while sweep_results(folder) < 7 or not trials_of_the_broad_sweep(folder):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    interrupted = trials_of_the_broad_sweep(folder)
    assert 0 < len(interrupted) < 48
    assert {trial.state for trial in interrupted} == {TrialState.COMPLETE}
    before = {p: p.stat().st_mtime_ns for p in folder.glob("runs/*/metrics.json")}
    assert 5 < len(before) < trainings(undisturbed)
    assert not (folder / "leaderboards" / "broad.csv").exists()

    printed = run("pipeline.py", *SMALL, cwd=tmp_path)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    (trained_now,) = re.findall(r"(\d+) runs trained now", printed)
    assert int(trained_now) == trainings(undisturbed) - len(before)
    assert trainings(folder) == trainings(undisturbed)
    assert len(list(folder.glob("runs/*"))) == trainings(folder)
    wandb_runs = list(folder.glob("runs/*/wandb/offline-run-*/run-*.wandb"))
    assert len(wandb_runs) == trainings(folder)
    for stage in ("features", "broad", "refined", "final"):
        pd.testing.assert_frame_equal(
            board(folder, stage).drop(columns=["reused", "train_seconds"]),
            board(undisturbed, stage).drop(columns=["reused", "train_seconds"]),
        )
    for name in MODEL_FILES:
        mine = folder / "models" / "final_model" / name
        theirs = undisturbed / "models" / "final_model" / name
        assert mine.read_bytes() == theirs.read_bytes()
    # The study has become complete, too.
    for stage in ("features", "broad", "refined", "final"):
        values = sorted(trial.value for trial in trials(folder, stage))
        assert values == pytest.approx(sorted(board(folder, stage)["final_auc"]))
    found = trials(folder)
    assert {trial.state for trial in found} == {TrialState.COMPLETE}
    assert sorted(trial.number for trial in found) == list(range(48))
    assert len({(*trial.params.values(),) for trial in found}) == 48
    differ = {key for trial in trials(folder, "refined") for key in trial.params}
    assert "model.latent_dim" in differ
    assert "candidate" not in differ
    (study,) = [s for name, s in studies(folder).items() if name.startswith("broad ")]
    importances = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    swept = {"model.latent_dim", "model.activation", "trainer.learning_rate", "trainer.batch_size"}
    assert swept <= set(importances)
    assert math.isclose(sum(importances.values()), 1, rel_tol=1e-6)


def test_the_default_data_are_neither_trivial_nor_hopeless(tmp_path):
    from benchmarks.synthetic import STRATEGIES, boosting_auc, raw_column_aucs
    from fraud_ae.data.split import split_by_time

    transactions = synthetic().transactions
    split = split_by_time(transactions["timestamp"])
    assert max(raw_column_aucs(transactions).values()) < 0.80
    auc = boosting_auc(
        STRATEGIES["combined"],
        transactions[split.before_test(transactions)],
        split.train(transactions)[split.before_test(transactions)],
        split.validation(transactions)[split.before_test(transactions)],
    )
    assert 0.90 < auc < 0.98


# Of the usual grid, which takes minutes on a table of usual size, four combinations.
FOUR = (
    'overrides.broad=["model.activation=relu","model.latent_dim=8,16",'
    '"trainer.learning_rate=0.001","trainer.batch_size=128"]',
)


def test_a_pipeline_of_usual_settings_tunes_and_keeps_the_alert_rate(tmp_path):
    run("pipeline.py", "data.n_transactions=10000", *FOUR, cwd=tmp_path)
    folder = tmp_path / "outputs" / "synthetic"
    decision = json.loads((folder / "decision.json").read_text())
    assert decision["tune"]
    assert not decision["forced"]
    assert [len(board(folder, s)) for s in ("broad", "refined", "final")] == [4, 2, 2]
    info = yaml.safe_load((folder / "model_info.yaml").read_text())
    deployed = info["figures"]["deployed"]
    asked = 1 - deployed["threshold_policy"]["percentile"] / 100
    assert deployed["test"]["alert_rate"] == pytest.approx(asked, rel=0.25)


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"real data not there: {SHARED_DATA}")
def test_real_transactions_go_to_the_end(tmp_path):
    path = SHARED_DATA / "ecommerce.csv.gz"
    data = ("data=ecommerce", f"data.path={path}")
    two = 'overrides.features=["features=baseline,combined"]'
    few = (two, "gate.force=true", *FOUR)
    run("pipeline.py", *data, *few, cwd=tmp_path)
    folder = tmp_path / "outputs" / "ecommerce"
    assert (folder / "models" / "final_model" / "weights.safetensors").is_file()
    assert [len(board(folder, s)) for s in ("broad", "refined", "final")] == [4, 2, 2]
