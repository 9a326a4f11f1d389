"""Processes that train one network together, each on its part of every mini-batch.

Lightning's DDP strategy averages gradients in the backward pass of one wrapped module. Here they
are written out, and a step of Lightning holds many steps of the optimiser: `torch.distributed` adds
them up in each of these. The other processes get nothing but the network and where its rows lie: no
configuration, no run folder, no logger.
"""

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from fraud_ae.errors import UserError, WorkerLost
from fraud_ae.models.batches import Rows
from fraud_ae.models.parallel.share import Share
from fraud_ae.runtime.named_objects import allow_modules, allowed_modules

_HOST = "127.0.0.1"
# One process waits for another at most so long.
_PATIENCE = timedelta(minutes=5)
# A process that is killed has ended a moment after its connections are closed.
_MOMENT_SECONDS = 5.0
_LOST = (
    "a process of the training ended early, as one does that is killed or that finds no memory; "
    "the same command trains it again from the beginning"
)


@contextmanager
def other_processes(
    devices: int, on_cards: bool, train: Callable, arguments: tuple, rows: Sequence[Rows | None]
) -> Iterator[Share]:
    """Start the other processes of a training; gives the share of this one.

    train: called in each of them with the arguments, the rows and its share. rows: that lie in a
    file each, or None. None of the processes is left at the end. Raises UserError where there are
    too few cards, or rows lie in no file, and WorkerLost if a process ends early.
    """
    if on_cards and devices > torch.cuda.device_count():
        raise UserError(
            f"trainer.devices={devices}: this machine has {torch.cuda.device_count()} cards; "
            "trainer.accelerator=cpu trains on its processors"
        )
    # Tensors as they are: what multiprocessing makes of them is memory that is shared.
    task = pickle.dumps((train, arguments, [_place(part) for part in rows]))
    processes: list[BaseProcess] = []
    try:
        store = dist.TCPStore(_HOST, 0, devices, is_master=True, wait_for_workers=False)
        started = [_start(rank, devices, on_cards, store.port) for rank in range(1, devices)]
        processes += [process for process, _ in started]
        for process, pipe in started:
            # What it imports takes seconds.
            if pipe not in wait([pipe, process.sentinel]):
                raise WorkerLost(_LOST)
            pipe.recv_bytes()
            pipe.send_bytes(task)
        share = _join(0, devices, on_cards, store)
        if on_cards:
            threading.Thread(target=_abort_with, args=(processes,), daemon=True).start()
        yield share
    except (RuntimeError, OSError, EOFError) as error:
        if not wait([process.sentinel for process in processes], _MOMENT_SECONDS):
            raise
        raise WorkerLost(_LOST) from error
    finally:
        for process in processes:
            process.kill()
            process.join()
        if dist.is_initialized():
            dist.destroy_process_group()


def _start(rank: int, devices: int, on_cards: bool, port: int) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    arguments = (there, rank, devices, on_cards, port, allowed_modules())
    process = context.Process(target=_other, args=arguments, daemon=True)
    # An interrupt is for the command itself, which then ends the others.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        there.close()
    return process, here


def _other(
    pipe: Connection, rank: int, devices: int, on_cards: bool, port: int, allowed: list[str]
) -> None:
    """What another process does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    allow_modules(allowed)
    pipe.send_bytes(b"ready")
    # Of the process that has started this one.
    train, arguments, places = pickle.loads(pipe.recv_bytes())  # noqa: S301
    share = _join(rank, devices, on_cards, dist.TCPStore(_HOST, port, devices))
    rows = [_mapped(*place) if place else None for place in places]
    try:
        train(*arguments, *rows, share)
    except dist.DistError:
        # Another one has ended, which the first process tells.
        os._exit(1)


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _join(rank: int, devices: int, on_cards: bool, store: dist.Store) -> Share:
    device = torch.device("cuda", rank) if on_cards else torch.device("cpu")
    if on_cards:
        torch.cuda.set_device(device)
    backend = "nccl" if on_cards else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=devices, timeout=_PATIENCE)
    return Share(rank, devices, device)


def _abort_with(processes: Sequence[BaseProcess]) -> None:
    """NCCL does not notice that a process has ended; what waits for it raises once aborted."""
    wait([process.sentinel for process in processes])
    if dist.is_initialized() and any(process.exitcode for process in processes):
        dist.group.WORLD.abort()


def _place(rows: Rows | None) -> tuple[Path, np.ndarray | None] | None:
    if rows is None:
        return None
    if rows.file is None:
        raise UserError(
            "trainer.devices: several processes read rows of a file, and these lie in memory"
        )
    return rows.file, None if rows.numbers is None else rows.numbers.numpy()


def _mapped(file: Path, numbers: np.ndarray | None) -> Rows:
    inputs = torch.from_numpy(np.load(file, mmap_mode="c"))
    return Rows(inputs, None if numbers is None else torch.from_numpy(numbers), file)
