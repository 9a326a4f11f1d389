"""From a model's folder to a server that listens."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from rich.console import Console

from fraud_ae.data.reading import read_table
from fraud_ae.data.transactions import to_transactions
from fraud_ae.errors import DataError, UserError
from fraud_ae.serving.http.app import create_app
from fraud_ae.serving.limits import Limits
from fraud_ae.serving.loaded_model import Served
from fraud_ae.serving.online.store import HistoryStore
from fraud_ae.serving.service import Service

log = logging.getLogger("fraud_ae")

# The thread that reads requests must not wait long for the one that scores.
_SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Address:
    """Where to listen. port: 0 takes a free one."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine can ask."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def bind(self) -> socket.socket:
        """A socket that has the address and does not listen yet. Raises UserError."""
        try:
            family, kind, protocol, _, found = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            bound = socket.socket(family, kind, protocol)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(found)
        except OSError as error:
            reason = error.strerror or str(error)
            told = f"{self.host} port {self.port}: cannot listen there ({reason})"
            raise UserError(f"{told}; choose another --host or --port") from error
        return bound


def default_store(model: Path) -> Path:
    """The file of a model's history: beside `models/`, or beside the model where there is none."""
    folder = model.absolute().parent
    return (folder.parent if folder.name == "models" else folder) / "history.db"


def serve_model(
    model: Path,
    address: Address,
    store_path: Path,
    limits: Limits,
    *,
    history: Path | None = None,
    key: str | None = None,
) -> None:
    """Serve a model until the process is told to stop.

    history: a file of transactions to remember from the start. key: that clients must send.
    Raises UserError where the model, the file, the store or the address cannot be used.
    """
    log.addFilter(_is_no_warning_of_a_frame)
    bound = address.bind()
    served = Served.load(model)
    store = HistoryStore.open(store_path, served.online.schema, served.online.history)
    new = _fill(store, served, history) if history else None
    if key is None and not address.is_local:
        log.warning("anybody who reaches %s can ask and label; set --api-key", address.host)
    host = f"[{address.host}]" if ":" in address.host else address.host
    url = f"http://{host}:{bound.getsockname()[1]}"
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What is there now stays: looking through all of it for garbage would stop every answer.
    gc.collect()
    gc.freeze()
    # Uvicorn gives the signals back when it has stopped.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    async def run() -> None:
        service = Service(model, served, store, store_path, limits)
        _reload_on_hangup(service)
        config = uvicorn.Config(
            create_app(service, key),
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=int(limits.timeout) + 5,
        )
        counts = await service.review(lambda kept: kept.counts())
        _tell(served, store_path, counts, new, url)
        await uvicorn.Server(config).serve(sockets=[bound])

    with asyncio.Runner(loop_factory=uvicorn.Config(lambda: None).get_loop_factory()) as runner:
        runner.run(run())


def _is_no_warning_of_a_frame(record: logging.LogRecord) -> bool:
    """Strategies tell what a frame lacks; here each batch is one, and the start says it once."""
    return Path(record.pathname).parent.name != "features"


def _fill(store: HistoryStore, served: Served, history: Path) -> int:
    source_format = served.online.detector.source_format
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
            return  # the log tells why

    def start() -> None:
        task = asyncio.ensure_future(reload())
        running.add(task)
        task.add_done_callback(running.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, start)


def _tell(served: Served, store_path: Path, counts: dict, new: int | None, url: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    added = "" if new is None else f", {new:,} new"
    if not counts["transactions"]:
        added = "; everybody looks new until --history FILE, or time, tells more"
    rows = {
        "model": f"{served.online.version}, threshold {served.online.detector.threshold:.6g}",
        "history": f"{counts['transactions']:,} transactions{added}",
        "store": str(store_path),
        "review": f"{url}/",
        "docs": f"{url}/docs",
    }
    for name, told in rows.items():
        console.print(f"{name:8} {told}", markup=False)
