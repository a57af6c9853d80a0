"""How many numbers a pool needs: the published rule beside what arithmetic says.

Three questions, three answers: how many visitors are turned away (`domain.erlang`), how many in
the worst minute, and how soon a number is shown to somebody else (the reuse gap, which late calls
depend on). Pure: measured figures come from `services.sizing`.
"""

import math
from dataclasses import dataclass
from itertools import islice
from typing import Final

from dni_allocator.domain.erlang import arriving, blocking, erlang_b, numbers_for, taken
from dni_allocator.domain.pool import Selection

_HOUR_S: Final = 3600.0
_BUFFER: Final = 1.1
_MOST_POINTS: Final = 200


def published_size(per_hour: float, hold_s: float) -> int:
    """The rule of Dialics (help centre, "Number pools"): mean concurrency and a tenth more.

    ceil(peak impressions an hour / 3600 × (time on site + number lock) × 1.1); their example of
    100, 300 s and 30 s gives 11. It knows no chance: see `docs/sizing.md`.
    """
    # Rounded first, so that 11.000000000000002 does not become 12.
    return math.ceil(round(per_hour / _HOUR_S * hold_s * _BUFFER, 9))


def mean_hold_s(
    *, on_site_s: float, delay_s: float, idle_s: float, lost_beacons: float = 0.0
) -> float:
    """How long a number is locked: the visit, and the closed-browser delay after it.

    Where the beacon was lost (a share of visits, 0 to 1) it is the idle limit instead.
    """
    return on_site_s + (1 - lost_beacons) * min(delay_s, idle_s) + lost_beacons * idle_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a pool has to carry. `per_hour`: visitors who want a number, in the busiest hour.

    `peak_minute`: in the busiest minute; None: not known.
    """

    per_hour: float
    hold_s: float
    peak_minute: float | None = None

    @property
    def load(self) -> float:
        """Mean numbers wanted at a time, erlangs."""
        return self.per_hour / _HOUR_S * self.hold_s

    @property
    def peak_load(self) -> float | None:
        """The same at the end of the busiest minute, which came on top of the usual."""
        if self.peak_minute is None:
            return None
        extra = max(0.0, self.peak_minute - self.per_hour / 60)
        return self.load + extra * min(1.0, self.hold_s / 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """What is wanted.

    At most `turned_away` (a share, above 0) of visitors without a number. With `gap_s`: a number
    rests that long on average, and in all but `gap_share` of cases.
    """

    turned_away: float = 0.01
    gap_s: float | None = None
    gap_share: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a size gives. Shares are 0 to 1.

    `gap_s` is the mean reuse gap; None: nobody comes. `reused_early`: of leases whose number
    somebody else saw before the wanted gap was over; None: no gap is wanted.
    """

    numbers: int
    turned_away: float
    turned_away_per_hour: float
    peak_turned_away: float | None
    gap_s: float | None
    reused_early: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The answer. Sizes are the fewest numbers that do; None: not asked, or not known.

    `published` is the published rule; `erlang` keeps the share turned away in the busiest hour,
    `peak` also at the end of the busiest minute, `gap` the reuse gap on average, `gap_sure` in all
    but a share of cases. `recommended` is the greatest of the last four: what meets all goals.
    """

    traffic: Traffic
    goals: Goals
    published: int
    erlang: int
    peak: int | None
    gap: int | None
    gap_sure: int | None
    present: Outcome | None
    one_more: Outcome | None
    recommended: Outcome


def size(
    traffic: Traffic,
    goals: Goals,
    *,
    numbers: int | None = None,
    selection: Selection = Selection.LEAST_RECENTLY_RELEASED,
) -> Sizing:
    """Work out sizes, and what `numbers` (the present size), one more and the recommended give.

    O(result).
    """
    erlang = numbers_for(traffic.load, goals.turned_away)
    peak_load = traffic.peak_load
    peak = None if peak_load is None else numbers_for(peak_load, goals.turned_away)
    gap = gap_sure = None
    if goals.gap_s is not None:
        gap = numbers_for_mean_gap(traffic, goals.gap_s)
        gap_sure = numbers_for_gap(traffic, goals.gap_s, share=goals.gap_share, selection=selection)
    wanted = max(erlang, peak or 0, gap or 0, gap_sure or 0)

    def outcome(count: int) -> Outcome:
        return outcome_of(traffic, goals, count, selection=selection)

    return Sizing(
        traffic=traffic,
        goals=goals,
        published=published_size(traffic.per_hour, traffic.hold_s),
        erlang=erlang,
        peak=peak,
        gap=gap,
        gap_sure=gap_sure,
        present=None if numbers is None else outcome(numbers),
        one_more=None if numbers is None else outcome(numbers + 1),
        recommended=outcome(wanted),
    )


def outcome_of(traffic: Traffic, goals: Goals, numbers: int, *, selection: Selection) -> Outcome:
    """What so many numbers give."""
    share = erlang_b(traffic.load, numbers)
    peak_load = traffic.peak_load
    early = None
    if goals.gap_s is not None:
        early = reused_within(traffic, numbers, goals.gap_s, selection=selection)
    return Outcome(
        numbers=numbers,
        turned_away=share,
        turned_away_per_hour=share * traffic.per_hour,
        peak_turned_away=None if peak_load is None else erlang_b(peak_load, numbers),
        gap_s=mean_gap_s(traffic, numbers),
        reused_early=early,
    )


def curve(traffic: Traffic, *, most: int) -> list[tuple[int, float]]:
    """Size and share turned away, for 1 to `most` numbers; above 200 points not every size."""
    step = max(1, -(-most // _MOST_POINTS))
    shares = enumerate(islice(blocking(traffic.load), most + 1))
    return [(numbers, share) for numbers, share in shares if numbers and numbers % step == 0]


# --- the reuse gap -------------------------------------------------------------------------


def mean_gap_s(traffic: Traffic, numbers: int) -> float | None:
    """How long a number rests on average before somebody gets it; None: there is nobody, or none.

    Free numbers ÷ visitors served a second (Little's law), whichever number is taken first. Where
    few are turned away that is (N − A) ÷ λ.
    """
    if traffic.per_hour <= 0 or numbers == 0:
        return None
    served = 1 - erlang_b(traffic.load, numbers)
    if served <= 0:
        return 0.0
    return max(0.0, numbers - traffic.load * served) / (traffic.per_hour / _HOUR_S * served)


def numbers_for_mean_gap(traffic: Traffic, gap_s: float) -> int:
    """N ≥ A + λ·gap: the fewest numbers that rest `gap_s` on average when nobody is turned away."""
    return math.ceil(round(traffic.load + traffic.per_hour / _HOUR_S * gap_s, 9))


def reused_within(traffic: Traffic, numbers: int, gap_s: float, *, selection: Selection) -> float:
    """The share of releases after which somebody else has the number within `gap_s`.

    Least recently released first: the number waits behind all others that are free, and each
    visitor takes one, so it is taken by the visitor that makes it one more than those. With J
    numbers taken at the release (Poisson cut off, as a departure sees it) that is
    P(Poisson(λ·gap) + J ≥ N), and exact. Random: as if the mean number were free all along, which
    is near where few are turned away.
    """
    if traffic.per_hour <= 0 or numbers == 0 or gap_s <= 0:
        return 0.0
    if selection is Selection.RANDOM:
        mean = mean_gap_s(traffic, numbers)
        return 1 - math.exp(-gap_s / mean) if mean else 1.0
    # Who leaves sees what they would see of a pool without their own number.
    others = taken(traffic.load, numbers - 1)
    coming = arriving(traffic.per_hour / _HOUR_S * gap_s)
    return math.fsum(
        chance * coming.at_least(numbers - busy)
        for busy, chance in enumerate(others.each, start=others.first)
    )


def numbers_for_gap(traffic: Traffic, gap_s: float, *, share: float, selection: Selection) -> int:
    """The fewest numbers of which all but `share` rest at least `gap_s`. O(result · log result)."""
    if traffic.per_hour <= 0:
        return 0
    low, high = 0, max(1, numbers_for_mean_gap(traffic, gap_s))
    while reused_within(traffic, high, gap_s, selection=selection) > share:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if reused_within(traffic, middle, gap_s, selection=selection) > share:
            low = middle
        else:
            high = middle
    return high
