"""Give a page its numbers, keep them while it lives, let them go when it closes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import orjson

from dni_allocator.domain.conditions import Visit, all_hold
from dni_allocator.domain.errors import InvalidNumber, InvalidRequest
from dni_allocator.domain.lease import (
    Alive,
    Answer,
    Assignment,
    Closing,
    Gone,
    Leased,
    Original,
    Overflow,
    PageRequest,
    Reason,
)
from dni_allocator.domain.marketing import names_of, search_of
from dni_allocator.domain.number import parse_number
from dni_allocator.domain.pool import Pool
from dni_allocator.services.ids import new_page_id, new_visitor_id
from dni_allocator.services.shelving import Shelving
from dni_allocator.services.sites import Sites
from dni_allocator.services.suggestions import Suggestions
from dni_allocator.store.leases import LeaseStore, Stale, Unordered

T = TypeVar("T")

_REFERRERS = (("referrer", ""), ("first_referrer", "first_"))
"""Fields of the tag that may name a search engine, and what stands before what they tell."""


class Page(Protocol):
    """What a page says of itself, shape checked, meaning not yet."""

    @property
    def visitor_id(self) -> str | None:
        """None: one is made."""
        ...

    @property
    def page_id(self) -> str | None:
        """None: one is made."""
        ...

    @property
    def destinations(self) -> Sequence[str] | None:
        """Numbers the page shows, as it writes them; None: the pool's default one."""
        ...

    @property
    def previous(self) -> Mapping[str, str | None]:
        """Destination -> the number this visitor had before."""
        ...

    @property
    def url(self) -> str | None:
        """Of the page."""
        ...

    @property
    def referrer(self) -> str | None:
        """Where the visitor came from."""
        ...

    @property
    def fields(self) -> Mapping[str, str]:
        """Marketing data."""
        ...

    @property
    def consent(self) -> str | None:
        """`none`: nothing is kept beside the lease."""
        ...


class Browser(Protocol):
    """What is known of the visitor's browser beside what the page says."""

    @property
    def robot(self) -> bool:
        """It says so itself."""
        ...

    @property
    def prefetch(self) -> bool:
        """The page is loaded in advance."""
        ...

    def network(self) -> str:
        """Where the visitor is, "" if that is not known; asked only by pools that limit it."""
        ...


class _Asked(NamedTuple):
    """One page view for several pools."""

    page: Page
    visitor_id: str
    page_id: str
    browser: Browser


class Allocation:
    """The tag's three calls. Each is one script per pool of the key, and safe to repeat."""

    def __init__(
        self, *, sites: Sites, leases: LeaseStore, shelving: Shelving, suggestions: Suggestions
    ) -> None:
        self._sites = sites
        self._leases = leases
        self._shelving = shelving
        self._suggestions = suggestions

    async def assign(
        self, page: Page, *, site_key: str, origin: str | None, browser: Browser
    ) -> Assignment:
        """Answer every destination of the page.

        Raises `UnknownKey`, `OriginNotAllowed`, `InvalidRequest` for a destination that is no
        phone number, `StoreUnavailable`.
        """
        visitor_id = page.visitor_id or new_visitor_id()
        page_id = page.page_id or new_page_id()
        # `_with_pools`, written out: a coroutine and a closure less for each page view.
        tries = 0
        while True:
            pools = self._sites.known(site_key, origin) or await self._sites.pools(
                site_key, origin=origin, tries=tries
            )
            if len(pools) > 1:
                across = await self._across(_Asked(page, visitor_id, page_id, browser), pools)
                if not isinstance(across, Stale):
                    return across
            else:
                pool = pools[0]
                wanted, allowed = _destinations(page.destinations, pool)
                # Also with nothing to lease: the script tells whether the pool is as we know it.
                answered = await self._leases.assign(
                    pool, _request(page, visitor_id, page_id, browser, pool, allowed=allowed)
                )
                if isinstance(answered, Unordered):
                    await self._shelving.order(pool, answered.destinations)
                    tries += 1
                    continue
                if not isinstance(answered, Stale):
                    if len(allowed) != len(wanted) and not pool.settings.paused:
                        await self._suggestions.note(pool, wanted)
                    answers = tuple(answered)
                    if len(answers) != len(wanted):
                        answers = _in_order(wanted, answers, paused=pool.settings.paused)
                    # As `Assignment(...)`, for half of its cost.
                    return tuple.__new__(
                        Assignment,
                        (
                            visitor_id,
                            page_id,
                            _heartbeat_s(answered, pool),
                            answers,
                            (pool,) * len(wanted),
                        ),
                    )
            self._sites.forget(site_key)
            tries += 1

    async def _across(self, asked: _Asked, pools: Sequence[Pool]) -> Assignment | Stale:
        """Answer a page by the first of several pools that has a number for it.

        A number that the visitor holds already is renewed first, whichever pool it is of: an
        earlier pool that has free numbers again does not change what the page shows. Two first
        page views of one visitor at the same instant may be answered by two pools.
        """
        wanted, _ = _destinations(asked.page.destinations, pools[0])
        best: dict[str, tuple[Pool, Answer]] = {}
        held = [self._ask(asked, pool, wanted, refusal=Reason.OTHER_POOL.value) for pool in pools]
        for pool, answers in zip(pools, await asyncio.gather(*held), strict=True):
            if isinstance(answers, Stale):
                return answers
            _keep_better(best, pool, answers)
        for pool in pools:
            left = tuple(
                each for each in wanted if each not in best or not isinstance(best[each][1], Leased)
            )
            if not left:
                break
            answers = await self._ask(asked, pool, left)
            if isinstance(answers, Stale):
                return answers
            _keep_better(best, pool, answers)
        given = [best.get(each, (pools[0], Original(each, Reason.NO_MATCH))) for each in wanted]
        beats = [
            pool.heartbeat_within(answer.expires_in_ms)
            for pool, answer in best.values()
            if isinstance(answer, Leased)
        ]
        if len(best) < len(wanted):
            await self._suggestions.note(pools[0], [each for each in wanted if each not in best])
        return Assignment(
            asked.visitor_id,
            asked.page_id,
            min(beats) if beats else None,
            tuple([answer for _, answer in given]),
            tuple([pool for pool, _ in given]),
        )

    async def _ask(
        self, asked: _Asked, pool: Pool, wanted: Sequence[str], *, refusal: str | None = None
    ) -> list[Answer] | Stale:
        """What one pool has for the destinations it knows."""
        paused, known = pool.settings.paused, pool.settings.destinations
        # Also with nothing to lease: the script tells whether the pool is as we know it.
        allowed = () if paused else tuple([each for each in wanted if each in known])
        request = _request(
            asked.page, asked.visitor_id, asked.page_id, asked.browser, pool, allowed=allowed
        )
        if refusal is not None:
            request = request._replace(refusal=refusal)
        answered = await self._leases.assign(pool, request)
        if isinstance(answered, Unordered):
            await self._shelving.order(pool, answered.destinations)
            answered = await self._leases.assign(pool, request)
        if isinstance(answered, (Stale, Unordered)):
            return Stale()
        return [Original(each, Reason.PAUSED) for each in wanted] if paused else answered

    async def heartbeat(
        self, *, site_key: str, origin: str | None, visitor_id: str, page_id: str
    ) -> tuple[Pool, Alive | Gone]:
        """Take a page's sign of life. Raises as `assign`."""

        def use(pool: Pool) -> Awaitable[Alive | Gone | Stale]:
            return self._leases.heartbeat(pool, visitor_id=visitor_id, page_id=page_id)

        found: list[tuple[Pool, Alive | Gone]] = await self._with_pools(site_key, origin, use)
        if len(found) == 1:
            return found[0]
        soonest: tuple[Pool, Alive] | None = None
        for pool, each in found:
            if isinstance(each, Alive) and (
                soonest is None or each.expires_in_ms < soonest[1].expires_in_ms
            ):
                soonest = pool, each
        return soonest or found[0]

    async def close(
        self, *, site_key: str, origin: str | None, visitor_id: str, page_id: str
    ) -> tuple[Pool, Closing]:
        """Take a page's farewell. Raises as `assign`."""

        def use(pool: Pool) -> Awaitable[Closing | Stale]:
            return self._leases.close(pool, visitor_id=visitor_id, page_id=page_id)

        found = await self._with_pools(site_key, origin, use)
        return next((each for each in found if each[1] is not Closing.NOTHING), found[0])

    async def _with_pools(
        self, site_key: str, origin: str | None, use: Callable[[Pool], Awaitable[T | Stale]]
    ) -> list[tuple[Pool, T]]:
        """Run a script by each pool as it is now; again when one was edited meanwhile."""
        tries = 0
        while True:
            pools = self._sites.known(site_key, origin) or await self._sites.pools(
                site_key, origin=origin, tries=tries
            )
            done: list[tuple[Pool, T]] = []
            for pool in pools:
                result = await use(pool)
                if isinstance(result, Stale):
                    break
                done.append((pool, result))
            else:
                return done
            self._sites.forget(site_key)
            tries += 1


def _request(
    page: Page,
    visitor_id: str,
    page_id: str,
    browser: Browser,
    pool: Pool,
    *,
    allowed: tuple[str, ...],
) -> PageRequest:
    """The page as one pool sees it."""
    data = _data(page, pool)
    if not (browser.robot or browser.prefetch or pool.tells_apart):
        # As `PageRequest(...)`, for half of its cost: most pages ask most pools for no more.
        return tuple.__new__(
            PageRequest, (visitor_id, page_id, allowed, page.previous, data, "", False, "")
        )
    settings = pool.settings
    refusal, entitled = "", False
    if browser.robot and not settings.serve_robots:
        refusal = Reason.BOT.value
    elif browser.prefetch:
        refusal = Reason.PREFETCH.value
    if settings.serves or settings.reserve_for:
        visit = Visit(page.url, page.referrer, page.fields)
        if not refusal and not all_hold(settings.serves, visit):
            refusal = Reason.NOT_SERVED.value
        entitled = bool(settings.reserve_for) and all_hold(settings.reserve_for, visit)
    address = browser.network() if pool.limits_addresses else ""
    return PageRequest(
        visitor_id, page_id, allowed, page.previous, data, refusal, entitled, address
    )


def _destinations(
    typed: Sequence[str] | None, pool: Pool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the page wants, as E.164, each once and in its order; and what may be leased of it.

    Only what is on the pool's allow-list, and nothing while it is paused.
    """
    known = pool.settings.destinations
    if typed is None:
        wanted = allowed = known[:1]
    elif len(typed) == 1 and typed[0] in known:
        wanted = allowed = (typed[0],)
    else:
        wanted = _read(typed, pool)
        allowed = tuple([each for each in wanted if each in known])
    return wanted, () if pool.settings.paused else allowed


def _read(typed: Sequence[str], pool: Pool) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for position, text in enumerate(typed):
        try:
            found[parse_number(text, country=pool.settings.country).e164] = None
        except InvalidNumber as error:
            message = f"destinations[{position}]: {error.detail}"
            raise InvalidRequest(
                message,
                extra={"errors": [{"field": f"destinations.{position}", "detail": error.detail}]},
            ) from error
    return tuple(found)


def _data(page: Page, pool: Pool) -> str:
    """What is kept with the lease, as JSON text; "" when the page told nothing."""
    if page.consent == "none":
        return "{}"
    told: dict[str, object] = {}
    if url := page.url:
        told["url"] = url
    if referrer := page.referrer:
        told["referrer"] = referrer
    if fields := page.fields:
        if "referrer" in fields or "first_referrer" in fields:
            fields = _with_searches(fields)
        if pool.settings.marketing_fields:
            wanted = names_of(pool.settings.marketing_fields)
            fields = {name: value for name, value in fields.items() if name in wanted}
        if fields:
            told["fields"] = fields
    return orjson.dumps(told).decode() if told else ""


def _with_searches(fields: Mapping[str, str]) -> Mapping[str, str]:
    """The fields, and what their referrers tell of a search."""
    for name, prefix in _REFERRERS:
        if name in fields:
            told_by = search_of(fields[name])
            fields = {**{prefix + each: value for each, value in told_by.items()}, **fields}
    return fields


def _heartbeat_s(answered: Sequence[Answer], pool: Pool) -> int | None:
    """None where nothing is leased: there is nothing to keep alive."""
    soonest = None
    for answer in answered:
        if isinstance(answer, Leased) and (soonest is None or answer.expires_in_ms < soonest):
            soonest = answer.expires_in_ms
    return None if soonest is None else pool.heartbeat_within(soonest)


def _in_order(
    wanted: Sequence[str], answered: Sequence[Answer], *, paused: bool
) -> tuple[Answer, ...]:
    by_destination = {answer.destination: answer for answer in answered}
    reason = Reason.PAUSED if paused else Reason.NO_MATCH
    return tuple(by_destination.get(each) or Original(each, reason) for each in wanted)


def _keep_better(
    best: dict[str, tuple[Pool, Answer]], pool: Pool, answers: Sequence[Answer]
) -> None:
    """A leased number beats a shared one, and that the original; of equals the first stays.

    What only looked whether the visitor holds something counts as nothing.
    """
    for answer in answers:
        if answer.reason is Reason.OTHER_POOL:
            continue
        known = best.get(answer.destination)
        if known is None or _worth(answer) > _worth(known[1]):
            best[answer.destination] = (pool, answer)


def _worth(answer: Answer) -> int:
    if isinstance(answer, Leased):
        return 3
    if isinstance(answer, Overflow):
        return 2
    # That a pool is for others says less than why the right one had nothing.
    return 0 if answer.reason is Reason.NOT_SERVED else 1
