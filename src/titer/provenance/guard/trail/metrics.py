"""Numbers for Prometheus, in a registry of their own: decisions, reasons, stages, the log and the queues.

Labels take values of closed lists alone, so that neither a name nor a flood of series can get in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from titer.errors import ProvenanceError
from titer.provenance.guard.stages import STAGES
from titer.provenance.guard.trail.event import Event
from titer.provenance.guard.trail.listeners import Listeners
from titer.provenance.guard.trail.outbox import Outbox
from titer.provenance.ledger.ledger import Ledger

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds."""


class Metrics:
    """A listener that counts.

    Arguments
        ledger: whose sizes are told; None for none. queues: gives them, by a name for each. clock: seconds since 1970.

    `registry` holds all of it, and nothing of what other parts of the program count.
    """

    def __init__(
        self,
        ledger: Ledger | None = None,
        queues: Callable[[], Mapping[str, Outbox]] = dict,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.registry = CollectorRegistry()
        self._decisions = Counter(
            "titer_guard_decisions",
            "Decisions, by what was done.",
            ("verdict", "mode", "action"),
            registry=self.registry,
        )
        self._reasons = Counter("titer_guard_reasons", "Reasons of decisions.", ("reason",), registry=self.registry)
        self._records = Counter(
            "titer_guard_records", "Captures and derivations.", ("kind", "data"), registry=self.registry
        )
        self._unnoted = Counter("titer_guard_unnoted", "Decisions that no leaf holds.", registry=self.registry)
        self._stages = Histogram(
            "titer_guard_stage_seconds", "Time of each stage.", ("stage",), buckets=BUCKETS, registry=self.registry
        )
        for each in STAGES:
            self._stages.labels(each)
        self._watched: list[Listeners] = []
        self.registry.register(_Around(ledger, queues, self._watched, clock))

    def __call__(self, event: Event) -> None:
        """Count one event."""
        if event.verdict:
            self._decisions.labels(event.verdict, event.mode, event.action).inc()
        else:
            self._records.labels(event.kind, event.data).inc()
        if not event.noted:
            self._unnoted.inc()
        for each in event.reasons:
            self._reasons.labels(each).inc()
        for name, seconds in event.seconds.items():
            self._stages.labels(name).observe(seconds)

    def watch(self, listeners: Listeners) -> None:
        """Tell the failures of these listeners too: they exist only once a guard or a capture point does."""
        self._watched.append(listeners)


class _Around(Collector):
    """What is asked for at each scrape, and never changes what is asked."""

    def __init__(
        self,
        ledger: Ledger | None,
        queues: Callable[[], Mapping[str, Outbox]],
        watched: list[Listeners],
        clock: Callable[[], float],
    ) -> None:
        self._ledger, self._queues, self._watched, self._clock = ledger, queues, watched, clock

    def collect(self) -> Iterable[Metric]:
        """The gauges."""
        yield from self._listeners()
        yield from self._outboxes()
        if self._ledger is not None:
            yield from self._log(self._ledger)

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks no database."""
        return ()

    def _listeners(self) -> Iterable[Metric]:
        made = CounterMetricFamily("titer_trail_listener_failures", "Listeners that failed.", labels=["listener"])
        told: dict[str, int] = {}
        for each in self._watched:
            for name, many in each.failed.items():
                told[name] = told.get(name, 0) + many
        for name, many in sorted(told.items()):
            made.add_metric([name], many)
        yield made

    def _outboxes(self) -> Iterable[Metric]:
        texts = {
            "waiting": "Messages that are still to be sent.", "refused": "Messages that a receiver will not take.",
            "sent": "Messages delivered.", "failures": "Tries to deliver that failed.",
        }  # fmt: skip
        counts = {name: each.counts for name, each in self._queues().items()}
        for what, text in texts.items():
            made: GaugeMetricFamily | CounterMetricFamily
            if what in ("waiting", "refused"):
                made = GaugeMetricFamily(f"titer_trail_{what}", text, labels=["queue"])
            else:
                made = CounterMetricFamily(f"titer_trail_{what}", text, labels=["queue"])
            for name, count in counts.items():
                made.add_metric([name], getattr(count, what))
            yield made

    def _log(self, ledger: Ledger) -> Iterable[Metric]:
        up = GaugeMetricFamily("titer_ledger_up", "1 where the ledger can be read.")
        try:
            size, queued = ledger.store.size(), ledger.store.waiting()
            note = ledger.site.checkpoint()
            published = 0 if note is None else ledger.signing.check(note).size
            age = None if note is None else self._clock() - (ledger.site.public / "checkpoint").stat().st_mtime
        except (ProvenanceError, OSError):
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield GaugeMetricFamily("titer_ledger_entries", "Entries of the log.", size)
        yield GaugeMetricFamily("titer_ledger_published", "Entries that a published checkpoint covers.", published)
        yield GaugeMetricFamily("titer_ledger_lag", "Entries that wait for a checkpoint.", max(0, size - published))
        yield GaugeMetricFamily("titer_ledger_queued", "Records that wait for a sequencer.", queued)
        if age is not None:
            text = "Seconds since the last checkpoint was published."
            yield GaugeMetricFamily("titer_ledger_checkpoint_age_seconds", text, max(0.0, age))
