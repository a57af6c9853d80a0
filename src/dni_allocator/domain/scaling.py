"""How large a pool should be now, and what to do about it: the rules of scaling, as arithmetic.

The need of an hour is what Erlang's formula asks for its load, and never less than was leased at
once. A pool grows to what it needs now or will need soon, by what the same hours were a week ago.
It shrinks slowly, and never below what any hour of the last week needed, so that it does not sell
in the evening what it must buy in the morning. Knows neither vendors nor where history is kept.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from dni_allocator.domain.erlang import MOST_LOAD, numbers_for
from dni_allocator.domain.history import HOUR_MS, Bucket
from dni_allocator.domain.shop import Wanted

WEEK_MS: Final = 7 * 24 * HOUR_MS
_DAY_MS: Final = 24 * HOUR_MS
_TREND: Final = (0.5, 2.0)
_TREND_FROM: Final = 50
"""Fewer arrivals in a day a week ago say nothing about a trend."""

_MOST_LOST: Final = 0.5
"""Pages that got none count each view, so a visitor counts several times: no more than half of the
load is taken for lost in one look. The next look, after the pool grew, knows better."""

_NOTED_HOURS: Final = 24
"""Hours of the last week in which something must have been noted before a pool shrinks."""


class Mode(StrEnum):
    """Who has the last word."""

    APPROVAL = "approval"
    """Decisions that cost or lose numbers wait for a person."""
    AUTOMATIC = "automatic"


class Action(StrEnum):
    """What is decided."""

    GROW = "grow"
    SHRINK = "shrink"
    STAY = "stay"


class DecisionState(StrEnum):
    """What becomes of a decision."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    """It is being carried out."""
    APPLIED = "applied"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Nobody said anything for a day."""
    BLOCKED = "blocked"
    """It would, and may not: the reasons say why."""
    DRY_RUN = "dry_run"


OPEN: Final = frozenset({DecisionState.PROPOSED, DecisionState.APPROVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRules:
    """What an operator allows. Durations in seconds, shares 0 to 1; see docs/autoscale.md.

    `wanted` are the numbers to buy, `vendor` "" the pool's. `grow_share` and `step_cap` bound one
    step, as Invoca's do. Least and greatest size are the pool's own.
    """

    wanted: Wanted
    vendor: str = ""
    mode: Mode = Mode.APPROVAL
    dry_run: bool = False
    turned_away_target: float = 0.01
    grow_share: float = 0.2
    step_cap: int = 50
    cool_down_s: int = 300
    lead_s: int = 3600
    shrinks: bool = True
    shrink_step: int = 5
    shrink_cool_down_s: int = 86_400
    headroom_share: float = 0.1
    rest_s: int = 259_200
    budget_per_month: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """This month: rent of what is held, rent of what was given back, what was paid once."""

    held: Decimal = Decimal(0)
    released: Decimal = Decimal(0)
    upfront: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """All of it."""
        return self.held + self.released + self.upfront


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a decision is made from, at `now_ms`.

    `attached`, `leased`, `quarantined` (lying free in quarantine) are the pool's; `resting` of
    those are on their way back and can be recalled; `on_order` are bought and not there yet;
    `releasable` lie free and were bought. `recent` is the last minutes as one bucket, `hours` the
    buckets of hours since eight days ago by their start. `unit` is what one number costs in its
    first month; None: not known. Times of the last growth and shrinking are None where there was
    none.
    """

    now_ms: int
    attached: int
    leased: int
    quarantined: int = 0
    resting: int = 0
    on_order: int = 0
    releasable: int = 0
    recent: Bucket
    hours: Mapping[int, Bucket] = field(default_factory=dict)
    least: int = 0
    most: int | None = None
    unit: Decimal | None = None
    spending: Spending = field(default_factory=Spending)
    grew_ms: int | None = None
    shrank_ms: int | None = None

    @property
    def size(self) -> int:
        """Numbers in circulation, and those that are on order."""
        return self.attached - self.quarantined + self.on_order


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, as a stable word and a sentence for a person."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do: buy, take back from rest, or let go. `blocked`: it would, and may not."""

    action: Action
    needed: int
    size: int
    buy: int = 0
    recall: int = 0
    release: int = 0
    blocked: bool = False
    reasons: Sequence[Reason] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict on record. `numbers`: those that a shrinking chose."""

    id: str
    pool_id: str
    created_ms: int
    updated_ms: int
    action: Action
    state: DecisionState
    size: int
    needed: int
    buy: int = 0
    recall: int = 0
    release: int = 0
    reasons: tuple[Reason, ...] = ()
    numbers: tuple[str, ...] = ()
    purchase_id: str = ""
    problem: str = ""

    @property
    def closed(self) -> bool:
        """Whether nothing will happen any more."""
        return self.state not in OPEN


def lost_share(bucket: Bucket) -> float:
    """The share of pages that wanted a number and got none."""
    return (bucket.overflow + bucket.turned_away) / bucket.offered if bucket.offered else 0.0


def load_of(bucket: Bucket) -> float:
    """The load that was offered, erlangs: what was carried, and what was turned away."""
    carried = bucket.leased_mean
    if carried is None:
        return 0.0
    return min(MOST_LOAD, carried / (1 - min(lost_share(bucket), _MOST_LOST)))


def need_of(bucket: Bucket, rules: ScalingRules, *, factor: float = 1.0) -> int:
    """The numbers that the traffic of a bucket asks for; `factor` times that traffic."""
    load = load_of(bucket) * factor
    if load <= 0:
        return 0
    by_load = numbers_for(load, rules.turned_away_target)
    return max(by_load, math.ceil(bucket.leased_peak * factor))


def trend_of(picture: Picture) -> float:
    """How much busier the last day was than the same day a week ago, within bounds.

    Hours that are not known of both days are left out.
    """
    now = before = 0
    for start, bucket in picture.hours.items():
        earlier = picture.hours.get(start - WEEK_MS)
        if picture.now_ms - _DAY_MS <= start < picture.now_ms and earlier is not None:
            now += bucket.offered
            before += earlier.offered
    if before < _TREND_FROM:
        return 1.0
    return max(_TREND[0], min(_TREND[1], now / before))


def decide(picture: Picture, rules: ScalingRules) -> Verdict:
    """What to do now. The same picture and rules give the same verdict."""
    now_need = max(need_of(picture.recent, rules), picture.leased)
    trend = trend_of(picture)
    soon = {
        start: need_of(picture.hours[start], rules, factor=trend)
        for start in _hours(picture.now_ms - WEEK_MS, rules.lead_s * 1000)
        if start in picture.hours
    }
    soon_need = max(soon.values(), default=0)
    needed = max(now_need, soon_need, picture.least)
    if needed > picture.size:
        reasons = _why_more(picture, rules, now_need=now_need, soon_need=soon_need, trend=trend)
        return _grown(picture, rules, needed=needed, reasons=reasons)
    return _shrunk(picture, rules, needed=needed)


def _why_more(
    picture: Picture, rules: ScalingRules, *, now_need: int, soon_need: int, trend: float
) -> list[Reason]:
    reasons = []
    if picture.least > picture.size:
        reasons.append(Reason("min_size", f"The pool should have {picture.least} at least."))
    lost = lost_share(picture.recent)
    if lost > rules.turned_away_target:
        detail = f"{lost:.1%} found no number lately; {rules.turned_away_target:.1%} is the target."
        reasons.append(Reason("turned_away", detail))
    if now_need > picture.size:
        detail = f"The load is {load_of(picture.recent):.1f}, which needs {now_need} numbers."
        reasons.append(Reason("load", detail))
    if soon_need > picture.size:
        detail = f"A week ago, times {trend:.2f}, the hour to come needed {soon_need} numbers."
        reasons.append(Reason("learnt_peak", detail))
    return reasons


def _grown(picture: Picture, rules: ScalingRules, *, needed: int, reasons: list[Reason]) -> Verdict:
    size, now_ms = picture.size, picture.now_ms
    if picture.grew_ms is not None and now_ms - picture.grew_ms < rules.cool_down_s * 1000:
        reasons.append(Reason("cool_down", f"It grew less than {rules.cool_down_s} s ago."))
        return _stay(picture, needed=needed, reasons=reasons, blocked=False)
    share = max(1, math.ceil(size * rules.grow_share), picture.least - size)
    step = min(needed - size, share, rules.step_cap)
    if step < needed - size:
        reasons.append(Reason("step", f"{needed - size} are missing, {step} are one step."))
    if picture.most is not None:
        room = max(0, picture.most - picture.attached - picture.on_order + picture.resting)
        if room < step:
            reasons.append(Reason("max_size", f"The pool may have {picture.most} numbers."))
        step = min(step, room)
    recall = min(step, picture.resting)
    buy = _affordable(picture, rules, step - recall, reasons=reasons)
    if buy + recall == 0:
        return _stay(picture, needed=needed, reasons=reasons, blocked=True)
    if recall:
        reasons.append(Reason("recalled", f"{recall} that rest are taken back first."))
    return Verdict(
        action=Action.GROW,
        needed=needed,
        size=size,
        buy=buy,
        recall=recall,
        reasons=tuple(reasons),
    )


def _stay(picture: Picture, *, needed: int, reasons: list[Reason], blocked: bool) -> Verdict:
    return Verdict(
        action=Action.STAY,
        needed=needed,
        size=picture.size,
        blocked=blocked,
        reasons=tuple(reasons),
    )


def _affordable(
    picture: Picture, rules: ScalingRules, wanted: int, *, reasons: list[Reason]
) -> int:
    """How many of the numbers wanted the budget of the month has room for."""
    budget, unit = rules.budget_per_month, picture.unit
    if budget is None or wanted == 0:
        return wanted
    if unit is None:
        reasons.append(Reason("price_unknown", "The vendor names no price, so none is bought."))
        return 0
    left = budget - picture.spending.total
    can = wanted if unit <= 0 else min(wanted, max(0, int(left / unit)))
    if can < wanted:
        detail = f"{left:.2f} of {budget:.2f} are left, a number costs {unit:.2f}."
        reasons.append(Reason("budget", detail))
    return can


def _shrunk(picture: Picture, rules: ScalingRules, *, needed: int) -> Verdict:
    stay = Verdict(action=Action.STAY, needed=needed, size=picture.size)
    now_ms = picture.now_ms
    week = [
        bucket
        for start, bucket in picture.hours.items()
        if now_ms - WEEK_MS <= start <= now_ms and bucket.samples
    ]
    learnt = any(start < now_ms - WEEK_MS for start in picture.hours)
    if not rules.shrinks or not learnt or len(week) < _NOTED_HOURS:
        return stay
    wait_ms = rules.shrink_cool_down_s * 1000
    for before in (picture.grew_ms, picture.shrank_ms):
        if before is not None and now_ms - before < wait_ms:
            return stay
    most = max(need_of(bucket, rules) for bucket in week)
    kept = max(needed, math.ceil(most * (1 + rules.headroom_share)))
    # Numbers on order are not there to be given back, and live leases keep theirs.
    step = min(picture.size - kept, rules.shrink_step, picture.releasable)
    if step <= 0 or picture.on_order:
        return stay
    detail = (
        f"No hour of the last week needed more than {most}; "
        f"with {rules.headroom_share:.0%} to spare that is {kept}, and there are {picture.size}."
    )
    return Verdict(
        action=Action.SHRINK,
        needed=kept,
        size=picture.size,
        release=step,
        reasons=(Reason("idle", detail),),
    )


def _hours(from_ms: int, for_ms: int) -> range:
    """The starts of the hours that a span touches."""
    return range(from_ms // HOUR_MS * HOUR_MS, from_ms + for_ms + 1, HOUR_MS)
