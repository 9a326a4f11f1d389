"""Independent computations in threads: polars, numpy and Arrow let one another run."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fraud_ae.runtime.cores import available_cores

# Of fewer rows, a computation is over before a thread for it has started.
_WORTH_A_THREAD = 10_000


def side_by_side(*computations: Callable[[], Any], rows: int) -> list[Any]:
    """The results of all, in their order. Raises what the first to fail raises.

    rows: how many each computation goes through; of few, they are done one after another.
    """
    if len(computations) < 2 or rows < _WORTH_A_THREAD:
        return [compute() for compute in computations]
    with ThreadPoolExecutor(available_cores()) as pool:
        return [future.result() for future in [pool.submit(each) for each in computations]]
