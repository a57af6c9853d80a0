"""What a measurement is, and how the samples of several rounds become one row. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Verdict = Literal["", "pass", "short"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One window of one subject. CPU in seconds of that window, latencies in ms."""

    done: int
    seconds: float
    cpu_s: float = 0.0
    store_cpu_s: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    errors: int = 0

    @property
    def per_second(self) -> float:
        """Answered requests (or operations) a second."""
        return self.done / self.seconds

    @property
    def cpu_us(self) -> float:
        """User and system CPU of the measured processes for each answer, µs."""
        return 1e6 * self.cpu_s / max(1, self.done)

    @property
    def store_cpu_us(self) -> float:
        """CPU of the Redis server for each answer, µs."""
        return 1e6 * self.store_cpu_s / max(1, self.done)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. None: does not apply, or was not measured."""

    name: str
    what: str
    per_second: float | None = None
    cpu_us: float | None = None
    store_cpu_us: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    value: str = ""
    budget: str = ""
    verdict: Verdict = ""
    note: str = ""
    errors: int = 0


@dataclass(slots=True)
class Samples:
    """The windows of every subject, by round, so that ratios are taken within a round."""

    by_subject: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, subject: str, sample: Sample) -> None:
        """Remember one window."""
        self.by_subject.setdefault(subject, []).append(sample)

    def row(self, subject: str, what: str, *, note: str = "") -> Row:
        """The medians of a subject's windows. Raises `KeyError` where there are none."""
        windows = self.by_subject[subject]
        return Row(
            name=subject,
            what=what,
            per_second=_median(windows, lambda each: each.per_second),
            cpu_us=_median(windows, lambda each: each.cpu_us or None),
            store_cpu_us=_median(windows, lambda each: each.store_cpu_us or None),
            p50_ms=_median(windows, lambda each: each.p50_ms),
            p99_ms=_median(windows, lambda each: each.p99_ms),
            errors=sum(each.errors for each in windows),
            note=note,
        )

    def ratio(
        self, subject: str, peer: str, of: Callable[[Sample], float] = lambda each: each.cpu_us
    ) -> float | None:
        """The median, over the rounds, of subject ÷ peer; None unless both were measured."""
        pairs = zip(self.by_subject.get(subject, ()), self.by_subject.get(peer, ()), strict=False)
        ratios = [of(one) / of(other) for one, other in pairs if of(other)]
        return median(ratios) if ratios else None


def at_most(name: str, what: str, *, value: float | None, limit: float, unit: str = "×") -> Row:
    """A budget that is kept from below."""
    budget = f"≤ {limit:g} {unit}"
    return _judged(name, what, value, budget, unit=unit, kept=lambda seen: seen <= limit)


def at_least(name: str, what: str, *, value: float | None, limit: float, unit: str) -> Row:
    """A budget that must be reached."""
    budget = f"≥ {limit:,g} {unit}"
    return _judged(name, what, value, budget, unit=unit, kept=lambda seen: seen >= limit)


def columns(row: Row) -> Mapping[str, object]:
    """A row as JSON shows it: only what it has."""
    found = {name: getattr(row, name) for name in row.__slots__}
    return {name: value for name, value in found.items() if value not in ("", None)}


def _judged(
    name: str,
    what: str,
    value: float | None,
    budget: str,
    *,
    unit: str,
    kept: Callable[[float], bool],
) -> Row:
    if value is None:
        return Row(name=name, what=what, value="not measured", budget=budget)
    digits = 2 if value < 10 else 0  # noqa: PLR2004 -- three digits are enough to read
    return Row(
        name=name,
        what=what,
        value=f"{value:,.{digits}f} {unit}",
        budget=budget,
        verdict="pass" if kept(value) else "short",
    )


def _median(windows: Sequence[Sample], of: Callable[[Sample], float | None]) -> float | None:
    seen = [value for value in map(of, windows) if value is not None]
    return median(seen) if seen else None
