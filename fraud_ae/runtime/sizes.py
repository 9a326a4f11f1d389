"""Amounts of memory as settings say them, such as 4GB."""

import re

from fraud_ae.errors import UserError

_UNITS = {
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}


def size_in_bytes(setting: str, text: str | None) -> int | None:
    """Bytes of a size such as 900MB; None for None. setting: that has it. Raises UserError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]i?B)", str(text), re.IGNORECASE)
    value = float(match[1]) * _UNITS[match[2].upper()] if match else 0
    if value < 1:
        raise UserError(f"{setting}={text}: must be a size with its unit, such as 4GB or 900MB")
    return int(value)


def in_words(size: float) -> str:
    """Bytes as the settings say them."""
    return f"{size / 1e9:.1f}GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f}MB"
