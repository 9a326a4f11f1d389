"""Independent computations in threads: polars, numpy and Arrow let one another run."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fraud_ae.cores import available_cores


def side_by_side(*computations: Callable[[], Any]) -> list[Any]:
    """The results of all, in their order. Raises what the first to fail raises."""
    if not computations:
        return []
    with ThreadPoolExecutor(available_cores()) as pool:
        return [future.result() for future in [pool.submit(each) for each in computations]]
