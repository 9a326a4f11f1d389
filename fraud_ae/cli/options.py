"""Options that several commands share: which model, whose results, and where they lie."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fraud_ae.configuration.command_line import OUTPUTS, folder_name
from fraud_ae.errors import UserError

OutputsOption = Annotated[
    Path, typer.Option("--outputs", help="Where the experiments lie.", metavar="DIR")
]

ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        help="Folder of a model; by default the only one in production below --outputs.",
        metavar="FOLDER",
        envvar="FRAUD_AE_MODEL",
        show_default=False,
    ),
]

ExperimentOption = Annotated[
    str | None,
    typer.Option(
        "--experiment",
        "-e",
        help="Whose; by default the only one that has a model in production.",
        metavar="NAME",
        show_default=False,
    ),
]

HistoryOption = Annotated[
    Path | None,
    typer.Option(
        help="Older transactions that the new ones look back to, with the labels known by now.",
        metavar="FILE",
        show_default=False,
    ),
]

SettingsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Settings of the pipeline, such as data.path=FILE.",
        metavar="[KEY=VALUE]...",
        show_default=False,
    ),
]

ConfigDirOption = Annotated[
    Path | None,
    typer.Option(
        "--config-dir", help="Folder with options of your own.", metavar="DIR", show_default=False
    ),
]

AllowModuleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-module",
        help="Module of your own that a model may name classes of; may be given repeatedly.",
        metavar="MODULE",
        show_default=False,
    ),
]

DEFAULT_OUTPUTS = Path(OUTPUTS)


def model_folder(asked: Path | None, outputs: Path) -> Path:
    """The model that was asked for, or the only one in production below a folder.

    Raises UserError where there is none, or more than one.
    """
    if asked is not None:
        return asked
    models = sorted(outputs.glob("*/models/production"))
    if not models:
        raise UserError(
            f"no model in {outputs}/*/models/production; name one with --model FOLDER, or make "
            "one: python pipeline.py"
        )
    if len(models) > 1:
        names = ", ".join(map(str, models))
        raise UserError(f"more than one model is there; choose with --model: {names}")
    return models[0]


def experiment_in_production(asked: str | None, outputs: Path) -> str:
    """The experiment that was asked for, or the only one that has a model in production.

    Raises UserError where there is none, or more than one, or its name is no folder's.
    """
    if asked is not None:
        models = outputs / folder_name(asked) / "models"
        if not models.is_dir():
            raise UserError(f"{models}: there is no such folder; make a model: python pipeline.py")
        return asked
    names = sorted(path.parents[1].name for path in outputs.glob("*/models/production"))
    if len(names) == 1:
        return names[0]
    if not names:
        raise UserError(f"no model in {outputs}/*/models/production; make one: python pipeline.py")
    raise UserError(f"several have one; choose with --experiment: {', '.join(names)}")


def pipeline_arguments(
    settings: Sequence[str] | None, outputs: Path, config_dir: Path | None
) -> list[str]:
    """Settings and options as arguments of a pipeline."""
    given = list(settings or ())
    if outputs != DEFAULT_OUTPUTS:
        given.append(f"--outputs={outputs}")
    if config_dir is not None:
        given.append(f"--config-dir={config_dir.resolve()}")
    return given
