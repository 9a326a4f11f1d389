"""Settings that ask for more memory than there is, told before it is asked for.

The system would kill the process, or the whole machine would stand still.
"""

import os
from itertools import pairwise

from fraud_ae.errors import UserError

# Weights, gradients, and the two averages of Adam, in float32.
_BYTES_PER_WEIGHT = 4 * 4
# Setting -> bytes that each unit of it takes at least.
_BYTES = {
    ("data", "n_transactions"): 100,
    ("data", "n_customers"): 8,
    ("data", "n_terminals"): 8,
    ("metrics", "replicates"): 8,
    ("promotion", "replicates"): 8,
}


def check_memory(settings: dict) -> None:
    """Raises UserError for a setting that this machine has no memory for. settings: resolved."""
    there = _memory()
    for (section, name), size in _BYTES.items():
        value = settings.get(section, {}).get(name)
        if isinstance(value, int) and value * size > there:
            raise _too_large(f"{section}.{name}={value}", value * size, there)
    model = settings["model"]
    sizes = [*(model.get("hidden_sizes") or ()), model.get("latent_dim")]
    if not all(isinstance(size, int) for size in sizes):
        # A network of the user's own, with settings of its own.
        return
    # The inputs are not known yet, of which there is one at least; the decoder is a mirror.
    weights = 2 * sum(before * after for before, after in pairwise([1, *sizes]))
    need = weights * model.get("members", 1) * _BYTES_PER_WEIGHT
    if need > there:
        told = {name: model.get(name) for name in ("hidden_sizes", "latent_dim", "members")}
        text = ", ".join(f"model.{name}={value}" for name, value in told.items() if value)
        raise _too_large(text, need, there)


def _too_large(setting: str, need: int, there: int) -> UserError:
    return UserError(
        f"{setting}: takes {need / 1e9:,.0f} GB of memory at least, and this machine has "
        f"{there / 1e9:,.0f} GB"
    )


def _memory() -> int:
    """Bytes of this machine; without a bound where the system does not say."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return 2**63
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
