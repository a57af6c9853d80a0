"""Visitors made up for a simulation, or read from a record: when they come and what they do.

Everything random comes from the generator that is passed in, so a seed gives the same visitors
again, whatever pool they meet. Times are ms from the beginning.
"""

import csv
import heapq
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from dni_allocator.domain.errors import InvalidRequest

HOUR_MS: Final = 3_600_000
_DAY_HOURS: Final = 24
_SPREAD: Final = 1.0
"""Of the logarithm of log-normal visits: long ones are some seven times the middle one."""

OFFICE: Final = (
    0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.4, 0.9, 1.6, 2.1, 2.2, 2.1, 1.8, 1.9, 2.0, 1.9, 1.7, 1.4, 1.1,
    0.9, 0.7, 0.5, 0.3, 0.2,
)  # fmt: skip
"""Hours of a day of a business-to-business site, as made up for demonstrations: mean about 1."""


class Lengths(StrEnum):
    """How visits vary in length."""

    EXPONENTIAL = "exponential"
    FIXED = "fixed"
    LOGNORMAL = "lognormal"


class Visit(NamedTuple):
    """One visitor on one page. `calls_at` None: never; it may lie after the visit."""

    visitor: int
    starts: int
    leaves: int
    beacon: bool
    calls_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What visitors are like.

    `per_hour` visits on average, times `profile` by the hour of the day (24 factors; empty: level).
    A burst multiplies that by `burst_factor` for `burst_s`, `bursts_per_day` times a day.
    `returning` of visitors come again, `away_s` after they left, on average. `calling` of visits
    lead to a call: half of them from the page, the others `call_delay_s` after, on average.
    """

    per_hour: float
    on_site_s: float
    lengths: Lengths = Lengths.EXPONENTIAL
    lost_beacons: float = 0.0
    returning: float = 0.0
    away_s: float = 1800.0
    calling: float = 0.05
    call_delay_s: float = 300.0
    profile: tuple[float, ...] = ()
    bursts_per_day: float = 0.0
    burst_factor: float = 5.0
    burst_s: float = 300.0


def visits(crowd: Crowd, *, until: int, chance: random.Random) -> Iterator[Visit]:
    """Visits by when they start. Those of returning visitors are among them."""
    arrivals = _arrivals(crowd, until=until, chance=chance)
    return _merged(_first_visits(crowd, arrivals, chance), crowd, until=until, chance=chance)


def recorded_visits(
    crowd: Crowd, record: Sequence[tuple[int, int | None]], *, chance: random.Random
) -> Iterator[Visit]:
    """Visits at recorded times; lengths that were not recorded are made up like the rest."""
    until = record[-1][0] + 1 if record else 0
    starts = iter(record)
    return _merged(_first_visits(crowd, starts, chance), crowd, until=until, chance=chance)


def read_record(path: Path) -> list[tuple[int, int | None]]:
    """Arrivals of a CSV file: when (ISO 8601 or seconds), and how long, seconds, if known.

    In any order, with or without a line of names. Times count from the first. Raises
    `InvalidRequest` naming the line.
    """
    rows: list[tuple[float, float | None]] = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise InvalidRequest.at("arrivals", "The file cannot be read.") from error
    for number, row in enumerate(csv.reader(lines), start=1):
        if not row or (number == 1 and not any(character.isdigit() for character in row[0])):
            continue
        try:
            length = float(row[1]) if len(row) > 1 and row[1].strip() else None
            rows.append((_seconds(row[0].strip()), length))
        except ValueError as error:
            raise InvalidRequest.at("arrivals", f"Line {number} is no time.") from error
        if not all(math.isfinite(value) and value >= 0 for value in rows[-1] if value is not None):
            raise InvalidRequest.at("arrivals", f"Line {number} is no time.")
    if not rows:
        raise InvalidRequest.at("arrivals", "The file holds none.")
    rows.sort(key=lambda each: each[0])
    first = rows[0][0]
    return [
        (round((at - first) * 1000), None if length is None else round(length * 1000))
        for at, length in rows
    ]


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()


def _arrivals(
    crowd: Crowd, *, until: int, chance: random.Random
) -> Iterator[tuple[int, int | None]]:
    """Poisson arrivals of a rate that varies, by thinning (Lewis and Shedler, 1979)."""
    bursts = _bursts(crowd, until=until, chance=chance)
    factor = crowd.burst_factor if bursts else 1.0
    most = crowd.per_hour / HOUR_MS * max(crowd.profile or (1.0,)) * max(1.0, factor)
    if most <= 0:
        return
    at, burst = 0.0, 0
    while True:
        at += chance.expovariate(most)
        if at >= until:
            return
        rate = crowd.per_hour / HOUR_MS
        if crowd.profile:
            rate *= crowd.profile[int(at // HOUR_MS) % _DAY_HOURS]
        while burst < len(bursts) and bursts[burst][1] <= at:
            burst += 1
        if burst < len(bursts) and bursts[burst][0] <= at:
            rate *= crowd.burst_factor
        if chance.random() * most < rate:
            yield int(at), None


def _bursts(crowd: Crowd, *, until: int, chance: random.Random) -> list[tuple[int, int]]:
    """When bursts begin and end, ms."""
    found: list[tuple[int, int]] = []
    if crowd.bursts_per_day <= 0:
        return found
    at = 0.0
    while True:
        at += chance.expovariate(crowd.bursts_per_day / _DAY_HOURS / HOUR_MS)
        if at >= until:
            return found
        found.append((int(at), int(at + crowd.burst_s * 1000)))
        at = found[-1][1]


def _first_visits(
    crowd: Crowd, arrivals: Iterator[tuple[int, int | None]], chance: random.Random
) -> Iterator[Visit]:
    for visitor, (at, length) in enumerate(arrivals):
        yield _visit(crowd, visitor, at, length, chance)


def _visit(crowd: Crowd, visitor: int, at: int, length: int | None, chance: random.Random) -> Visit:
    if length is None:
        length = round(1000 * _length_s(crowd, chance))
    beacon = chance.random() >= crowd.lost_beacons
    calls_at = None
    if chance.random() < crowd.calling:
        if chance.random() < 0.5:  # noqa: PLR2004 -- half
            calls_at = at + int(length * chance.random())
        else:
            calls_at = at + length + round(1000 * _exponential(crowd.call_delay_s, chance))
    return Visit(visitor, at, at + length, beacon, calls_at)


def _length_s(crowd: Crowd, chance: random.Random) -> float:
    if crowd.lengths is Lengths.FIXED:
        return crowd.on_site_s
    if crowd.lengths is Lengths.LOGNORMAL and crowd.on_site_s > 0:
        # So that the mean is the wanted one.
        return chance.lognormvariate(math.log(crowd.on_site_s) - _SPREAD**2 / 2, _SPREAD)
    return _exponential(crowd.on_site_s, chance)


def _exponential(mean: float, chance: random.Random) -> float:
    return chance.expovariate(1 / mean) if mean > 0 else 0.0


def _merged(
    first: Iterator[Visit], crowd: Crowd, *, until: int, chance: random.Random
) -> Iterator[Visit]:
    """First visits and those of visitors who come again, by when they start."""
    again: list[tuple[int, int]] = []  # a heap of when and who

    def seen(visit: Visit) -> Visit:
        if chance.random() < crowd.returning:
            back = visit.leaves + round(1000 * _exponential(crowd.away_s, chance))
            if back < until:
                heapq.heappush(again, (back, visit.visitor))
        return visit

    for visit in first:
        while again and again[0][0] <= visit.starts:
            at, visitor = heapq.heappop(again)
            yield seen(_visit(crowd, visitor, at, None, chance))
        yield seen(visit)
    while again:
        at, visitor = heapq.heappop(again)
        yield seen(_visit(crowd, visitor, at, None, chance))
