"""Public data sets, in small generated files of their shapes, through the commands."""

import pandas as pd
import pytest

from tests.commands import board, fraud_ae, run
from tests.data.public_sets import PUBLIC_SETS, ROWS

TINY = (
    "gate.force=true",
    "wandb.mode=disabled",
    "trainer.max_epochs=2",
    'overrides.broad=["model.latent_dim=4","model.activation=relu","trainer.learning_rate=0.001",'
    '"trainer.batch_size=128","threshold.percentile=95"]',
)


@pytest.mark.promise(12)
@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_a_public_set_goes_through_the_whole_pipeline(name, tmp_path):
    raw = PUBLIC_SETS[name]()
    raw.to_csv(tmp_path / "data.csv", index=False)
    run("pipeline.py", f"data={name}", "data.path=data.csv", *TINY, cwd=tmp_path)
    assert board(tmp_path / "outputs" / name, "final")["final_auc"].iloc[0] > 0.6
    printed = fraud_ae("score", "data.csv", "-o", "scores.csv", cwd=tmp_path)
    assert f"scores.csv: {ROWS:,} scores" in printed
    raw.to_parquet(tmp_path / "data.parquet", index=False)
    fraud_ae("score", "data.parquet", "-o", "of_parquet.csv", cwd=tmp_path)
    scores, of_parquet = (pd.read_csv(tmp_path / f) for f in ("scores.csv", "of_parquet.csv"))
    pd.testing.assert_frame_equal(scores, of_parquet)
