"""Which model a command is about."""

from pathlib import Path
from typing import Annotated

import typer

from fraud_ae.errors import UserError

OUTPUTS = Path("outputs")

ModelArgument = Annotated[
    Path,
    typer.Argument(
        help="Folder of a model, such as outputs/synthetic/models/production.",
        metavar="MODEL",
        show_default=False,
    ),
]

ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        help="Folder of a model; by default the only one in production below outputs/.",
        metavar="MODEL",
        envvar="FRAUD_AE_MODEL",
        show_default=False,
    ),
]


def model_folder(asked: Path | None) -> Path:
    """The model that was asked for, or the only one in production below `outputs/`.

    Raises UserError where there is none, or more than one.
    """
    if asked is not None:
        return asked
    found = sorted(OUTPUTS.glob("*/models/production"))
    if not found:
        raise UserError(
            f"no model in {OUTPUTS}/*/models/production; name one with --model FOLDER, or make "
            "one: python pipeline.py"
        )
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise UserError(f"more than one model is there; choose with --model: {names}")
    return found[0]
