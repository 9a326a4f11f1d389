"""What workers are given to do: they find it by its name."""

import logging
import os
import signal
import time
from pathlib import Path


def warn(number: int) -> int:
    """The number, after a warning that is the same for all."""
    logging.getLogger("fraud_ae").warning("seen before")
    return number


def fail(error: Exception) -> None:
    """Raise it."""
    raise error


def kill_itself() -> None:
    """End as a process does that finds no memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def threads() -> int:
    """How many threads PyTorch computes with."""
    import torch

    return torch.get_num_threads()


def write_number_and_sleep(file: Path) -> None:
    """Write the number of the process whole, and go on for long."""
    draft = file.with_suffix(".draft")
    draft.write_text(str(os.getpid()))
    draft.rename(file)
    time.sleep(600)
