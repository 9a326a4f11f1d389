"""API keys: who may do what, and how often. Of a key only its hash is kept in memory."""

import hashlib
import logging
import math
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fraud_ae.errors import UserError
from fraud_ae.serving.errors import RequestRefused

log = logging.getLogger("fraud_ae")

KEY_HEADER = "X-API-Key"
# The variable of a single key that may do everything.
KEY_VARIABLE = "FRAUD_AE_API_KEY"
ROLES = ("score", "label", "read", "reload")
_SETTINGS = ("key", "roles", "rate")
_OTHERS_READ = 0o004


class ApiKey:
    """Who asks with one key, what for, and how often.

    name: for errors. roles: of ROLES. rate: requests a second, where each transaction or outcome
    of a list counts as one; None for no limit. A second's worth may come at once.
    """

    def __init__(self, name: str, roles: Iterable[str] = ROLES, rate: float | None = None) -> None:
        self.name, self.roles, self._rate = name, frozenset(roles), rate
        self._left = self._most = 0.0 if rate is None else max(rate, 1.0)
        self._counted = time.monotonic()

    def check(self, role: str) -> None:
        """Count a request. Raises RequestRefused: 403 without the role, 429 if there are too many.

        The 429 says in how many seconds there is room again.
        """
        if role not in self.roles:
            raise RequestRefused(
                403, f"the key {self.name!r} may {', '.join(sorted(self.roles))}, not {role}"
            )
        if self._rate is None:
            return
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._counted) * self._rate)
        self._counted = now
        if self._left < 1:
            seconds = math.ceil((1 - self._left) / self._rate)
            raise RequestRefused(
                429,
                f"more than {self._rate:g} requests a second with the key {self.name!r}",
                retry_after=seconds,
            )
        self._left -= 1

    def charge(self, more: int) -> None:
        """Count what else came with the last request; later requests wait for it."""
        if self._rate is not None:
            self._left -= more


class Keys:
    """The keys of a service. keys: secret -> whose it is."""

    def __init__(self, keys: dict[str, ApiKey]) -> None:
        # Looked up by hash: how long that takes says nothing about a key.
        self._keys = {_hash(secret.encode()): key for secret, key in keys.items()}

    def of(self, headers: Mapping[str, str]) -> ApiKey | None:
        """Whose key a request came with, None if it is nobody's or missing.

        It stands in the header X-API-Key, or else in `Authorization: Bearer KEY`.
        """
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        # Prometheus sends a key as a bearer token (RFC 6750).
        secret = headers.get(KEY_HEADER, bearer if scheme.lower() == "bearer" else "")
        return self._keys.get(_hash(secret.encode("latin-1")))


def key_missing() -> RequestRefused:
    """The error of a request whose key is missing or nobody's."""
    return RequestRefused(401, f"the header {KEY_HEADER} must hold a key of this service")


def read_keys(path: Path | None, single: str | None) -> Keys | None:
    """The keys of a file and a single one that may do everything; None without any.

    The file is YAML, `name: {key: ..., roles: [score, label, read, reload], rate: 100}` for each
    key; `rate` may be left out. Raises UserError, which never shows a key, if it is another.
    """
    keys: dict[str, ApiKey] = {}
    if single is not None:
        keys[_checked_secret(single, KEY_VARIABLE)] = ApiKey(KEY_VARIABLE)
    for name, settings in _entries(path) if path else ():
        where = f"{path}: {name}"
        secret, roles, rate = _checked(settings, where)
        if secret in keys:
            raise UserError(f"{where}: {keys[secret].name} has the same key; give each its own")
        keys[secret] = ApiKey(name, roles, rate)
    return Keys(keys) if keys else None


def _entries(path: Path) -> Iterable[tuple[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        others_read = path.stat().st_mode & _OTHERS_READ
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UserError(f"{path}: the keys cannot be read ({reason})") from None
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        raise UserError(f"{path}{line}: not YAML") from None
    if not isinstance(entries, dict) or not entries:
        raise UserError(f"{path}: must have an entry `name: {{key: ..., roles: [...]}}` for a key")
    if others_read:
        log.warning("%s: everybody on this machine can read these keys; chmod 600 it", path)
    return [(str(name), settings) for name, settings in entries.items()]


def _checked(settings: Any, where: str) -> tuple[str, list[str], float | None]:
    if not isinstance(settings, dict) or not set(settings) <= set(_SETTINGS):
        raise UserError(f"{where}: must have key, roles and perhaps rate, and nothing else")
    roles, rate = settings.get("roles"), settings.get("rate")
    if not isinstance(roles, list) or not roles or not set(map(str, roles)) <= set(ROLES):
        raise UserError(f"{where}: roles must be a list of {', '.join(ROLES)}")
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if rate is not None and not (is_number and math.isfinite(rate) and rate > 0):
        raise UserError(f"{where}: rate must be a number of requests a second above 0")
    return _checked_secret(settings.get("key"), where), roles, rate


def _checked_secret(secret: Any, where: str) -> str:
    if not isinstance(secret, str) or not re.fullmatch("[!-~]+", secret):
        raise UserError(
            f"{where}: a key must be text of letters, digits and signs of ASCII, without blanks"
        )
    return secret


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
