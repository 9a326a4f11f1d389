"""The command `fraud-ae`: everything that is not an experiment.

Every module of `cli/commands` and its folders is a command: the function of its name, its `PANEL`
in the help, and its `EXAMPLES`.
"""

import functools
import importlib
import inspect
import logging
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from typer.exceptions import Abort, TyperException

from fraud_ae import __version__
from fraud_ae.cli import commands
from fraud_ae.cli.options import AllowModuleOption
from fraud_ae.errors import UserError, exit_on_user_error
from fraud_ae.runtime.named_objects import allow_modules
from fraud_ae.runtime.storage import storage_error

app = typer.Typer(
    name="fraud-ae",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
# In this order in the help.
_PANELS = ("Data", "Scoring", "Models", "Experiments")


def _register() -> None:
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(commands.__path__, f"{commands.__name__}.")
        if not module.ispkg
    ]
    for module in sorted(modules, key=lambda module: _PANELS.index(module.PANEL)):
        name = module.__name__.rpartition(".")[2]
        command = _allowing_modules(getattr(module, name))
        app.command(name, epilog=module.EXAMPLES, rich_help_panel=module.PANEL)(command)


def _allowing_modules(command: Callable) -> Callable:
    """The command, which takes `--allow-module` as well."""

    @functools.wraps(command)
    def allowing(*arguments: object, allow_module: list[str] | None, **named: object) -> object:
        allow_modules(allow_module or ())
        return command(*arguments, **named)

    signature = inspect.signature(command)
    option = inspect.Parameter(
        "allow_module",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=AllowModuleOption,
    )
    allowing.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])
    allowing.__annotations__ = {**command.__annotations__, "allow_module": AllowModuleOption}
    return allowing


def _show_version(asked: bool) -> None:
    if asked:
        print(f"fraud_ae {__version__}")
        raise typer.Exit


@app.callback()
def fraud_ae(
    version: bool = typer.Option(
        False, "--version", help="Show the version.", callback=_show_version, is_eager=True
    ),
) -> None:
    """Score with a model for production, explain, watch and replace it; look at experiments."""
    logging.basicConfig(format="%(levelname)s: %(message)s".lower(), level=logging.WARNING)


@exit_on_user_error
def main() -> None:
    """Run the command line; what a user can mend ends in one line, with exit code 2."""
    _register()
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        raise UserError(_one_line(error)) from error
    except Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        # Whatever is written without a name of its own lies in this folder.
        told = storage_error(error, Path.cwd())
        if told is None:
            raise
        raise told from error
    # `typer.Exit` gives its code; a command that ends gives nothing.
    sys.exit(code if isinstance(code, int) else 0)


def _one_line(error: TyperException) -> str:
    message = " ".join(error.format_message().split()) or "a command is needed; see --help"
    message = message[0].lower() + message[1:]
    if message.startswith("got unexpected extra argument"):
        message += "; a model is named with --model FOLDER"
    return message
