"""Training one network, against the loops that people write and PyOD.

python -m benchmarks.training
python -m benchmarks.training --rows 200000 --columns 40 --repeats 5 --json training.json

The network is columns-64-16-64-columns with relu, on random numbers; Adam, batches of 128, one
epoch, on one thread. PyOD builds a network of its own, columns-64-32-64-columns with batch
normalisation and dropout, as it does by default; it is left out where it is not installed (extra
`bench`). `the same network` is PyOD told to build the one of the other sides.
"""

import importlib.util
import warnings
from functools import partial

import torch

from benchmarks.measuring import alternated, compared, parser, show, write
from benchmarks.plain import bare_loop, plain_lightning
from fraud_ae.models.batches import Rows
from fraud_ae.models.network import Autoencoder
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.training import Training, train_network

OURS = "fraud_ae"


def network(n_inputs: int) -> Autoencoder:
    """The network of all sides but PyOD's, which builds the same by itself."""
    return Autoencoder(n_inputs, [64], 16, activation="relu", norm="none")


SAME_NETWORK = {
    "hidden_neuron_list": [64, 16],
    "batch_norm": False,
    "dropout_rate": 0.0,
    "preprocessing": False,
}


def pyod(inputs: torch.Tensor, epochs: int, batch_size: int, **settings: object) -> None:
    """PyOD's AutoEncoder; `fit` scores the rows, too."""
    from pyod.models.auto_encoder import AutoEncoder

    detector = AutoEncoder(epoch_num=epochs, batch_size=batch_size, verbose=0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyOD's own
        detector.fit(inputs.numpy())


def sides(inputs: torch.Tensor, epochs: int, batch_size: int) -> dict:
    """Every side as a function without arguments."""
    settings = TrainerSettings(max_epochs=epochs, batch_size=batch_size, accelerator="cpu")
    how = {"epochs": epochs, "batch_size": batch_size}
    n_inputs = inputs.shape[1]
    found = {
        OURS: lambda: train_network(Training(network, settings, seed=0), Rows(inputs), None),
        "bare torch loop, fused Adam": lambda: bare_loop(network(n_inputs), inputs, **how),
        "Lightning, DataLoader, log each step": lambda: plain_lightning(
            network(n_inputs), inputs, None, **how
        ),
    }
    if importlib.util.find_spec("pyod"):
        found["PyOD AutoEncoder"] = partial(pyod, inputs, epochs, batch_size)
        found["PyOD, the same network"] = partial(pyod, inputs, epochs, batch_size, **SAME_NETWORK)
    return found


def main() -> None:
    """Measure, print the table, and write JSON."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--columns", type=int, default=40)
    options.add_argument("--batch-size", type=int, default=128)
    options.add_argument("--epochs", type=int, default=1)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs = torch.randn(chosen.rows, chosen.columns)
    compare = sides(inputs, chosen.epochs, chosen.batch_size)
    rows = dict.fromkeys(compare, chosen.rows * chosen.epochs)
    found = compared(alternated(compare, chosen.repeats), rows, OURS)
    show(
        f"Training, {chosen.rows:,} x {chosen.columns}, batch {chosen.batch_size}",
        found,
        f"{chosen.repeats} rounds, medians; one thread; `ours is faster` is the median ratio",
    )
    write(chosen.json, training=found)


if __name__ == "__main__":
    main()
