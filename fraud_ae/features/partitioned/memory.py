"""How much memory this process takes."""

import gc
import os
import resource
import sys

import pyarrow as pa


def resident() -> int:
    """Bytes of this process that are in memory now; the most so far where no /proc says it."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return peak()


def give_back() -> None:
    """Return what is not needed any more to the system, which counts it as taken until then."""
    gc.collect()
    pa.default_memory_pool().release_unused()


def peak() -> int:
    """The most bytes of this process that have been in memory so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
