"""The service itself, behind HTTP: one model, one store, one thread that scores."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fraud_ae.errors import UserError
from fraud_ae.serving.batching import ScoringThread
from fraud_ae.serving.limits import Limits
from fraud_ae.serving.loaded_model import Served
from fraud_ae.serving.metrics import Metrics
from fraud_ae.serving.online.answer import Answer
from fraud_ae.serving.online.answers import Answers
from fraud_ae.serving.online.store import HistoryStore
from fraud_ae.serving.refusals import Refused
from fraud_ae.serving.transactions import Row, TransactionReader

log = logging.getLogger("fraud_ae")

Found = TypeVar("Found")


@dataclass(frozen=True)
class _Given:
    """A transaction as it came, and as a reader understood it."""

    value: Any
    row: Row
    reader: TransactionReader


class Service:
    """Answers transactions, keeps outcomes, and takes up other models.

    model: the folder, read again by `reload`, so that a link may lead elsewhere by then. store:
    open; used by the scoring thread alone once `start` was called. store_path: its file.
    """

    def __init__(
        self, model: Path, served: Served, store: HistoryStore, store_path: Path, limits: Limits
    ) -> None:
        self.served, self.limits, self.metrics = served, limits, Metrics()
        self._model, self._store = model, store
        self._reloading = asyncio.Lock()
        self._thread: ScoringThread[_Given, Answer] | None = None
        # A second connection, so that nobody who looks at alerts keeps transactions waiting.
        self._connection = sqlite3.connect(
            f"{store_path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False
        )
        self._review, self._reviewing = Answers(self._connection), asyncio.Lock()
        self._tell_model()

    async def start(self) -> None:
        """Take transactions from now on, in the running event loop."""
        self._thread = ScoringThread(self._answer, self.limits.max_waiting)

    async def stop(self) -> None:
        """Answer what waits, and close the store."""
        await self._scoring.stop()
        self._connection.close()
        self._store.close()

    @property
    def ready(self) -> bool:
        """Whether another transaction would be taken."""
        return self._thread is not None and self._thread.ready

    @property
    def waiting(self) -> int:
        """Transactions that have not been answered yet."""
        return self._scoring.waiting

    @property
    def _scoring(self) -> ScoringThread[_Given, Answer]:
        if self._thread is None:
            raise Refused(503, "the service is starting", retry_after=1)
        return self._thread

    async def score(self, given: Sequence[Any], listed: bool) -> list[Answer]:
        """Answers to n transactions, JSON values, in their order.

        listed: whether they came as a list. Raises Refused: 422 with the field that is wrong, 503
        where too many wait or the answer is not there in time; it is kept then, so that the same
        transaction gets it later.
        """
        if not given:
            return []
        reader = self.served.reader
        rows = reader.read(given, listed)
        tasks = [_Given(one, row, reader) for one, row in zip(given, rows, strict=True)]
        return await self._in_time(self._scoring.submit(tasks))

    async def label(self, outcomes: Sequence[tuple[str, bool]]) -> list[bool]:
        """Keep confirmed outcomes by transaction; which of these are known: (n,)."""
        known = await self._in_time(
            self._scoring.run(lambda: [self._store.label(*outcome) for outcome in outcomes])
        )
        for _, is_fraud in outcomes:
            self.metrics.labelled(is_fraud)
        return known

    async def review(self, look: Callable[[Answers], Found]) -> Found:
        """What a function finds in the answers that are kept."""
        async with self._reviewing:
            return await asyncio.to_thread(look, self._review)

    async def reload(self) -> Served:
        """Take up the model that is in the folder now, between two batches.

        Raises UserError where it cannot be served; the one before goes on then.
        """
        async with self._reloading:
            try:
                served = await asyncio.to_thread(Served.load, self._model)
                await self._scoring.run(lambda: self._take_up(served))
            except UserError as error:
                self.metrics.reloaded("refused")
                log.warning("the model stays %s: %s", self.served.online.version, error)
                raise
        self.metrics.reloaded("taken")
        self._tell_model()
        log.info("the model is %s", served.online.version)
        return served

    def _take_up(self, served: Served) -> None:
        """In the scoring thread."""
        self._store.adopt(served.online.schema, served.online.history)
        self.served = served

    def _answer(self, tasks: list[_Given]) -> list[Answer]:
        """In the scoring thread."""
        served = self.served
        # A model that was taken up meanwhile may take other columns.
        rows = [
            task.row if task.reader is served.reader else served.reader.read([task.value], False)[0]
            for task in tasks
        ]
        answers = served.online.answer(served.reader.as_columns(rows), self._store)
        self.metrics.scored(answers)
        return answers

    def _tell_model(self) -> None:
        online = self.served.online
        self.metrics.serve(online.version, online.info["created"], online.detector.threshold)

    async def _in_time(self, answered: Any) -> Any:
        try:
            async with asyncio.timeout(self.limits.timeout):
                return await asyncio.shield(answered)
        except TimeoutError:
            told = f"not answered within {self.limits.timeout:g} seconds; ask again"
            raise Refused(503, told, retry_after=1) from None
