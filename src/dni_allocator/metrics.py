"""What a process counts, and how Prometheus reads it. A leaf.

The hot path adds to plain dictionaries (0.3 µs a request, against 2.8 µs through the client
library's own counters and their locks); the library writes them out when somebody asks. One
process, one event loop: nothing else writes here. Never a number or a visitor as a label.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

    def __init__(self, buckets_s: Sequence[float] = BUCKETS_S) -> None:
        self.counts = [0] * (len(buckets_s) + 1)
        self.total_s = 0.0
        self._buckets_s = buckets_s

    def observe(self, seconds: float) -> None:
        """Add one."""
        self.counts[bisect_left(self._buckets_s, seconds)] += 1
        self.total_s += seconds

    def family(self, name: str, documentation: str) -> HistogramMetricFamily:
        """As Prometheus wants it, without labels."""
        family = HistogramMetricFamily(name, documentation)
        self.add_to(family, ())
        return family

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add this one to those that differ in labels: cumulative, with the sum."""
        buckets, so_far = [], 0
        for upper, count in zip((*map(str, self._buckets_s), "+Inf"), self.counts, strict=True):
            so_far += count
            buckets.append((upper, float(so_far)))
        family.add_metric(labels, buckets, self.total_s)


@dataclass(frozen=True, slots=True)
class OutboxGauges:
    """The outbox of all shards. `pending`: sent once at least, and to be sent again.

    `oldest_unread_ms`: since 1970; None: nobody waits.
    """

    entries: int
    pending: int
    bytes: int
    cap_bytes: int
    lost: int
    oldest_unread_ms: int | None


@dataclass(frozen=True, slots=True)
class ServerGauges:
    """The server as it tells of itself; of a cluster the worst of all nodes. Clocks: seconds."""

    persists: bool
    writes_well: bool
    evicts: bool
    replicas: int
    used_bytes: int
    limit_bytes: int
    clock_skew_s: float


@dataclass(frozen=True, slots=True)
class StoreGauges:
    """What lies in the store, when somebody last asked. All processes tell the same.

    `numbers` by (pool, state), `conflicts` by (pool), `budget_used` by pool: a share of 1.
    `spent` by (pool, currency): what this month costs so far.
    """

    server: ServerGauges
    numbers: Mapping[tuple[str, str], int]
    endpoints: Mapping[tuple[str], int]
    conflicts: Mapping[tuple[str], int] = field(default_factory=dict)
    budget_used: Mapping[str, float] = field(default_factory=dict)
    spent: Mapping[tuple[str, str], float] = field(default_factory=dict)


class Metrics:
    """The counters of one process. Keys are label values, in the order of the comments."""

    def __init__(self, *, version: str) -> None:
        self.assigned: Counter[tuple[str, str, str]] = Counter()
        """(pool, status, reason) of each destination answered."""
        self.calls: Counter[tuple[str, str]] = Counter()
        """(call of the tag, outcome: `ok`, `gone` or the code of a problem)."""
        self.deliveries: Counter[tuple[str, str]] = Counter()
        """(webhook endpoint, outcome) of each delivery attempt."""
        self.delivered: Counter[tuple[str]] = Counter()
        """(webhook endpoint) of each event that was taken."""
        self.disabled: Counter[tuple[str, str]] = Counter()
        """(webhook endpoint, reason) of each that this process disabled."""
        self.telephony: Counter[tuple[str, str]] = Counter()
        """(vendor, what it was told to do) of each answer to one that asked about a call."""
        self.vendor_requests: Counter[tuple[str, str, str]] = Counter()
        """(vendor, kind of question, outcome) of each call of a vendor's interface."""
        self.store_errors: Counter[tuple[str]] = Counter()
        """(kind) of each failure of the store, as its connection saw it."""
        self.failovers: Counter[tuple[()]] = Counter({(): 0})
        """How often another server became the primary, as our connections met it."""
        self.script_durations: Mapping[str, Durations] = {}
        """By script. Of the shared connection a sample, see `store.multiplexed`."""
        self.store: StoreGauges | None = None
        """As last read; None: not yet, or the store is away."""
        self.store_up = False
        self.delivery_durations = Durations()
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
            "dni_assign_requests",
            "Numbers asked for, one for each destination of a page, by what was answered.",
            ("pool", "outcome", "reason"),
            self.assigned,
        )
        yield _counter(
            "dni_tag_calls", "Calls of the tag, by outcome.", ("call", "outcome"), self.calls
        )
        yield _counter(
            "dni_webhook_attempts",
            "Delivery attempts, by outcome.",
            ("endpoint", "outcome"),
            self.deliveries,
        )
        yield _counter(
            "dni_webhook_events", "Events taken by endpoints.", ("endpoint",), self.delivered
        )
        yield _counter(
            "dni_webhook_disabled",
            "Endpoints this process disabled because they failed or said they are gone.",
            ("endpoint", "reason"),
            self.disabled,
        )
        yield _counter(
            "dni_telephony_answers",
            "Answers to telephony vendors, by what they were told to do.",
            ("vendor", "answer"),
            self.telephony,
        )
        yield _counter(
            "dni_vendor_requests",
            "Requests to vendors' interfaces, each try by itself.",
            ("vendor", "op", "outcome"),
            self.vendor_requests,
        )
        yield _counter("dni_redis_errors", "Failures of the store.", ("kind",), self.store_errors)
        yield _counter(
            "dni_redis_failovers", "Primaries that others took over from.", (), self.failovers
        )
        yield _counter(
            "dni_pool_exhausted",
            "Destinations answered while no number of the pool was free.",
            ("pool",),
            self._exhausted(),
        )
        yield GaugeMetricFamily(
            "dni_store_up", "Whether the store answered when this was asked.", int(self.store_up)
        )
        yield from self._store_families()
        yield from self._outbox_families()
        swept = CounterMetricFamily("dni_leases_swept", "Leases ended by this process' sweeper.")
        swept.add_metric([], self.swept)
        yield swept
        yield self.assign_durations.family(
            "dni_assign_duration_seconds", "Time from the parsed request to the answer of /assign."
        )
        scripts = HistogramMetricFamily(
            "dni_redis_script_duration_seconds",
            "Time from sending a script to its reply; a sample of the calls.",
            labels=["script"],
        )
        # A copy: a script may be called for the first time meanwhile.
        for script, durations in list(self.script_durations.items()):
            durations.add_to(scripts, (script,))
        yield scripts
        yield self.delivery_durations.family(
            "dni_webhook_duration_seconds", "Time from a delivery's request to its answer."
        )
        info = GaugeMetricFamily("dni_build_info", "The running version.", labels=["version"])
        info.add_metric([self._version], 1)
        yield info

    def _exhausted(self) -> Counter[tuple[str]]:
        found: Counter[tuple[str]] = Counter()
        for (pool, _, reason), count in self.assigned.items():
            if reason == "exhausted":
                found[(pool,)] += count
        return found

    def _store_families(self) -> Iterator[Metric]:
        seen = self.store
        if seen is None:
            return
        numbers = GaugeMetricFamily(
            "dni_pool_numbers", "Numbers of pools, by state.", labels=("pool", "state")
        )
        for labels, count in seen.numbers.items():
            numbers.add_metric(labels, count)
        yield numbers
        yield _counter(
            "dni_lease_conflicts",
            "Numbers that were given to a visitor while another one's lease lived.",
            ("pool",),
            seen.conflicts,
        )
        endpoints = GaugeMetricFamily(
            "dni_webhook_endpoints", "Webhook endpoints, by state.", labels=("state",)
        )
        for state, count in seen.endpoints.items():
            endpoints.add_metric(state, count)
        yield endpoints
        budget = GaugeMetricFamily(
            "dni_pool_budget_used_ratio", "Share of the month's budget spent.", labels=("pool",)
        )
        for pool, share in seen.budget_used.items():
            budget.add_metric((pool,), share)
        yield budget
        spent = GaugeMetricFamily(
            "dni_pool_spent_this_month",
            "What a pool's numbers cost in this calendar month so far.",
            labels=("pool", "currency"),
        )
        for labels, amount in seen.spent.items():
            spent.add_metric(labels, amount)
        yield spent
        server = seen.server
        for name, documentation, value in (
            ("persists", "Whether the server keeps a log of writes.", server.persists),
            ("writes_well", "Whether its last writes to disk went well.", server.writes_well),
            ("evicts", "Whether it may throw keys away.", server.evicts),
            ("replicas", "Replicas that follow.", server.replicas),
            ("used_memory_bytes", "Memory it takes.", server.used_bytes),
            ("maxmemory_bytes", "Memory it may take; 0: no limit.", server.limit_bytes),
            ("clock_skew_seconds", "Its clock against this machine's.", server.clock_skew_s),
        ):
            yield GaugeMetricFamily(f"dni_redis_{name}", documentation, value)

    def _outbox_families(self) -> Iterator[Metric]:
        seen = self.outbox
        if seen is None:
            return
        lag_s = 0.0
        if seen.oldest_unread_ms is not None:
            lag_s = max(0.0, time.time() - seen.oldest_unread_ms / 1000)
        yield GaugeMetricFamily("dni_outbox_entries", "Events in the outbox.", seen.entries)
        yield GaugeMetricFamily(
            "dni_outbox_pending", "Events that failed and wait for another attempt.", seen.pending
        )
        yield GaugeMetricFamily("dni_outbox_stream_bytes", "Memory of the outbox.", seen.bytes)
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
