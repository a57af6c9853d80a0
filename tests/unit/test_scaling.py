"""How large a pool should be: the rules of scaling on pictures, and over two simulated weeks."""

import heapq
import random
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from dni_allocator.domain.erlang import numbers_for
from dni_allocator.domain.history import HOUR_MS, MINUTE_MS, Bucket, joined
from dni_allocator.domain.scaling import (
    WEEK_MS,
    Action,
    Picture,
    ScalingRules,
    Spending,
    Verdict,
    decide,
    trend_of,
)
from dni_allocator.domain.shop import Wanted

NOW = 3_000 * WEEK_MS
RULES = ScalingRules(wanted=Wanted(country="US"))
QUIET = Bucket(start_ms=NOW)


def busy(
    load: float, *, peak: int | None = None, turned_away: int = 0, arrivals: int = 100
) -> Bucket:
    """A bucket in which so many numbers were leased on average."""
    return Bucket(
        start_ms=NOW,
        arrivals=arrivals,
        turned_away=turned_away,
        samples=100,
        leased_sum=round(load * 100),
        numbers_sum=1000,
        leased_peak=round(load) if peak is None else peak,
    )


def picture(**changes: object) -> Picture:
    """A pool of ten numbers in which nothing happens."""
    base = Picture(now_ms=NOW, attached=10, leased=0, releasable=10, recent=QUIET)
    # mypy cannot match names of a ** mapping with fields; a wrong one raises at once.
    return replace(base, **changes)  # type: ignore[arg-type]


def codes(verdict: Verdict) -> list[str]:
    """Its reasons."""
    return [reason.code for reason in verdict.reasons]


def a_week(load: float, *, peak: int | None = None) -> dict[int, Bucket]:
    """Eight days of hours of one load."""
    hour = busy(load, peak=peak)
    return {
        start: replace(hour, start_ms=start)
        for start in range(NOW - WEEK_MS - 24 * HOUR_MS, NOW, HOUR_MS)
    }


def test_a_pool_grows_to_what_erlang_asks_for_the_load() -> None:
    """Ten erlangs need eighteen numbers for one in a hundred turned away, in steps of a fifth."""
    verdict = decide(picture(recent=busy(10.0), leased=10), RULES)

    assert verdict.needed == numbers_for(10.0, 0.01) == 18
    assert (verdict.action, verdict.buy) == (Action.GROW, 2)
    assert codes(verdict) == ["load", "step"]


def test_visitors_who_were_turned_away_count_as_load() -> None:
    """A full pool looks less busy than it is."""
    carried = decide(picture(recent=busy(9.0)), RULES)
    lost = decide(picture(recent=busy(9.0, turned_away=50)), RULES)

    assert lost.needed > carried.needed
    assert "turned_away" in codes(lost)


def test_a_pool_grows_before_the_peak_it_has_learnt() -> None:
    """Nobody is there yet; a week ago the hour that comes now was full."""
    hours = {NOW - WEEK_MS: busy(15.0)}

    verdict = decide(picture(hours=hours), RULES)
    without_lead = decide(
        picture(hours={NOW - WEEK_MS + 2 * HOUR_MS: busy(15.0)}), replace(RULES, lead_s=0)
    )

    assert (verdict.action, codes(verdict)[0]) == (Action.GROW, "learnt_peak")
    assert verdict.needed == numbers_for(15.0, 0.01)
    assert without_lead.action is Action.STAY


def test_the_learnt_peak_follows_the_trend_within_bounds() -> None:
    """Twice as busy a day as a week ago: the peak will be, too; more than twice is not believed."""
    hours = {NOW - WEEK_MS - HOUR_MS: busy(1, arrivals=100), NOW - HOUR_MS: busy(1, arrivals=900)}
    # Two hours ago nobody looked a week before: that says nothing.
    hours[NOW - 2 * HOUR_MS] = busy(1, arrivals=9_000)
    slower = {NOW - WEEK_MS - HOUR_MS: busy(1, arrivals=100), NOW - HOUR_MS: busy(1, arrivals=80)}
    calm = {NOW - WEEK_MS - HOUR_MS: busy(1, arrivals=10), NOW - HOUR_MS: busy(1, arrivals=900)}

    assert trend_of(picture(hours=hours)) == 2.0
    assert trend_of(picture(hours=slower)) == 0.8
    assert trend_of(picture(hours=calm)) == 1.0


@pytest.mark.parametrize(
    ("changes", "rules", "bought", "code"),
    [
        ({}, {"grow_share": 10.0, "step_cap": 3}, 3, "step"),
        ({"most": 11}, {}, 1, "max_size"),
        ({"most": 10}, {}, 0, "max_size"),
        ({"on_order": 8}, {}, 0, None),
        ({"grew_ms": NOW - 1}, {}, 0, "cool_down"),
        ({"unit": Decimal(2)}, {"budget_per_month": Decimal(3)}, 1, "budget"),
        ({"unit": Decimal(4)}, {"budget_per_month": Decimal(3)}, 0, "budget"),
        ({}, {"budget_per_month": Decimal(3)}, 0, "price_unknown"),
        (
            {"unit": Decimal(1), "spending": Spending(released=Decimal(2), upfront=Decimal(1))},
            {"budget_per_month": Decimal(3)}, 0, "budget",
        ),
    ],
)  # fmt: skip
def test_no_step_is_larger_than_it_may(
    changes: dict[str, object], rules: dict[str, object], bought: int, code: str | None
) -> None:
    """Step cap, greatest size, what is on order, cool-down, and the budget of the month."""
    # As in `picture`.
    allowed = replace(RULES, **rules)  # type: ignore[arg-type]

    verdict = decide(picture(recent=busy(10.0), **changes), allowed)

    assert verdict.buy == bought
    assert code is None or code in codes(verdict)


def test_numbers_that_rest_are_taken_back_before_any_is_bought() -> None:
    """They are paid for until the end of the month anyway."""
    verdict = decide(
        picture(attached=12, quarantined=2, resting=1, recent=busy(10.0)),
        RULES,
    )

    assert (verdict.recall, verdict.buy) == (1, 1)
    assert "recalled" in codes(verdict)


def test_the_least_size_is_reached_in_one_step_up_to_the_cap() -> None:
    """A new pool has nothing to take a share of."""
    verdict = decide(picture(attached=0, least=80), RULES)

    assert (verdict.buy, codes(verdict)) == (50, ["min_size", "step"])


def test_a_pool_shrinks_slowly_to_what_its_busiest_hour_needed() -> None:
    """With a tenth to spare, five at a time, a day apart."""
    hours = a_week(2.0, peak=4)

    verdict = decide(picture(attached=40, releasable=40, hours=hours), RULES)
    kept = -(-numbers_for(2.0, 0.01) * 11 // 10)

    assert (verdict.action, verdict.release) == (Action.SHRINK, 5)
    assert verdict.needed == kept
    assert decide(picture(attached=kept, hours=hours), RULES).action is Action.STAY


@pytest.mark.parametrize(
    "changes",
    [
        {"hours": {start: each for start, each in a_week(2.0).items() if start >= NOW - WEEK_MS}},
        {"grew_ms": NOW - HOUR_MS},
        {"shrank_ms": NOW - HOUR_MS},
        {"on_order": 1},
        {"releasable": 0},
        {"leased": 40},
        {"least": 40},
        {"hours": a_week(2.0) | {NOW - 100 * HOUR_MS: busy(30.0)}},
    ],
    ids=["not-learnt", "just-grew", "just-shrank", "on-order", "none-free", "leased", "least",
         "one-busy-hour"],
)  # fmt: skip
def test_a_pool_does_not_shrink_while_anything_speaks_against_it(
    changes: dict[str, object],
) -> None:
    """Never below live leases, nor on a day's evidence, nor right after a step."""
    given = {"attached": 40, "releasable": 40, "hours": a_week(2.0), **changes}

    assert decide(picture(**given), RULES).action is Action.STAY


@dataclass(slots=True)
class Town:
    """Visitors over two weeks, a pool with real limits, and the rules at its side."""

    rules: ScalingRules
    numbers: int
    seed: int
    price: Decimal = Decimal("1.15")
    hold_s: float = 330.0
    leased: list[float] = field(default_factory=list)
    minutes: dict[int, Bucket] = field(default_factory=dict)
    hours: dict[int, Bucket] = field(default_factory=dict)
    steps: list[tuple[int, int]] = field(default_factory=list)
    asked: int = 0
    lost: int = 0
    spending: Spending = field(default_factory=Spending)

    def rate(self, at_s: float) -> float:
        """Visitors an hour: quiet nights, an afternoon peak, half of it at weekends."""
        hour, day = at_s / 3600 % 24, int(at_s // 86_400) % 7
        daily = 6 + 84 * max(0.0, 1 - abs(hour - 15) / 8)
        return daily * (0.5 if day >= 5 else 1.0)

    def week(self, start_s: int) -> None:
        """Let a week pass, a decision every ten minutes."""
        chance = random.Random(self.seed + start_s)  # noqa: S311 -- a simulation, with a seed
        for tick_s in range(start_s, start_s + 7 * 86_400, 600):
            for minute_s in range(tick_s, tick_s + 600, 60):
                self._minute(minute_s, chance)
            self._decide((tick_s + 600) * 1000)

    def _minute(self, at_s: int, chance: random.Random) -> None:
        arrived = lost = peak = 0
        moment = at_s + chance.expovariate(self.rate(at_s) / 3600)
        while moment < at_s + 60:
            while self.leased and self.leased[0] <= moment:
                heapq.heappop(self.leased)
            if len(self.leased) < self.numbers:
                heapq.heappush(self.leased, moment + chance.expovariate(1 / self.hold_s))
                arrived += 1
            else:
                lost += 1
            peak = max(peak, len(self.leased))
            moment += chance.expovariate(self.rate(at_s) / 3600)
        while self.leased and self.leased[0] <= at_s + 60:
            heapq.heappop(self.leased)
        peak = max(peak, len(self.leased))
        bucket = Bucket(
            start_ms=at_s * 1000, arrivals=arrived, turned_away=lost, samples=1,
            leased_sum=len(self.leased), numbers_sum=self.numbers, leased_peak=peak,
        )  # fmt: skip
        self.asked += arrived + lost
        self.lost += lost
        self.minutes[bucket.start_ms] = bucket
        hour_ms = bucket.start_ms // HOUR_MS * HOUR_MS
        known = [self.hours[hour_ms]] if hour_ms in self.hours else []
        self.hours[hour_ms] = joined([*known, bucket])

    def _decide(self, now_ms: int) -> None:
        recent = [
            self.minutes[at]
            for at in range(now_ms - 60 * MINUTE_MS, now_ms, MINUTE_MS)
            if at in self.minutes
        ]
        since = now_ms - WEEK_MS - 24 * HOUR_MS
        seen = Picture(
            now_ms=now_ms,
            attached=self.numbers,
            leased=len(self.leased),
            releasable=self.numbers - len(self.leased),
            recent=joined(recent),
            hours={at: bucket for at, bucket in self.hours.items() if at >= since},
            unit=self.price,
            spending=self.spending,
            grew_ms=max((at for at, step in self.steps if step > 0), default=None),
            shrank_ms=max((at for at, step in self.steps if step < 0), default=None),
        )
        verdict = decide(seen, self.rules)
        change = verdict.buy - verdict.release
        if change:
            assert verdict.release <= self.numbers - len(self.leased)
            self.numbers += change
            self.steps.append((now_ms, change))
            self.spending = replace(
                self.spending,
                held=self.numbers * self.price,
                released=self.spending.released + verdict.release * self.price,
            )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_simulated_weeks_stay_under_target_and_budget_without_flapping(seed: int) -> None:
    """From far too few numbers: a week to learn, and then hardly anybody is turned away."""
    budget = Decimal("25.00")
    town = Town(replace(RULES, budget_per_month=budget), numbers=4, seed=seed)
    town.spending = Spending(held=4 * town.price)

    town.week(0)
    learnt = len(town.steps)
    town.asked = town.lost = 0
    town.week(7 * 86_400)

    assert town.asked > 4_000
    assert town.lost / town.asked < town.rules.turned_away_target
    assert town.spending.total <= budget
    downs = [at for at, step in town.steps if step < 0]
    ups = [at for at, step in town.steps if step > 0]
    assert all(abs(up - down) >= 24 * HOUR_MS for up in ups for down in downs)
    assert len(town.steps) - learnt <= 4


def test_a_pool_that_lost_its_traffic_lets_its_numbers_go_and_keeps_what_it_needs() -> None:
    """A campaign ends: five numbers a day, down to what the quiet weeks need."""
    town = Town(replace(RULES, shrink_step=5), numbers=60, seed=4)

    for week in range(3):
        town.week(week * 7 * 86_400)

    steps = [step for _, step in town.steps]
    assert steps
    assert all(step < 0 for step in steps)
    apart = [after - before for (before, _), (after, _) in zip(town.steps, town.steps[1:])]  # noqa: B905 -- one shorter on purpose
    assert min(apart) >= 24 * HOUR_MS
    assert numbers_for(7.5, 0.01) <= town.numbers < 25


def test_numbers_on_order_count_against_the_most_a_pool_may_have() -> None:
    """They are paid for as soon as they come, though nobody can be given one yet."""
    bounds = {"most": 12, "recent": busy(10.0), "leased": 10}
    rules = replace(RULES, grow_share=1.0, step_cap=100)

    assert decide(picture(**bounds), rules).buy == 2
    assert decide(picture(**bounds, on_order=1), rules).buy == 1
    blocked = decide(picture(**bounds, on_order=2), rules)
    assert (blocked.buy, blocked.blocked) == (0, True)
    assert "max_size" in codes(blocked)
