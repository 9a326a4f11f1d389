"""Work that is done in one thread, or whose parts are side by side already."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


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
