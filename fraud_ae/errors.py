"""Errors that a user can mend: shown as one message, without a traceback."""

import functools
import sys
from collections.abc import Callable

# Exit code of a command that was interrupted, as shells have it.
INTERRUPTED = 130


class UserError(Exception):
    """Something in the data, the configuration or the command that the user can put right.

    exit_code: of a command that it ends; 1 is left to commands that found what they look for.
    """

    exit_code = 2


class DataError(UserError):
    """The transactions cannot be used as they are; the message names every problem found."""


class StrategyRefused(UserError):
    """A feature strategy cannot be built, or adds nothing to the baseline, on these columns."""


class LeakFound(UserError):
    """A feature strategy shows a transaction its future or its label."""

    # What was looked for was found: nobody made a mistake.
    exit_code = 1


class LeakRefused(UserError):
    """A model whose features leak is not published."""

    # Neither a mistake nor what was looked for: whoever runs a pipeline by a clock can tell.
    exit_code = 3


class WorkerLost(UserError):
    """A process of a command was killed, or found no memory."""

    # What was typed is right, and the same command goes on.
    exit_code = 1


class StorageError(UserError):
    """A file cannot be written: the disk is full or read-only, or it may not be."""


class TrainingDiverged(UserError):
    """The loss became infinite or NaN."""


def exit_on_user_error(function: Callable) -> Callable:
    """Make a command end with one message, and no traceback, on a UserError or an interrupt."""

    @functools.wraps(function)
    def guarded(*arguments: object, **named: object) -> object:
        try:
            return function(*arguments, **named)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            print("interrupted: the same command goes on where this one stopped", file=sys.stderr)
            sys.exit(INTERRUPTED)

    return guarded
