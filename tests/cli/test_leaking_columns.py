"""A column that gives the label away: told by a training, and kept out of production."""

import numpy as np
import pytest
import yaml

from fraud_ae.audit.stored import read_audits
from fraud_ae.data.sources import synthetic
from fraud_ae.detector.versions import Versions
from tests.commands import fraud_ae, run

TINY = ("trainer.max_epochs=1", "wandb.mode=disabled", "scorer=reconstruction")
# A feature sweep of one strategy, and production.
SHORT = ("features=baseline", "stages=[features,production]", "gate.force=true", *TINY)
DATA = ("data=custom", "data.path=shop.csv", "data.extra_columns=[leak]", "experiment=shop")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a table whose column `leak` is written once it is known what was fraud."""
    folder = tmp_path_factory.mktemp("shop")
    known = synthetic(n_transactions=2000).transactions
    noise = np.random.default_rng(0).normal(0, 0.1, len(known))
    known.assign(leak=known["is_fraud"] + noise).to_csv(folder / "shop.csv", index=False)
    return folder


def leaks(folder) -> list[dict]:
    return [found for found in read_audits(folder)["baseline"]["findings"] if not found["passed"]]


@pytest.mark.slow
def test_a_training_warns_of_it_unless_it_is_allowed(shop):
    printed = " ".join(run("train.py", *DATA, *TINY, "features=baseline", cwd=shop).split())
    assert "leak (ROC AUC 1.0000) tells fraud from the rest alone" in printed
    assert "'allow_features=[leak]'" in printed
    # It is told of every training, though the transactions are encoded once.
    again = (*DATA, *TINY, "features=baseline", "seed=1")
    assert "tells fraud from the rest alone" in run("train.py", *again, cwd=shop)
    allowed = run("train.py", *again, "seed=2", "allow_features=[leak]", cwd=shop)
    assert "tells fraud from the rest alone" not in allowed


@pytest.mark.promise("B9")
@pytest.mark.slow
def test_nothing_is_published_before_the_audit_and_nothing_that_fails_it(shop):
    folder = shop / "outputs" / "pipeline"
    pipeline = (*DATA[:-1], "experiment=pipeline", *SHORT)
    for _ in range(2):
        printed = run("pipeline.py", *pipeline, cwd=shop, code=3)
        assert "error: LEAK AUDIT of baseline: 1 of 6 checks failed" in printed
        assert "  single feature: leak\n" in printed
        assert "Traceback" not in printed
        assert [found["features"] for found in leaks(folder)] == [["leak"]]
        assert not (folder / "models").exists()
        assert not (folder / "model_info.yaml").exists()

    # Nor by the stage alone, in an experiment that nobody has audited.
    (folder / "audit.json").unlink()
    alone = (*DATA[:-1], "experiment=pipeline", *TINY, "stage=production")
    assert "LEAK AUDIT of baseline" in run("train.py", *alone, cwd=shop, code=3)
    assert not (folder / "models").exists()

    run("pipeline.py", *pipeline, "allow_features=[leak]", cwd=shop)
    assert not leaks(folder)
    assert Versions(folder / "models").in_production == "0001"
    # What was allowed once is not allowed for good.
    published = yaml.safe_load((folder / "model_info.yaml").read_text())["created"]
    run("pipeline.py", *pipeline, cwd=shop, code=3)
    assert yaml.safe_load((folder / "model_info.yaml").read_text())["created"] == published


@pytest.mark.slow
def test_a_challenger_that_leaks_is_not_promoted(shop):
    folder = shop / "outputs" / "champion"
    clean, leaking = (*DATA[:2], *SHORT), (*DATA[:3], *SHORT)
    run("pipeline.py", *clean, "experiment=champion", cwd=shop)
    printed = fraud_ae("retrain", *leaking, "--experiment=champion", cwd=shop, code=3)
    assert "LEAK AUDIT of baseline" in printed
    assert Versions(folder / "models").in_production == "0001"
    assert Versions(folder / "models").numbers == ["0001"]
