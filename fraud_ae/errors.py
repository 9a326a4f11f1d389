"""Errors that a user can mend: shown as one message, without a traceback."""

import functools
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something in the data, the configuration or the command that the user can put right."""


class DataError(UserError):
    """The transactions cannot be used as they are; the message names every problem found."""


class StrategyRefused(UserError):
    """A feature strategy cannot be built, or adds nothing to the baseline, on these columns."""


class LeakFound(UserError):
    """A feature strategy shows a transaction its future or its label."""


class TrainingDiverged(UserError):
    """The loss became infinite or NaN."""


def exit_on_user_error(function: Callable) -> Callable:
    """Make a command end with one message, and no traceback, on a UserError or an interrupt."""

    @functools.wraps(function)
    def guarded(*arguments: object, **named: object) -> object:
        try:
            return function(*arguments, **named)
        except UserError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("interrupted: the same command goes on where this one stopped")

    return guarded
