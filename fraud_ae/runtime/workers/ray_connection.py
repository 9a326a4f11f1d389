"""The connection of this process to a Ray cluster."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fraud_ae.errors import UserError

_CONNECT_SECONDS = 10
# What found no memory is tried again by the command, each run alone.
_MEMORY_RETRIES = "RAY_task_oom_retries"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def connected(address: str | None, setting: str, no_answer: str) -> Any:
    """Ray, connected to a cluster that runs, or, without an address, to one of this machine.

    setting: what asks for Ray. no_answer: what is said where no cluster answers. Raises UserError.
    """
    try:
        import ray
    except ImportError:
        raise UserError(f"{setting}: Ray is not installed; pip install 'fraud_ae[ray]'") from None
    if not ray.is_initialized():
        # Otherwise Ray tries for ever what finds no memory. Read where it connects.
        os.environ.setdefault(_MEMORY_RETRIES, "0")
        try:
            # Ray itself goes on trying for minutes.
            if address not in (None, "auto"):
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
            dashboard = {} if address else {"include_dashboard": False}
            with _signals_kept():
                ray.init(
                    address=address or "local",
                    configure_logging=False,
                    log_to_driver=False,
                    **dashboard,
                )
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise UserError(no_answer) from error
    return ray


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray ends a process its own way when it is stopped; this one has a way already."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
