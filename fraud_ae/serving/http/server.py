"""Start a server for a model's folder."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from rich.console import Console

from fraud_ae import features
from fraud_ae.data.files.reading import read_table
from fraud_ae.data.transactions import to_transactions
from fraud_ae.detector.manifest import Origin, digest
from fraud_ae.errors import DataError, UserError
from fraud_ae.runtime.stopping import leave_signals
from fraud_ae.serving.http.app import create_app
from fraud_ae.serving.http.connections import BoundedProtocol, Connections, affordable
from fraud_ae.serving.http.keys import KEY_VARIABLE, Keys
from fraud_ae.serving.limits import Limits
from fraud_ae.serving.model import ServedModel
from fraud_ae.serving.service import Service
from fraud_ae.serving.store import HistoryStore

log = logging.getLogger("fraud_ae")

# Threads switch often, so that the event loop does not wait long for the scoring thread.
_SWITCH_SECONDS = 0.0005
_FEATURES = Path(features.__file__).parent


def serve_model(
    folder: Path,
    host: str,
    port: int,
    store_path: str | Path,
    limits: Limits,
    *,
    history: Path | None = None,
    keys: Keys | None = None,
    origin: Origin,
) -> None:
    """Serve a model until the process is stopped.

    folder: of the model. port: 0 takes a free one. history: a file of earlier transactions,
    imported into the store. store_path: of a file, or a URL of
    PostgreSQL. keys: of which clients must send one. origin: of this model, and of
    those that a reload brings. Raises UserError if the model, the file, the store or the address
    cannot be used.
    """
    log.addFilter(_drop_feature_warnings)
    try:
        with _bind(host, port) as listener:
            _serve(listener, host, folder, store_path, limits, history, keys, origin)
    finally:
        log.removeFilter(_drop_feature_warnings)


def _serve(
    listener: socket.socket,
    host: str,
    folder: Path,
    store_path: str | Path,
    limits: Limits,
    history: Path | None,
    keys: Keys | None,
    origin: Origin,
) -> None:
    model = ServedModel.load(folder, origin)
    store = HistoryStore(store_path, model.kinds, model.history)
    trailing = model.detector.history
    if trailing and not store.knows(trailing.transactions["transaction_id"].iloc[-1]):
        store.fill(trailing.transactions)
    new = _import_history(store, model, history) if history else None
    address, port, *_ = listener.getsockname()
    if keys is None and not ip_address(address).is_loopback:
        log.warning("anybody who reaches %s can ask and label; set %s", host, KEY_VARIABLE)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Objects that exist now stay; a garbage collection over all of them would pause the scoring.
    gc.collect()
    gc.freeze()
    leave_signals()
    # Uvicorn restores these handlers when it has stopped.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    async def run() -> None:
        service = Service(folder, model, store, limits, origin)
        _reload_on_hangup(service)
        connections = Connections(affordable(limits.max_connections), limits.max_per_address)
        config = uvicorn.Config(
            create_app(service, keys),
            http=partial(BoundedProtocol, connections=connections),
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=int(limits.timeout) + 5,
        )
        _print_start(model, store, new, url)
        await uvicorn.Server(config).serve(sockets=[listener])

    with asyncio.Runner(loop_factory=uvicorn.Config(lambda: None).get_loop_factory()) as runner:
        runner.run(run())


def _drop_feature_warnings(record: logging.LogRecord) -> bool:
    """A logging filter: strategies warn about missing columns of each frame, here each batch."""
    return _FEATURES not in Path(record.pathname).parents


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet. Raises UserError if it cannot be bound."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"{host} port {port}: cannot listen there ({reason})"
        raise UserError(f"{message}; choose another --host or --port") from error
    return listener


def _import_history(store: HistoryStore, model: ServedModel, history: Path) -> int:
    source_format = model.detector.source_format
    raw = read_table(history, source_format)
    try:
        return store.fill(to_transactions(raw, source_format, labelled=False))
    except DataError as error:
        raise DataError(f"{history}: {error}") from None


def _reload_on_hangup(service: Service) -> None:
    if not hasattr(signal, "SIGHUP"):
        return  # Windows has none
    running: set[asyncio.Task] = set()

    async def reload() -> None:
        try:
            await service.reload()
        except UserError:
            return  # the log says why

    def start() -> None:
        task = asyncio.ensure_future(reload())
        running.add(task)
        task.add_done_callback(running.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, start)


def _print_start(model: ServedModel, store: HistoryStore, new: int | None, url: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    number, period = store.review.counts()["transactions"], store.review.period()
    if period:
        added = "" if new is None else f", {new:,} new"
        history = f", {period[0]:%Y-%m-%d} to {period[1]:%Y-%m-%d}{added}"
    else:
        history = "; everybody looks new until --history FILE, or time, tells more"
    rows = {
        "model": f"{model.version}, threshold {model.detector.threshold:.6g}",
        "digest": digest(model.detector.folder),
        "history": f"{number:,} transactions{history}",
        "store": store.where,
        "review": f"{url}/",
        "docs": f"{url}/docs",
    }
    for name, text in rows.items():
        console.print(f"{name:8} {text}", markup=False)
