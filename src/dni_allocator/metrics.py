"""What a process counts, and how Prometheus reads it. A leaf.

The hot path adds to plain dictionaries (0.3 µs a request, against 2.8 µs through the client
library's own counters and their locks); the library writes them out when somebody asks. One
process, one event loop: nothing else writes here. Never a number or a visitor as a label.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Durations:
    """A histogram of seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Add one."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds

    def family(self, name: str, documentation: str) -> HistogramMetricFamily:
        """As Prometheus wants it: cumulative, with the sum."""
        buckets, so_far = [], 0
        for upper, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            so_far += count
            buckets.append((upper, float(so_far)))
        family = HistogramMetricFamily(name, documentation)
        family.add_metric([], buckets, self.total_s)
        return family


@dataclass(frozen=True, slots=True)
class OutboxGauges:
    """The outbox of all shards. `oldest_unread_ms`: since 1970; None: nobody waits."""

    entries: int
    bytes: int
    cap_bytes: int
    lost: int
    oldest_unread_ms: int | None


class Metrics:
    """The counters of one process. Keys are label values, in the order of the comments."""

    def __init__(self, *, version: str) -> None:
        self.assigned: Counter[tuple[str, str, str]] = Counter()
        """(pool, status, reason) of each destination answered."""
        self.calls: Counter[tuple[str, str]] = Counter()
        """(call of the tag, outcome: `ok`, `gone` or the code of a problem)."""
        self.deliveries: Counter[tuple[str, str]] = Counter()
        """(webhook endpoint, verdict) of each delivery attempt."""
        self.delivered: Counter[tuple[str]] = Counter()
        """(webhook endpoint) of each event that was taken."""
        self.telephony: Counter[tuple[str, str]] = Counter()
        """(vendor, what it was told to do) of each answer to one that asked about a call."""
        self.outbox: OutboxGauges | None = None
        """As this process last measured it; None: not yet."""
        self.swept = 0
        self.assign_durations = Durations()
        self._version = version
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format. O(label sets)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give the families to the client library."""
        yield _counter(
            "dni_assign_answers",
            "Destinations answered, by outcome.",
            ("pool", "status", "reason"),
            self.assigned,
        )
        yield _counter(
            "dni_tag_calls", "Calls of the tag, by outcome.", ("call", "outcome"), self.calls
        )
        yield _counter(
            "dni_webhook_attempts",
            "Delivery attempts, by verdict.",
            ("endpoint", "verdict"),
            self.deliveries,
        )
        yield _counter(
            "dni_webhook_events", "Events taken by endpoints.", ("endpoint",), self.delivered
        )
        yield _counter(
            "dni_telephony_answers",
            "Answers to telephony vendors, by what they were told to do.",
            ("vendor", "answer"),
            self.telephony,
        )
        yield from self._outbox_families()
        swept = CounterMetricFamily("dni_leases_swept", "Leases ended by this process' sweeper.")
        swept.add_metric([], self.swept)
        yield swept
        yield self.assign_durations.family(
            "dni_assign_duration_seconds", "Time from the parsed request to the answer of /assign."
        )
        info = GaugeMetricFamily("dni_build_info", "The running version.", labels=["version"])
        info.add_metric([self._version], 1)
        yield info

    def _outbox_families(self) -> Iterator[Metric]:
        seen = self.outbox
        if seen is None:
            return
        lag_s = 0.0
        if seen.oldest_unread_ms is not None:
            lag_s = max(0.0, time.time() - seen.oldest_unread_ms / 1000)
        yield GaugeMetricFamily("dni_outbox_entries", "Events in the outbox.", seen.entries)
        yield GaugeMetricFamily("dni_outbox_bytes", "Memory of the outbox.", seen.bytes)
        yield GaugeMetricFamily(
            "dni_outbox_cap_bytes", "Where the oldest events are dropped.", seen.cap_bytes
        )
        yield GaugeMetricFamily(
            "dni_outbox_lag_seconds", "Age of the oldest event an endpoint has yet to take.", lag_s
        )
        lost = CounterMetricFamily(
            "dni_outbox_lost", "Events the cap dropped before an active endpoint had them."
        )
        lost.add_metric([], seen.lost)
        yield lost


def _counter(
    name: str, documentation: str, labels: tuple[str, ...], counts: Mapping[Any, int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family
