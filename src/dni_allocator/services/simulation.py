"""Simulations of a pool: who is turned away, whose call goes to whom, how soon numbers are reused.

Many short runs with different chance (replications) instead of a long one: each gives one figure,
and their spread gives the interval. Every pool meets the same visitors. The rules are those of
`domain.rehearsal`, which is proven to do what the scripts do.
"""

import heapq
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.history import NEVER_LEASED_MS, gap_bin, gap_bin_edges_s
from dni_allocator.domain.pool import heartbeat_for
from dni_allocator.domain.rehearsal import Rehearsal, Rules
from dni_allocator.services.simulated_traffic import HOUR_MS, Crowd, Visit, recorded_visits, visits

Progress = Callable[[], None]

EARLY_S: Final = (60, 300, 600, 900)
FEWEST_RUNS: Final = 5
MOST_VISITS: Final = 5_000_000

_BEAT, _LEAVE, _CALL = range(3)
_START: Final = 10**12
"""When the first visit begins: a real time, so that numbers nobody had yet are told from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is simulated: a crowd, the pools it meets, how often and for how long.

    `hours` are counted, after `warm_up_hours` that are not. With a `record` it is run as recorded,
    each time with other chance in what it does not tell, and nothing is left out.
    """

    crowd: Crowd
    pools: Sequence[tuple[int, Rules]]
    hours: float = 24.0
    warm_up_hours: float = 2.0
    runs: int = 20
    seed: int = 1
    record: Sequence[tuple[int, int | None]] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over runs, and half the width of its 95 % interval. None: it never came up."""

    mean: float
    half_width: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in the interval."""
        return abs(value - self.mean) <= self.half_width


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one pool did. Shares are 0 to 1.

    `turned_away`: of page views. `wrong`: of calls on a number that was the caller's own, those
    attributed to somebody else. `shared`: of calls, those by visitors who had no number of their
    own. `busy`: numbers leased at a time. `reused`: of leases of numbers that somebody else had
    before, those within so many seconds. `gaps`: all of them, see `domain.history.gap_bin`.
    """

    numbers: int
    rules: Rules
    views: int
    calls: int
    turned_away: Estimate
    wrong: Estimate | None
    shared: Estimate | None
    busy: Estimate
    reused: dict[int, Estimate | None]
    gaps: dict[int, int]


@dataclass(slots=True)
class _Counts:
    """One run of one pool."""

    arrivals: int = 0
    views: int = 0
    turned_away: int = 0
    calls: int = 0
    shared: int = 0
    wrong: int = 0
    busy: int = 0
    reused: int = 0
    early: Counter[int] = field(default_factory=Counter)
    gaps: Counter[int] = field(default_factory=Counter)


def simulate(plan: Plan, *, progress: Progress = lambda: None) -> list[Result]:
    """Run everything; `progress` is called after each run of each pool.

    Takes some 15 µs of CPU a visit, run and pool. Raises `InvalidRequest` for a plan that would
    take for ever or cannot have an interval.
    """
    if plan.runs < FEWEST_RUNS:
        raise InvalidRequest.at("runs", f"Fewer than {FEWEST_RUNS} give no interval.")
    busiest = max(plan.crowd.profile or (1.0,))
    hours = plan.hours + plan.warm_up_hours
    expected = len(plan.record) or plan.crowd.per_hour * busiest * hours
    if expected * plan.runs * len(plan.pools) > MOST_VISITS:
        raise InvalidRequest(
            f"More than {MOST_VISITS:,} visits in all: fewer hours, runs or pools."
        )
    counts: list[list[_Counts]] = [[] for _ in plan.pools]
    warm = 0 if plan.record else round(plan.warm_up_hours * HOUR_MS)
    for run in range(plan.runs):
        crowd = list(_crowd(plan, run))
        for at, (numbers, rules) in enumerate(plan.pools):
            # Not the visitors' chance: they are the same for each pool.
            chance = random.Random(f"{plan.seed} {run} pool")  # noqa: S311 -- no secret
            one = _Run(crowd, numbers, rules, warm=warm, chance=chance)
            counts[at].append(one.counts())
            progress()
    return [
        _result(numbers, rules, found)
        for (numbers, rules), found in zip(plan.pools, counts, strict=True)
    ]


def _crowd(plan: Plan, run: int) -> Iterable[Visit]:
    chance = random.Random(f"{plan.seed} {run} visitors")  # noqa: S311 -- no secret
    if plan.record:
        return recorded_visits(plan.crowd, plan.record, chance=chance)
    until = round((plan.hours + plan.warm_up_hours) * HOUR_MS)
    return visits(plan.crowd, until=until, chance=chance)


class _Run:
    """One pool meets one crowd."""

    def __init__(
        self,
        crowd: Sequence[Visit],
        numbers: int,
        rules: Rules,
        *,
        warm: int,
        chance: random.Random,
    ) -> None:
        self._crowd = crowd
        self._warm = warm
        places = [chance.randrange(NEVER_LEASED_MS) for _ in range(numbers)]
        self._pool = Rehearsal(rules, places, pick=chance.randrange)
        lock_s = min(rules.idle, rules.provisional or rules.idle) // 1000
        self._beat_ms = 1000 * heartbeat_for(lock_s)
        self._pending: list[tuple[int, int, int]] = []  # a heap: when, which visit, what
        self._shown: dict[int, int | None] = {}
        self._counts = _Counts()

    def counts(self) -> _Counts:
        """Play everything, and count what falls behind the warm-up.

        Calls of after the last visit are left out, as are those of visits before the warm-up was
        over that fall into it.
        """
        for visit, each in enumerate(self._crowd):
            self._play(each.starts)
            if each.starts >= self._warm:
                self._pool.settle(_START + each.starts)
                self._counts.arrivals += 1
                # What arrivals see is what there is on average.
                self._counts.busy += self._pool.leased
            self._view(visit, each.starts)
            heapq.heappush(self._pending, (each.leaves, visit, _LEAVE))
            if each.calls_at is not None:
                heapq.heappush(self._pending, (each.calls_at, visit, _CALL))
        return self._counts

    def _play(self, until: int) -> None:
        pending = self._pending
        while pending and pending[0][0] <= until:
            at, visit, what = heapq.heappop(pending)
            if what == _CALL:
                self._call(visit, at)
            elif what == _LEAVE:
                if self._crowd[visit].beacon:
                    self._pool.close(self._crowd[visit].visitor, visit, _START + at)
            else:
                self._beat(visit, at)

    def _view(self, visit: int, at: int) -> None:
        each, counts = self._crowd[visit], self._counts
        given = self._pool.assign(each.visitor, visit, _START + at)
        if each.calls_at is not None:
            self._shown[visit] = given.number
        if given.number is not None and at + self._beat_ms < each.leaves:
            heapq.heappush(self._pending, (at + self._beat_ms, visit, _BEAT))
        if at < self._warm:
            return
        counts.views += 1
        counts.turned_away += given.number is None
        if given.rested is not None:
            counts.reused += 1
            counts.gaps[gap_bin(given.rested)] += 1
            for seconds in EARLY_S:
                counts.early[seconds] += given.rested < 1000 * seconds

    def _beat(self, visit: int, at: int) -> None:
        each = self._crowd[visit]
        if not self._pool.heartbeat(each.visitor, visit, _START + at):
            self._view(visit, at)  # the tag was told that its number is gone, and asks again
        elif at + self._beat_ms < each.leaves:
            heapq.heappush(self._pending, (at + self._beat_ms, visit, _BEAT))

    def _call(self, visit: int, at: int) -> None:
        if at < self._warm:
            return
        self._counts.calls += 1
        number = self._shown[visit]
        if number is None:
            self._counts.shared += 1
            return
        holder = self._pool.holder(number, _START + at)
        self._counts.wrong += holder is not None and holder != self._crowd[visit].visitor


def _result(numbers: int, rules: Rules, runs: Sequence[_Counts]) -> Result:
    gaps: Counter[int] = Counter()
    for run in runs:
        gaps.update(run.gaps)
    turned_away = estimate([(run.turned_away, run.views) for run in runs])
    busy = estimate([(run.busy, run.arrivals) for run in runs])
    return Result(
        numbers=numbers,
        rules=rules,
        views=sum(run.views for run in runs),
        calls=sum(run.calls for run in runs),
        turned_away=turned_away or Estimate(0.0, 0.0),
        wrong=estimate([(run.wrong, run.calls - run.shared) for run in runs]),
        shared=estimate([(run.shared, run.calls) for run in runs]),
        busy=busy or Estimate(0.0, 0.0),
        reused={
            seconds: estimate([(run.early[seconds], run.reused) for run in runs])
            for seconds in EARLY_S
        },
        gaps=dict(sorted(gaps.items())),
    )


def estimate(parts: Iterable[tuple[int, int]]) -> Estimate | None:
    """A share of each run, as their mean with its 95 % interval (Student's t)."""
    shares = [part / whole for part, whole in parts if whole]
    if not shares:
        return None
    if len(shares) == 1:
        return Estimate(shares[0], math.inf)
    error = statistics.stdev(shares) / math.sqrt(len(shares))
    return Estimate(statistics.fmean(shares), student_t(len(shares) - 1) * error)


def student_t(freedom: int) -> float:
    """The 97.5 % point of Student's t, by expansion around the normal one.

    Right to three digits from four degrees of freedom on (Abramowitz and Stegun, 26.7.5).
    """
    z = statistics.NormalDist().inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))


def gap_shares(result: Result) -> list[tuple[float, float]]:
    """Seconds and the share of reuse gaps up to there: what a plot draws."""
    total, so_far = sum(result.gaps.values()), 0
    points = []
    for number, count in result.gaps.items():
        so_far += count
        points.append((gap_bin_edges_s(number)[1], so_far / total))
    return points
