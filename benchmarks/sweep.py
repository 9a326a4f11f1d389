"""The broad sweep, against its 48 combinations trained one after another.

python -m benchmarks.sweep
python -m benchmarks.sweep --rows 200000 --sample 6 --json sweep.json

Ours is the command `python train.py -m stage=broad features=combined`, from its start to its end:
start of Python, transactions, features, trainings, scorers, evaluation, records, W&B offline. The
other side is the training alone of each combination, on inputs that lie ready: Lightning's Trainer
with DataLoader(TensorDataset) and per-step logging. A sample of the combinations is trained, and
its time is scaled to all of them.
"""

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import yaml

from benchmarks.detectors import combined
from benchmarks.measuring import alternated, compared, parser, show, write
from benchmarks.plain import plain_lightning
from fraud_ae.data.sources import synthetic
from fraud_ae.data.split import split_by_time
from fraud_ae.features.encoded_data import encode
from fraud_ae.features.encoder import Encoder
from fraud_ae.models.network import Autoencoder

ROOT = Path(__file__).resolve().parents[1]
OURS = "python train.py -m stage=broad"


def grid() -> tuple[list[dict], int]:
    """The combinations of `conf/stage/broad.yaml`, and the epochs of each."""
    stage = yaml.safe_load((ROOT / "conf" / "stage" / "broad.yaml").read_text())
    params = stage["hydra"]["sweeper"]["params"]
    values = {key: text[len("choice(") : -1].split(", ") for key, text in params.items()}
    combinations = [
        dict(zip(values, map(yaml.safe_load, chosen), strict=True))
        for chosen in itertools.product(*values.values())
    ]
    return combinations, stage["trainer"]["max_epochs"]


def ours(n_rows: int) -> None:
    """The command, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "stage=broad", "features=combined", f"data.n_transactions={n_rows}"]
        command = [sys.executable, str(ROOT / "train.py"), *command]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def inputs(n_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoded normal rows of the training and the validation period."""
    dataset = synthetic(n_transactions=n_rows)
    times = dataset.transactions["timestamp"]
    split = split_by_time(times)
    visible = dataset.transactions.iloc[: split.before_test(dataset.transactions).sum()]
    fit_rows = split.train(visible)
    encoded = encode(combined(), Encoder(), visible, fit_rows, "normal")
    validation = split.validation(visible) & (encoded.labels == 0)
    rows = (np.flatnonzero(encoded.train_rows), np.flatnonzero(validation))
    return tuple(torch.from_numpy(encoded.inputs[numbers]) for numbers in rows)


def plain(combination: dict, train: torch.Tensor, validation: torch.Tensor, epochs: int) -> None:
    """One combination as it is usually trained."""
    model = {name: combination[f"model.{name}"] for name in ("latent_dim", "activation")}
    network = Autoencoder(train.shape[1], **model)
    plain_lightning(
        network,
        train,
        validation,
        epochs=epochs,
        batch_size=combination["trainer.batch_size"],
        learning_rate=combination["trainer.learning_rate"],
    )


def main() -> None:
    """Measure, print the table, and write JSON."""
    options = parser(__doc__, repeats=1)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--sample", type=int, default=6, help="combinations of the other side")
    chosen = options.parse_args()
    combinations, epochs = grid()
    train, validation = inputs(chosen.rows)
    # Evenly spread over the grid, and shifted so that both batch sizes are among them.
    numbers = [n * len(combinations) // chosen.sample + n % 4 for n in range(chosen.sample)]
    sampled = f"{chosen.sample} of {len(combinations)} plain fits"
    sides = {
        OURS: lambda: ours(chosen.rows),
        sampled: lambda: [plain(combinations[n], train, validation, epochs) for n in numbers],
    }
    seconds = alternated(sides, chosen.repeats)
    scale = len(combinations) / chosen.sample
    scaled = f"{len(combinations)} plain fits, scaled from {chosen.sample}"
    seconds[scaled] = [scale * s for s in seconds.pop(sampled)]
    rows = dict.fromkeys(seconds, len(combinations) * epochs * len(train))
    found = compared(seconds, rows, OURS)
    batches = sorted({combinations[n]["trainer.batch_size"] for n in numbers})
    show(
        f"{len(combinations)} combinations of {chosen.rows:,} transactions",
        found,
        f"rows of training; {chosen.repeats} round(s); batch sizes of the sample: {batches}",
    )
    write(chosen.json, sweep=found)


if __name__ == "__main__":
    main()
