"""What would a described visitor be given, and why? The same rules as `assign`, nothing written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dni_allocator.domain.conditions import Visit, all_hold
from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.lease import Reason
from dni_allocator.domain.matching import MatchFallback, Rank, Tier
from dni_allocator.domain.number import parse_number
from dni_allocator.domain.place import Place
from dni_allocator.domain.pool import Pool, RefusedSee, Selection
from dni_allocator.domain.robots import is_prefetch, is_refused
from dni_allocator.services.shelving import Shelving
from dni_allocator.store.explaining import Explained, Explaining, ShelfHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A visitor somebody asks about; what is not told is as if the page had not sent it."""

    destination: str | None = None
    """As the page writes it; None: the pool's default."""
    visitor_id: str = ""
    user_agent: str = ""
    purpose: str = ""
    network: str = ""
    """A network as the limits see it (`203.0.113.0/24`)."""
    url: str | None = None
    referrer: str | None = None
    fields: Mapping[str, str]


class Check(NamedTuple):
    """One question, in the order they are asked. `passed`: it does not stand in the way."""

    name: str
    passed: bool
    detail: str


class Candidate(NamedTuple):
    """A shelf in the order it is tried."""

    shelf: str
    rank: int
    """Shelves of equal rank count as one: of all their numbers the oldest wins."""
    tier: Tier
    distance_km: float | None
    place: Place | None
    """None in a pool that does not match: there is one shelf."""
    available: int
    """Numbers it has to give, those included whose lease is over."""
    next_number: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`status` and `reason` as `/assign` would answer; `number` None where chance decides."""

    destination: str
    status: str
    reason: Reason
    number: str | None
    checks: tuple[Check, ...]
    shelves: tuple[Candidate, ...]
    seen: Explained


_MOST_TRIES = 3


class Explainer:
    """Reads only. Raises `PoolUnknown`, `InvalidNumber`, `StoreUnavailable`."""

    def __init__(self, *, store: Explaining, shelving: Shelving) -> None:
        self._store = store
        self._shelving = shelving

    async def explain(self, pool: Pool, who: Described) -> Explanation:
        """Go through the questions `assign` asks; the first that stands in the way decides."""
        settings = pool.settings
        destination = settings.destinations[0]
        if who.destination is not None:
            destination = parse_number(who.destination, country=settings.country).e164
        seen = await self._seen(pool, who, destination)
        ranks, places = await self._shelving.ranks(pool, destination)
        shelves = _candidates(ranks, places, seen)
        checks: list[Check] = []
        stopped: Reason | None = None
        for check, reason in _questions(pool, who, destination, seen):
            checks.append(check)
            if not check.passed and stopped is None:
                stopped = reason
        status, reason, number = _outcome(pool, seen, shelves, stopped, checks)
        return Explanation(
            destination=destination,
            status=status,
            reason=reason,
            number=number,
            checks=tuple(checks),
            shelves=shelves,
            seen=seen,
        )

    async def _seen(self, pool: Pool, who: Described, destination: str) -> Explained:
        for _ in range(_MOST_TRIES):
            seen = await self._store.explain(
                pool, visitor_id=who.visitor_id, network=who.network, destination=destination
            )
            if seen is not None:
                return seen
            await self._shelving.order(pool, [destination])
        message = "The pool is being edited all the time."
        raise StoreUnavailable(message)


def _questions(
    pool: Pool, who: Described, destination: str, seen: Explained
) -> list[tuple[Check, Reason]]:
    settings = pool.settings
    visit = Visit(who.url, who.referrer, who.fields)
    entitled = bool(settings.reserve_for) and all_hold(settings.reserve_for, visit)
    free = seen.circulating - seen.leased + seen.over
    robot = is_refused(who.user_agent)
    held = seen.own is not None
    questions = [
        (Check("paused", not settings.paused, "A paused pool gives nothing."), Reason.PAUSED),
        (
            Check(
                "destination",
                destination in settings.destinations,
                "Only destinations of the pool's list are leased for.",
            ),
            Reason.NO_MATCH,
        ),
    ]
    if held:
        return questions
    return [
        *questions,
        (
            Check(
                "robot",
                not robot or settings.serve_robots,
                "Known robots get nothing, unless serve_robots says so.",
            ),
            Reason.BOT,
        ),
        (
            Check(
                "prefetch", not is_prefetch(who.purpose), "A page loaded in advance gets nothing."
            ),
            Reason.PREFETCH,
        ),
        (
            Check("serves", all_hold(settings.serves, visit), "All of serves must hold."),
            Reason.NOT_SERVED,
        ),
        (
            Check(
                "rate_limits",
                max(seen.visitor_wait_ms, seen.network_wait_ms) == 0
                and not _at_cap(pool, who, seen),
                "visitor_rate, address_rate and address_leases leave room; the network has "
                f"{seen.network_leases} live leases.",
            ),
            Reason.RATE_LIMITED,
        ),
        (
            Check(
                "reserve",
                entitled or settings.reserve_share == 0 or free > seen.kept,
                f"{seen.kept} numbers are kept for visitors of reserve_for; {free} can be given.",
            ),
            Reason.RESERVED,
        ),
    ]


def _at_cap(pool: Pool, who: Described, seen: Explained) -> bool:
    cap = pool.settings.address_leases
    return cap is not None and who.network != "" and seen.network_leases >= cap


def _candidates(
    ranks: tuple[Rank, ...], places: Mapping[str, Place], seen: Explained
) -> tuple[Candidate, ...]:
    nothing = ShelfHead("", 0, None, 0)
    found = []
    for at, rank in enumerate(ranks):
        heads = [seen.shelves.get(shelf, nothing) for shelf in rank.shelves]
        for shelf, head in zip(rank.shelves, heads, strict=True):
            found.append(
                Candidate(
                    shelf,
                    at,
                    rank.tier,
                    rank.distance_km,
                    places.get(shelf),
                    head.available,
                    head.number,
                )
            )
    return tuple(found)


def _outcome(
    pool: Pool,
    seen: Explained,
    shelves: tuple[Candidate, ...],
    stopped: Reason | None,
    checks: list[Check],
) -> tuple[str, Reason, str | None]:
    if stopped is not None:
        return _refused(pool, stopped)
    if seen.own is not None:
        return "leased", Reason.RENEWED, seen.own
    if seen.back is not None:
        return "leased", Reason.RETURNED, seen.back
    number = _first(shelves, seen)
    checks.append(
        Check("number", number is not None, "A number of a shelf that fits can be given.")
    )
    if number is None:
        return _without(pool, Reason.EXHAUSTED if shelves else Reason.UNMATCHED)
    at_random = pool.settings.selection is Selection.RANDOM
    return "leased", Reason.NEW, None if at_random else number


def _refused(pool: Pool, reason: Reason) -> tuple[str, Reason, str | None]:
    if reason is Reason.RESERVED:
        return _without(pool, reason)
    settings = pool.settings
    # Neither reaches the script, which is what knows of shared numbers.
    original = reason in {Reason.PAUSED, Reason.NO_MATCH}
    if original or settings.refused_see is RefusedSee.ORIGINAL or not settings.overflow_numbers:
        return "original", reason, None
    return "overflow", reason, None


def _first(shelves: tuple[Candidate, ...], seen: Explained) -> str | None:
    """The number released longest ago on the best rank that has one."""
    best: int | None = None
    chosen: str | None = None
    oldest = float("inf")
    for candidate in shelves:
        if candidate.next_number is None:
            continue
        if best is not None and candidate.rank != best:
            break
        best = candidate.rank
        released_ms = seen.shelves[candidate.shelf].released_ms
        if released_ms < oldest:
            chosen, oldest = candidate.next_number, released_ms
    return chosen


def _without(pool: Pool, reason: Reason) -> tuple[str, Reason, str | None]:
    settings = pool.settings
    hidden = settings.match.value != "none" and settings.match_fallback is MatchFallback.ORIGINAL
    if settings.overflow_numbers and not hidden:
        return "overflow", reason, None
    return "original", reason, None
