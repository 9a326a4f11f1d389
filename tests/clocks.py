"""A clock that jumps, for processes of a test: only theirs, and only what tells the time of day."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SHIFT = "CLOCK_SHIFT"
# The C library asks here in place of itself; clocks that count from the start are left alone.
_SOURCE = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    long seconds = 0;
    const char *path = getenv("CLOCK_SHIFT");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
"""
needs_a_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="the clock of a process is moved by a library in C: no cc"
)


class Clock:
    """The clock of the processes that are started with `environment`. folder: an empty one."""

    def __init__(self, folder: Path) -> None:
        library = folder / "clock.so"
        build = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(build, input=_SOURCE, text=True, check=True)
        self._file = folder / "shift"
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), _SHIFT: str(self._file)}

    def set(self, days: float) -> None:
        """From now on the clock is so many days ahead of the true one, or behind it."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{round(days * 86400)}\n")
        os.replace(draft, self._file)
