"""How many cores there are, computations side by side in threads, and work in one thread."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

# Of fewer rows, a computation is over before a thread for it has started.
_WORTH_A_THREAD = 10_000


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(*computations: Callable[[], Any], rows: int) -> list[Any]:
    """The results of all, in their order. Raises what the first to fail raises.

    Polars, numpy and Arrow let one another run. rows: how many each computation goes through; of
    few, they are done one after another.
    """
    if len(computations) < 2 or rows < _WORTH_A_THREAD:
        return [compute() for compute in computations]
    with ThreadPoolExecutor(available_cores()) as pool:
        futures = [pool.submit(computation) for computation in computations]
        return [future.result() for future in futures]


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Threads of PyTorch and BLAS wait for one another in each layer; parts of rows need not."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; looking for them takes longer than to score ten rows."""
    return ThreadpoolController().select(user_api="blas")
