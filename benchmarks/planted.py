"""Whether planted anomalies choose what labels would: `python -m benchmarks.planted`.

python -m benchmarks.planted data=handbook data.path=handbook.parquet --epochs 10
python -m benchmarks.planted data=ecommerce data.path=ecommerce.csv.gz --json planted.json

The sweeps over strategies and over the settings of conf/stage/broad.yaml run without labels
(`data.columns.is_fraud=null`), so that planted_auc decides. Afterwards the labels of the validation
rows are looked up, and each run has the ROC AUC that they give it. `agreement` is Spearman's rank
correlation of the two over the runs of a sweep. `chosen` is the ROC AUC of the run that planted
anomalies chose, `best` the highest that labels would have chosen, `median` what a run taken blindly
has, and `lowest` the worst.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from benchmarks.measuring import parser, show, write
from fraud_ae.data.sources import synthetic
from fraud_ae.experiments.run_store import SCORES
from fraud_ae.sweeps.leaderboard import read_leaderboard

ROOT = Path(__file__).resolve().parents[1]
_STAGES = ("features", "broad")


def swept(outputs: Path, settings: list[str]) -> Path:
    """The folder of an experiment in which both sweeps have run without labels."""
    command = [
        *("experiment=planted", "data.columns.is_fraud=null", "wandb.mode=disabled"),
        *(f"stages=[{','.join(_STAGES)}]", "gate.force=true", f"outputs_dir={outputs}"),
    ]
    subprocess.run([sys.executable, str(ROOT / "pipeline.py"), *settings, *command], check=True)
    return outputs / "planted"


def labels_of(outputs: Path, settings: list[str]) -> pd.Series:
    """The labels of the validation rows, by their id: those of one short training with labels."""
    command = ["experiment=labelled", "features=baseline", "trainer.max_epochs=1"]
    command += ["wandb.mode=disabled", f"outputs_dir={outputs}"]
    subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *settings, *command],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (scores,) = (outputs / "labelled" / "runs").glob(f"*/{SCORES}")
    return pd.read_parquet(scores).set_index("transaction_id")["is_fraud"]


def agreement(folder: Path, stage: str, labels: pd.Series) -> dict:
    """How a sweep's planted_auc goes with the ROC AUC by labels, over its distinct runs."""
    board = read_leaderboard(folder, stage)
    board = board[board["status"] == "finished"].drop_duplicates("run_id")
    aucs = []
    for run_id in board["run_id"]:
        scored = pd.read_parquet(folder / "runs" / run_id / SCORES).set_index("transaction_id")
        known = labels.reindex(scored.index)
        aucs.append(roc_auc_score(known[known.notna()], scored["score"][known.notna()]))
    by_label = pd.Series(aucs)
    return {
        "sweep": stage,
        "runs": len(board),
        "agreement": float(spearmanr(board["planted_auc"], by_label).statistic),
        "chosen": float(by_label.iloc[0]),
        "best": float(by_label.max()),
        "median": float(by_label.median()),
        "lowest": float(by_label.min()),
    }


def main() -> None:
    """Sweep without labels, look the labels up, print a table and write JSON."""
    options = parser(__doc__)
    options.add_argument("settings", nargs="*", help="of pipeline.py; without any, generated data")
    options.add_argument("--rows", type=int, default=40_000, help="generated transactions")
    options.add_argument("--epochs", type=int, default=10, help="of each training")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        outputs, settings = Path(name), chosen.settings
        if not settings:
            file = outputs / "generated.parquet"
            synthetic(n_transactions=chosen.rows).transactions.to_parquet(file)
            settings = ["data=custom", f"data.path={file}"]
        settings = [*settings, f"trainer.max_epochs={chosen.epochs}"]
        labels = labels_of(outputs, settings)
        folder = swept(outputs, settings)
        rows = [agreement(folder, stage, labels) for stage in _STAGES]
    show("planted anomalies and labels", rows, "ROC AUC by the labels of the validation rows")
    write(chosen.json, planted=rows)


if __name__ == "__main__":
    main()
