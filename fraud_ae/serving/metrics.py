"""Prometheus metrics: requests, batches, scores, alerts, labels and the model."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fraud_ae.serving.model import ServedModel
from fraud_ae.serving.results import ScoreResult

# Scores that are probabilities lie below 1, errors of a reconstruction above it too.
_SCORES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1, 2.5, 5, 10, 100)
_SECONDS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_RATES = (0.0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
# The alert rate is observed once for so many transactions, however fast they come.
RATED = 100


class Metrics:
    """The metrics of one service, in a registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        self._requests = counter("fraud_ae_requests", "Requests.", ("route", "status"))
        self._latency = histogram(
            "fraud_ae_request_seconds",
            "Seconds from a request to its answer.",
            ("route",),
            buckets=_SECONDS,
        )
        self._batches = histogram(
            "fraud_ae_batch_transactions", "Transactions that were scored together.", buckets=_SIZES
        )
        self._scores = histogram(
            "fraud_ae_score", "Scores of transactions, each counted once.", buckets=_SCORES
        )
        self._rates = histogram(
            "fraud_ae_alert_rate",
            f"Share of alerts among {RATED} transactions that came one after another.",
            buckets=_RATES,
        )
        self._alerts = counter("fraud_ae_alerts", "Alerts, each once.")
        self._repeated = counter(
            "fraud_ae_repeated_transactions", "Transactions that had been answered before."
        )
        self._labels = counter("fraud_ae_labels", "Confirmed outcomes.", ("is_fraud",))
        self._reloads = counter("fraud_ae_reloads", "Attempts to take up a model.", ("result",))
        self._model = gauge("fraud_ae_model_info", "The model, always 1.", ("version", "created"))
        self._threshold = gauge("fraud_ae_threshold", "Scores above it are alerts.")
        self._waiting = gauge("fraud_ae_waiting_transactions", "Transactions that wait.")
        self._history = gauge("fraud_ae_history", "Rows of the store.", ("kind",))
        self._rated = self._rated_alerts = 0

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request with its HTTP status and duration."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def scored(self, results: Sequence[ScoreResult]) -> None:
        """Count the results of one batch."""
        self._batches.observe(len(results))
        for result in results:
            if result.repeated:
                self._repeated.inc()
                continue
            self._scores.observe(result.score)
            self._rated += 1
            if result.alert:
                self._alerts.inc()
                self._rated_alerts += 1
            if self._rated == RATED:
                self._rates.observe(self._rated_alerts / RATED)
                self._rated = self._rated_alerts = 0

    def labelled(self, is_fraud: bool) -> None:
        """Count a confirmed outcome."""
        self._labels.labels(str(int(is_fraud))).inc()

    def reloaded(self, result: str) -> None:
        """Count an attempt to reload the model. result: `taken` or `refused`."""
        self._reloads.labels(result).inc()

    def serve(self, model: ServedModel) -> None:
        """Set the model that scores from now on."""
        self._model.clear()
        self._model.labels(model.version, model.info["created"]).set(1)
        self._threshold.set(model.detector.threshold)

    def text(self, waiting: int, counts: dict[str, Any]) -> bytes:
        """All metrics in the text format of Prometheus.

        waiting: transactions. counts: of the store, see `fraud_ae.serving.results`.
        """
        self._waiting.set(waiting)
        for kind in ("transactions", "answers", "labels"):
            self._history.labels(kind).set(counts[kind])
        return generate_latest(self._registry)
