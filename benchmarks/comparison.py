"""Every method on the tasks of a protocol, with all or few of the training's frauds known."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import ours
from benchmarks.peers import PEERS, Peer
from benchmarks.protocols import Protocol, Task
from fraud_ae.errors import UserError
from fraud_ae.evaluation.alerting import card_precision
from fraud_ae.evaluation.metrics import ranking_metrics

FIGURES = ("roc_auc", "average_precision", "card_precision_at_100")
# In which all frauds of the training are known.
ALL = "all"


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how often.

    known: numbers of known frauds, or ALL. seeds: runs of each method on each task. peers: the
    methods beside ours. left_out: names of methods, of ours as well, that are not run.
    """

    protocol: Protocol
    known: Sequence[int | str]
    seeds: int
    peers: dict[str, Peer]
    left_out: Sequence[str] = ()

    def rows(self, report: Callable[[str], None]) -> Iterator[tuple[list[dict], dict[str, dict]]]:
        """For each number of known frauds, task and seed: a row for each method, and its settings.

        What has to be chosen is chosen on the protocol's earlier task, with as many known frauds in
        its training, once for each number of them. Methods that learn from labels are left out
        where none is known. Raises UserError for a name in `left_out` that is none, and where no
        method is left or a training has too few frauds.
        """
        for known in self.known:
            earlier = _labelled(self.protocol.earlier, known, seed=0)
            methods = self._methods(earlier, known, report)
            settings = {}
            for name, method in methods.items():
                report(f"{known} known, {name}: choose")
                settings[name] = chosen(method, earlier)
            for final, seed in itertools.product(self.protocol.finals, range(self.seeds)):
                task = _labelled(final, known, seed)
                week = f"{task.dataset.transactions['timestamp'].iloc[task.rows[task.test][0]]:%F}"
                found = []
                for name, method in methods.items():
                    report(f"{known} known, test from {week}, seed {seed}: {name}")
                    scores, seconds = method.timed(task, seed, settings[name])
                    key = {"method": name, "week": week, "seed": seed, "known": known}
                    uses = {"uses_labels": method.uses_labels, "seconds": seconds}
                    found.append({**key, **figures(task, scores), **uses})
                yield found, settings

    def _methods(
        self, earlier: Task, known: int | str, report: Callable[[str], None]
    ) -> dict[str, Peer]:
        methods = {**ours.methods(earlier, report), **self.peers}
        # A peer that is not installed may be named: the command is the same everywhere.
        if unknown := [name for name in self.left_out if name not in methods | PEERS]:
            raise UserError(f"--leave-out {unknown[0]}: no such method: {', '.join(methods)}")
        compared = {
            name: method
            for name, method in methods.items()
            if name not in self.left_out and not (known == 0 and method.uses_labels)
        }
        if not compared:
            raise UserError(f"--leave-out: no method is left with {known} known frauds")
        return compared


def _labelled(task: Task, known: int | str, seed: int) -> Task:
    return task.with_known(None if known == ALL else known, seed)


def figures(task: Task, scores: np.ndarray) -> dict[str, float | None]:
    """ROC AUC, average precision and card precision of scores of the test rows, (test.sum(),).

    Card precision is None where the data have no customers.
    """
    scored = task.scored(scores)
    ranking = ranking_metrics(scored["is_fraud"].to_numpy(), scores)
    return {
        "roc_auc": ranking["auc"],
        "average_precision": ranking["average_precision"],
        "card_precision_at_100": card_precision(scored, 100),
    }


def chosen(method: Peer, earlier: Task) -> dict:
    """The settings with the highest average precision on the earlier task."""
    if len(method.choices) == 1:
        return method.choices[0]
    reached = [
        figures(earlier, method.timed(earlier, 0, settings)[0])["average_precision"]
        for settings in method.choices
    ]
    return method.choices[int(np.argmax(reached))]
