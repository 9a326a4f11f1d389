"""The command `fraud-ae`: what is done with a model for production."""

import logging
import sys

import typer

from fraud_ae import __version__
from fraud_ae.cli.commands import audit, drift, explain, export, retrain, score, serve, threshold
from fraud_ae.errors import UserError

# What a scheduler can tell from 1, which says that something was found.
FAILED = 2

app = typer.Typer(
    name="fraud-ae",
    help="Score transactions with a model for production, explain, watch and replace it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
_COMMANDS = (
    (score, score.score),
    (explain, explain.explain),
    (threshold, threshold.threshold),
    (drift, drift.drift),
    (retrain, retrain.retrain),
    (serve, serve.serve),
    (export, export.export),
    (audit, audit.audit),
)
for module, command in _COMMANDS:
    app.command(epilog=module.EXAMPLES)(command)


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
    """Score transactions with a model for production, explain, watch and replace it."""
    logging.basicConfig(format="%(levelname)s: %(message)s".lower(), level=logging.WARNING)


def main() -> None:
    """Run the command line; what a user can mend ends in one line, with exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(FAILED)
