"""How features of many transactions are computed: by what, and in how much memory.

Nothing heavy is imported here: every error of a configuration is answered at once.
"""

import re
from dataclasses import dataclass

from fraud_ae.errors import UserError

ENGINES = ("local", "ray")
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class FeatureComputation:
    """engine: `local`, this process, or `ray`, tasks on the nodes of a Ray cluster.

    memory: bytes that the process may take while it computes and encodes features, and with `ray`
    each task, too; None for no bound. Features are the same to the last digit whatever is chosen.
    """

    engine: str = "local"
    memory: int | None = None

    @property
    def is_partitioned(self) -> bool:
        """Whether features are computed partition by partition, and kept on disk meanwhile."""
        return self.memory is not None or self.engine != "local"

    @classmethod
    def of(cls, engine: str = "local", memory: str | None = None) -> "FeatureComputation":
        """As settings say it. Raises UserError for another engine, and for what is no size."""
        if engine not in ENGINES:
            raise UserError(f"features.engine={engine}: must be one of {', '.join(ENGINES)}")
        return cls(engine, None if memory is None else _bytes(str(memory)))


def _bytes(size: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMG]i?B)", size, re.IGNORECASE)
    value = float(match[1]) * _UNITS[match[2].upper()] if match else 0
    if value < 1:
        raise UserError(
            f"features.memory={size}: must be a size with its unit, such as 4GB or 900MB"
        )
    return int(value)


def in_words(size: float) -> str:
    """Bytes as the settings say them."""
    return f"{size / 1e9:.1f}GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f}MB"
