"""How features of many transactions are computed: by what, and in how much memory.

Nothing heavy is imported here: every error of a configuration is answered at once.
"""

from dataclasses import dataclass

from fraud_ae.errors import UserError
from fraud_ae.runtime.sizes import size_in_bytes

ENGINES = ("local", "ray")


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
        return cls(engine, size_in_bytes("features.memory", memory))
