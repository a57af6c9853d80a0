"""What happened in a pool, minute by minute and hour by hour.

Owns how leases add up to buckets and what a bucket tells. Knows neither where buckets are kept nor
who collects them: `services.history` does that from the outbox.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
NEVER_LEASED_MS: Final = 1_000_000
"""Releases before this instant are places in the queue of numbers that nobody ever had."""

_BINS_PER_DOUBLING: Final = 4
_LAST_BIN: Final = 88
"""Some 48 days; gaps beyond count there."""


class Resolution(StrEnum):
    """How long a bucket is."""

    MINUTE = "minute"
    HOUR = "hour"

    @property
    def ms(self) -> int:
        """Its length, ms."""
        return MINUTE_MS if self is Resolution.MINUTE else HOUR_MS

    @property
    def kept_ms(self) -> int:
        """How far back there are such buckets: 48 hours of minutes, five weeks of hours."""
        return 48 * HOUR_MS if self is Resolution.MINUTE else 35 * 24 * HOUR_MS


class Change(NamedTuple):
    """One begin or end of a lease.

    `before_ms` is, of an end, when the lease began, and of a begin, when its number was released
    before (None: not told).
    """

    ended: bool
    pool_id: str
    at_ms: int
    reason: str
    before_ms: int | None


@dataclass(slots=True)
class Tally:
    """What changes add to one minute of one pool."""

    arrivals: int = 0
    returned: int = 0
    closed: int = 0
    idle: int = 0
    otherwise: int = 0
    hold_ms: int = 0
    gaps: Counter[int] = field(default_factory=Counter)

    def add(self, change: Change) -> None:
        """Count one."""
        before_ms = change.before_ms
        if not change.ended:
            self.arrivals += 1
            if change.reason == "returned":
                self.returned += 1
            elif before_ms is not None and before_ms >= NEVER_LEASED_MS:
                self.gaps[gap_bin(change.at_ms - before_ms)] += 1
            return
        if before_ms is not None:
            self.hold_ms += max(0, change.at_ms - before_ms)
        if change.reason == "closed":
            self.closed += 1
        elif change.reason == "idle":
            self.idle += 1
        else:
            self.otherwise += 1


def tally(changes: Iterable[Change], found: dict[tuple[str, int], Tally]) -> None:
    """Add changes to what was found before, by pool and minute (minutes since 1970)."""
    for change in changes:
        key = (change.pool_id, change.at_ms // MINUTE_MS)
        minute = found.get(key)
        if minute is None:
            minute = found[key] = Tally()
        minute.add(change)


def gap_bin(gap_ms: int) -> int:
    """The bin of a reuse gap: four for each doubling from one second on."""
    if gap_ms <= 1000:  # noqa: PLR2004 -- a second
        return 0
    return min(_LAST_BIN, int(_BINS_PER_DOUBLING * math.log2(gap_ms / 1000)))


def gap_bin_edges_s(number: int) -> tuple[float, float]:
    """Between how many seconds a bin lies; the first begins at nothing."""
    lower = 0.0 if number == 0 else 2 ** (number / _BINS_PER_DOUBLING)
    return lower, 2 ** ((number + 1) / _BINS_PER_DOUBLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A minute or an hour of one pool, from `start_ms` on.

    `arrivals` are new leases, those of returning visitors (`returned`) among them. Ends are told
    by the beacon of the last page (`closed`), by silence (`idle`: the beacon was lost), or came
    `otherwise` (pressure, age, detached). `hold_ms` is the length of all leases that ended.

    `overflow` and `turned_away` count page views without a lease, so a visitor who looks at three
    pages counts three times.

    Occupancy is sampled every few seconds while the pool is in use: `leased_sum` and `numbers_sum`
    over `samples`. `busiest_minute`: most arrivals in one minute. `gaps`: reuse gaps, see
    `gap_bin`; of hours only.
    """

    start_ms: int
    arrivals: int = 0
    returned: int = 0
    closed: int = 0
    idle: int = 0
    otherwise: int = 0
    hold_ms: int = 0
    overflow: int = 0
    turned_away: int = 0
    samples: int = 0
    leased_sum: int = 0
    numbers_sum: int = 0
    leased_peak: int = 0
    busiest_minute: int = 0
    gaps: Mapping[int, int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Leases that ended."""
        return self.closed + self.idle + self.otherwise

    @property
    def offered(self) -> int:
        """Arrivals, whether or not there was a number for them."""
        return self.arrivals + self.overflow + self.turned_away

    @property
    def mean_hold_s(self) -> float | None:
        """Mean length of the leases that ended; None: none did."""
        return self.hold_ms / self.ended / 1000 if self.ended else None

    @property
    def lost_beacons(self) -> float | None:
        """Share of ends by silence among those by beacon or silence; None: there were none."""
        told = self.closed + self.idle
        return self.idle / told if told else None

    @property
    def leased_mean(self) -> float | None:
        """Numbers leased at a time; None: nobody looked."""
        return self.leased_sum / self.samples if self.samples else None

    @property
    def numbers_mean(self) -> float | None:
        """Numbers in circulation; None: nobody looked."""
        return self.numbers_sum / self.samples if self.samples else None

    def gap_quantile_s(self, share: float) -> float | None:
        """The reuse gap that `share` of them stay below, right to a fifth; None: there were none.

        Within a bin gaps are taken as evenly spread.
        """
        total = sum(self.gaps.values())
        if not total:
            return None
        wanted, so_far = share * total, 0
        edges = (0.0, 0.0)
        for number, count in sorted(self.gaps.items()):
            edges = gap_bin_edges_s(number)
            if so_far + count >= wanted:
                return edges[0] + (edges[1] - edges[0]) * max(0.0, wanted - so_far) / count
            so_far += count
        return edges[1]


_SUMS: Final = (
    "arrivals", "returned", "closed", "idle", "otherwise", "hold_ms", "overflow", "turned_away",
    "samples", "leased_sum", "numbers_sum",
)  # fmt: skip
_MOSTS: Final = ("leased_peak", "busiest_minute")


def joined(buckets: Iterable[Bucket]) -> Bucket:
    """Several buckets as one, from the first's start on; of none an empty one at 0."""
    found = list(buckets)
    gaps: Counter[int] = Counter()
    for bucket in found:
        gaps.update(bucket.gaps)
    sums = {name: sum(getattr(bucket, name) for bucket in found) for name in _SUMS}
    mosts = {name: max((getattr(b, name) for b in found), default=0) for name in _MOSTS}
    start_ms = min((bucket.start_ms for bucket in found), default=0)
    return Bucket(start_ms=start_ms, gaps=dict(gaps), **sums, **mosts)
