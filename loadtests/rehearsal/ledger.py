"""What a rehearsal saw: counts, latencies second by second, and promises that were broken.

Each load process has one; they are merged by the process that reports. Latencies go into buckets
5 % apart, so percentiles are right to 5 %, and an hour of traffic stays small.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

_STEP: Final = math.log(1.05)
_UNIT_MS: Final = 0.1
PEOPLE: Final = "people"
ROBOTS: Final = "robots"


@dataclass(slots=True)
class Second:
    """One second of one call. `buckets`: how many answers took about so long."""

    failed: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """Answers of any kind, failures included."""
        return self.buckets.total()


@dataclass(slots=True)
class Ledger:
    """Everything counted so far; seconds are counted from the beginning of the run.

    `calls`: name of a call -> second -> what came back. `shown`: (who, status, reason) -> how many
    numbers were answered so. `arrived`: (who, second) -> visitors. `verdicts`: what asking
    `/attribution` found, see `slo.Verdict`. `doubled`: numbers that two visitors certainly held
    at one instant. `failures`: (call, what) -> how many.
    """

    calls: dict[str, dict[int, Second]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Second))
    )
    shown: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    shown_at: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    arrived: Counter[tuple[str, int]] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    occupancy: dict[int, tuple[int, int]] = field(default_factory=dict)
    doubled: int = 0

    def answer(self, call: str, *, second: int, took_s: float, failure: str = "") -> None:
        """Note one answer, or the lack of one. `failure`: "503", "refused", …; "": it is fine."""
        entry = self.calls[call][second]
        entry.buckets[_bucket(took_s * 1000)] += 1
        if failure:
            entry.failed += 1
            self.failures[call, failure, second] += 1

    def arrive(self, who: str, *, second: int) -> None:
        """Note a visitor."""
        self.arrived[who, second] += 1

    def show(self, who: str, *, status: str, reason: str, second: int) -> None:
        """Note what a page was given for a destination."""
        self.shown[who, status, reason] += 1
        self.shown_at[who, status, second] += 1

    def merge(self, other: "Ledger") -> None:
        """Add what another process saw."""
        for call, seconds in other.calls.items():
            for second, seen in seconds.items():
                mine = self.calls[call][second]
                mine.failed += seen.failed
                mine.buckets.update(seen.buckets)
        self.shown.update(other.shown)
        self.shown_at.update(other.shown_at)
        self.arrived.update(other.arrived)
        self.verdicts.update(other.verdicts)
        self.failures.update(other.failures)
        self.occupancy.update(other.occupancy)
        self.doubled += other.doubled

    def percentile_ms(self, call: str, share: float, *, seconds: Iterable[int] = ()) -> float:
        """The latency that so many answers of a call stayed below, ms; 0 without answers.

        `seconds`: only of these; none: of all.
        """
        seen = self.calls.get(call, {})
        together: Counter[int] = Counter()
        for second in seconds or seen:
            if second in seen:
                together.update(seen[second].buckets)
        wanted = share * together.total()
        reached = 0
        for bucket in sorted(together):
            reached += together[bucket]
            if reached >= wanted:
                return _upper_ms(bucket)
        return 0.0

    def clear(self) -> None:
        """Forget everything, in place: visitors under way hold on to it."""
        for counted in (
            self.calls, self.shown, self.shown_at, self.arrived, self.verdicts, self.failures,
            self.occupancy,
        ):  # fmt: skip
            counted.clear()
        self.doubled = 0

    def pack(self) -> dict[str, Any]:
        """As plain lists and numbers, for the way from one process to another."""
        return {
            "calls": [
                [call, second, seen.failed, list(seen.buckets.items())]
                for call, seconds in self.calls.items()
                for second, seen in seconds.items()
            ],
            "counters": {
                name: [[list(key), count] for key, count in getattr(self, name).items()]
                for name in _KEYED
            },
            "verdicts": dict(self.verdicts),
            "occupancy": [[second, *seen] for second, seen in self.occupancy.items()],
            "doubled": self.doubled,
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> Self:
        """What `pack` made."""
        made = cls()
        for call, second, failed, buckets in packed["calls"]:
            made.calls[call][second] = Second(failed, Counter(dict(buckets)))
        for name in _KEYED:
            counter = getattr(made, name)
            for key, count in packed["counters"][name]:
                counter[tuple(key)] = count
        made.verdicts.update(packed["verdicts"])
        made.occupancy = {second: (leased, all_) for second, leased, all_ in packed["occupancy"]}
        made.doubled = packed["doubled"]
        return made


_KEYED: Final = ("shown", "shown_at", "arrived", "failures")


def _bucket(ms: float) -> int:
    return max(0, math.ceil(math.log(max(ms, _UNIT_MS) / _UNIT_MS) / _STEP))


def _upper_ms(bucket: int) -> float:
    return _UNIT_MS * math.exp(bucket * _STEP)
