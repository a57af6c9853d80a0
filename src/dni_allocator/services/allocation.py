"""Give a page its numbers, keep them while it lives, let them go when it closes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import orjson

from dni_allocator.domain.errors import InvalidNumber, InvalidRequest
from dni_allocator.domain.lease import (
    Alive,
    Answer,
    Assignment,
    Closing,
    Gone,
    Leased,
    Original,
    PageRequest,
    Reason,
)
from dni_allocator.domain.number import parse_number
from dni_allocator.domain.pool import Pool
from dni_allocator.services.ids import new_page_id, new_visitor_id
from dni_allocator.services.sites import Sites
from dni_allocator.store.leases import LeaseStore, Stale

T = TypeVar("T")


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


class Allocation:
    """The tag's three calls. Each is one script and safe to repeat."""

    def __init__(self, *, sites: Sites, leases: LeaseStore) -> None:
        self._sites = sites
        self._leases = leases

    async def assign(
        self, page: Page, *, site_key: str, origin: str | None
    ) -> tuple[Pool, Assignment]:
        """Answer every destination of the page, and say by which pool.

        Raises `UnknownKey`, `OriginNotAllowed`, `InvalidRequest` for a destination that is no
        phone number, `StoreUnavailable`.
        """
        visitor_id = page.visitor_id or new_visitor_id()
        page_id = page.page_id or new_page_id()
        # `_with_pool`, written out: a coroutine and a closure less for each page view.
        tries = 0
        while True:
            pool = self._sites.known(site_key, origin) or await self._sites.pool(
                site_key, origin=origin, tries=tries
            )
            wanted, allowed = _destinations(page.destinations, pool)
            # Also with nothing to lease: the script tells whether the pool is still as we know it.
            answered = await self._leases.assign(
                pool,
                PageRequest(visitor_id, page_id, allowed, page.previous, _data(page, pool)),
            )
            if not isinstance(answered, Stale):
                return pool, Assignment(
                    visitor_id,
                    page_id,
                    _heartbeat_s(answered, pool),
                    _in_order(wanted, answered, paused=pool.settings.paused),
                )
            self._sites.forget(site_key)
            tries += 1

    async def heartbeat(
        self, *, site_key: str, origin: str | None, visitor_id: str, page_id: str
    ) -> tuple[Pool, Alive | Gone]:
        """Take a page's sign of life. Raises as `assign`."""

        def use(pool: Pool) -> Awaitable[Alive | Gone | Stale]:
            return self._leases.heartbeat(pool, visitor_id=visitor_id, page_id=page_id)

        return await self._with_pool(site_key, origin, use)

    async def close(
        self, *, site_key: str, origin: str | None, visitor_id: str, page_id: str
    ) -> tuple[Pool, Closing]:
        """Take a page's farewell. Raises as `assign`."""

        def use(pool: Pool) -> Awaitable[Closing | Stale]:
            return self._leases.close(pool, visitor_id=visitor_id, page_id=page_id)

        return await self._with_pool(site_key, origin, use)

    async def _with_pool(
        self, site_key: str, origin: str | None, use: Callable[[Pool], Awaitable[T | Stale]]
    ) -> tuple[Pool, T]:
        """Run a script by the pool as it is now; again when it was edited meanwhile."""
        tries = 0
        while True:
            pool = self._sites.known(site_key, origin) or await self._sites.pool(
                site_key, origin=origin, tries=tries
            )
            result = await use(pool)
            if not isinstance(result, Stale):
                return pool, result
            self._sites.forget(site_key)
            tries += 1


def _destinations(
    typed: Sequence[str] | None, pool: Pool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the page wants, as E.164, each once and in its order; and what may be leased of it.

    Only what is on the pool's allow-list, and nothing while it is paused.
    """
    known = pool.settings.destinations
    if typed is None:
        wanted = known[:1]
    elif len(typed) == 1 and typed[0] in known:
        wanted = (typed[0],)
    else:
        wanted = _read(typed, pool)
    if pool.settings.paused:
        return wanted, ()
    return wanted, tuple([each for each in wanted if each in known])


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
    fields, wanted = page.fields, pool.settings.marketing_fields
    if wanted:
        fields = {name: value for name, value in fields.items() if name in wanted}
    told: dict[str, object] = {}
    if page.url:
        told["url"] = page.url
    if page.referrer:
        told["referrer"] = page.referrer
    if fields:
        told["fields"] = fields
    return orjson.dumps(told).decode() if told else ""


def _heartbeat_s(answered: Sequence[Answer], pool: Pool) -> int | None:
    """None where nothing is leased: there is nothing to keep alive."""
    for answer in answered:
        if isinstance(answer, Leased):
            return pool.heartbeat_s
    return None


def _in_order(
    wanted: Sequence[str], answered: Sequence[Answer], *, paused: bool
) -> tuple[Answer, ...]:
    if len(wanted) == len(answered):
        return tuple(answered)
    by_destination = {answer.destination: answer for answer in answered}
    reason = Reason.PAUSED if paused else Reason.NO_MATCH
    return tuple(by_destination.get(each) or Original(each, reason) for each in wanted)
