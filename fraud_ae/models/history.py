"""Rows of the history of a training, as loggers take them."""


def curve_point(row: dict, steps_per_epoch: int) -> tuple[dict[str, float], int]:
    """The figures of an epoch, and the optimiser step at which it ended.

    row: of the history of a training, see `TrainingState`.
    """
    figures = {name: row[name] for name in ("train_loss", "val_loss", "learning_rate")}
    known = {name: value for name, value in figures.items() if value is not None}
    return {"epoch": row["epoch"], **known}, row["epoch"] * steps_per_epoch
