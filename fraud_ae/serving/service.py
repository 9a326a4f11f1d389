"""The service behind the HTTP endpoints: one model, one history store, one scoring thread."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fraud_ae.detector.manifest import Origin
from fraud_ae.errors import UserError
from fraud_ae.serving.batching import ScoringThread
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.limits import Limits
from fraud_ae.serving.metrics import Metrics
from fraud_ae.serving.model import ServedModel
from fraud_ae.serving.results import Conflict, ScoreResult, StoredResults
from fraud_ae.serving.store import HistoryStore
from fraud_ae.serving.transactions import Row, TransactionReader

log = logging.getLogger("fraud_ae")

Returned = TypeVar("Returned")

# So many questions about the stored results wait at most.
_MOST_REVIEWS = 32


@dataclass(frozen=True)
class _Task:
    """A transaction to be scored: the JSON value, the validated row, and the reader of it.

    replace: whether it takes the place of one with the same id.
    """

    value: Any
    row: Row
    reader: TransactionReader
    replace: bool


class Service:
    """Scores transactions, stores outcomes, and reloads its model.

    folder: of the model, loaded again by `reload`; it may be a link that points to another one by
    then. origin: of those that it takes. store: open; used by the scoring thread
    alone. To be made in a running event loop.
    """

    def __init__(
        self,
        folder: Path,
        model: ServedModel,
        store: HistoryStore,
        limits: Limits,
        origin: Origin,
    ) -> None:
        self.model, self.limits, self.metrics = model, limits, Metrics()
        self._folder, self._origin, self._store = folder, origin, store
        self._reloading, self._reviewing = asyncio.Lock(), asyncio.Lock()
        # Number of reviews that wait or are made.
        self._reviews = 0
        self.scoring = ScoringThread(self._score_batch, limits.max_waiting)
        # A second connection, so that reading alerts does not delay the scoring.
        self._reader = store.database.reader()
        self.metrics.serve(model)

    async def stop(self) -> None:
        """Score what is queued, and close the store."""
        await self.scoring.stop()
        self._reader.close()
        self._store.close()

    async def score(self, values: Sequence[Any], is_list: bool, replace: bool) -> list[ScoreResult]:
        """Score n transactions, given as JSON values; results are in the same order.

        is_list: whether the request was a list. replace: whether they take the place of those of
        the same ids. Raises RequestRefused: 422 with the invalid field, 409 with what differs where
        an id has been answered for other values, 503 if the queue is full or the timeout passes;
        the result is stored all the same, and a repeated request gets it.
        """
        if not values:
            return []
        reader = self.model.reader
        rows = zip(values, reader.read(values, is_list), strict=True)
        tasks = [_Task(value, row, reader, replace) for value, row in rows]
        results = await self._within_timeout(self.scoring.submit(tasks))
        for number, result in enumerate(results):
            if isinstance(result, Conflict):
                raise result.refusal(f"{number}." if is_list else "")
        return results

    async def label(self, outcomes: Sequence[tuple[str, bool]]) -> list[bool]:
        """Store n outcomes, (transaction_id, is_fraud); whether each transaction is known."""
        known = await self._within_timeout(
            self.scoring.run(
                lambda: [self._store.label(*outcome) for outcome in outcomes], len(outcomes)
            )
        )
        for _, is_fraud in outcomes:
            self.metrics.labelled(is_fraud)
        return known

    async def review(self, query: Callable[..., Returned], *arguments: Any) -> Returned:
        """What a function of the stored results and other arguments returns, in another thread.

        One after another. Raises RequestRefused (503) if many wait, or the timeout passes.
        """
        if self._reviews >= _MOST_REVIEWS:
            raise RequestRefused(503, f"{self._reviews} such requests wait already", retry_after=1)
        self._reviews += 1
        reviewing = asyncio.ensure_future(self._review(query, *arguments))
        return await self._within_timeout(reviewing)

    async def _review(self, query: Callable[..., Returned], *arguments: Any) -> Returned:
        try:
            async with self._reviewing:
                stored = StoredResults(self._reader)
                return await asyncio.to_thread(query, stored, *arguments)
        finally:
            self._reviews -= 1

    async def check_store(self) -> None:
        """Raise RequestRefused (503) if the store was lost, and has not come back."""
        if self._store.database.lost:
            await self._within_timeout(self.scoring.run(self._store.database.check))

    async def reload(self) -> ServedModel:
        """Load the model that is in the folder now, and switch to it between two batches.

        Raises UserError if it cannot be served; the current model stays then.
        """
        async with self._reloading:
            try:
                model = await asyncio.to_thread(ServedModel.load, self._folder, self._origin)
                await self.scoring.run(lambda: self._use_model(model))
            except UserError as error:
                self.metrics.reloaded("refused")
                log.warning("the model stays %s: %s", self.model.version, error)
                raise
        self.metrics.reloaded("taken")
        self.metrics.serve(self.model)
        log.info("the model is %s", model.version)
        return model

    def _use_model(self, model: ServedModel) -> None:
        """In the scoring thread."""
        self._store.use_columns(model.kinds, model.history)
        self.model = model

    def _score_batch(self, tasks: list[_Task]) -> list[ScoreResult | Conflict]:
        """In the scoring thread."""
        reader = self.model.reader
        # A model that was reloaded after the request came may have other columns.
        rows = [
            task.row if task.reader is reader else reader.read([task.value], is_list=False)[0]
            for task in tasks
        ]
        ids = [row["transaction_id"] for row in rows]
        results: list[ScoreResult | Conflict] = []
        for turn in _turns([task.replace for task in tasks], ids):
            replaced = ids[turn] if tasks[turn.start].replace else ()
            columns = reader.as_columns(rows[turn])
            results += self.model.score(columns, self._store, replaced)
        self.metrics.scored([result for result in results if isinstance(result, ScoreResult)])
        return results

    async def _within_timeout(self, future: Any) -> Any:
        try:
            async with asyncio.timeout(self.limits.timeout):
                return await asyncio.shield(future)
        except TimeoutError:
            message = f"not answered within {self.limits.timeout:g} seconds; ask again"
            raise RequestRefused(503, message, retry_after=1) from None


def _turns(replaces: Sequence[bool], ids: Sequence[str]) -> Iterator[slice]:
    """Neighbouring tasks that can be scored together; what replaces a transaction comes after it.

    replaces, ids: of n tasks.
    """
    start, taken = 0, set()
    for number, (replace, key) in enumerate(zip(replaces, ids, strict=True)):
        if replace != replaces[start] or (replace and key in taken):
            yield slice(start, number)
            start, taken = number, set()
        taken.add(key)
    if ids:
        yield slice(start, len(ids))
