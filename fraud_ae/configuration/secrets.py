"""Keys and passwords stand in no setting: what one holds is written into every record."""

import os
import re
from collections.abc import Mapping, Sequence

from fraud_ae.errors import UserError

_VARIABLES = ("WANDB_API_KEY", "FRAUD_AE_API_KEY")
# A shorter value may stand in a setting by chance.
_LEAST_LENGTH = 8
# As in postgresql://user:password@host/name.
_PASSWORD = re.compile(r"\w://[^/@:\s]*:[^/@\s]+@|\w://\S*[?&]password=")


def refuse_keys(settings: object, name: str) -> None:
    """Raises UserError, which does not show it, where a key or a password is in a setting.

    settings: plain data, resolved or not. name: of the setting, or of what holds them; may be
    empty.
    """
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            refuse_keys(value, f"{name}.{key}" if name else str(key))
    elif isinstance(settings, Sequence) and not isinstance(settings, str):
        for value in settings:
            refuse_keys(value, name)
    elif isinstance(settings, str):
        if _PASSWORD.search(settings):
            raise UserError(
                f"{name}: holds a password, which would be written into logs and records; leave it "
                "out here, and give it by PGPASSWORD or in ~/.pgpass"
            )
        named = hidden(settings)
        for variable in _VARIABLES:
            if f"${variable}" in named or ("${" in settings and variable in settings):
                raise UserError(
                    f"{name}: holds the value of {variable}, which would be written into logs and "
                    "records; the variable alone is enough, so leave it out here"
                )


def hidden(text: str) -> str:
    """A text with the names of variables in place of the keys that are in them."""
    for variable in _VARIABLES:
        secret = os.environ.get(variable, "")
        if len(secret) >= _LEAST_LENGTH:
            text = text.replace(secret, f"${variable}")
    return text
