"""Give a page its numbers, keep them while it lives, let them go when it closes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page says of itself, shape checked, meaning not yet.

    `destinations` None: the pool's default one. `previous` maps a destination to the number this
    visitor had before. Without `keep_data` (no consent) nothing is kept beside the lease.
    """

    visitor_id: str | None = None
    page_id: str | None = None
    destinations: Sequence[str] | None = None
    previous: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    referrer: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    keep_data: bool = True


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
        tries = 0
        while True:
            pool = await self._sites.pool(site_key, origin=origin, tries=tries)
            wanted = _destinations(page.destinations, pool=pool)
            # Also with nothing to lease: the script tells whether the pool is still as we know it.
            answered = await self._leases.assign(
                pool,
                PageRequest(
                    visitor_id, page_id, _allowed(wanted, pool=pool), page.previous,
                    _data(page, pool=pool),
                ),
            )  # fmt: skip
            if not isinstance(answered, Stale):
                return pool, Assignment(
                    visitor_id,
                    page_id,
                    _heartbeat_s(answered, pool=pool),
                    _in_order(wanted, answered, paused=pool.settings.paused),
                )
            self._sites.forget(site_key)
            tries += 1

    async def heartbeat(
        self, *, site_key: str, origin: str | None, visitor_id: str, page_id: str
    ) -> tuple[Pool, Alive | Gone]:
        """Take a page's sign of life. Raises as `assign`."""
        tries = 0
        while True:
            pool = await self._sites.pool(site_key, origin=origin, tries=tries)
            alive = await self._leases.heartbeat(pool, visitor_id=visitor_id, page_id=page_id)
            if not isinstance(alive, Stale):
                return pool, alive
            self._sites.forget(site_key)
            tries += 1

    async def close(
        self, *, site_key: str, origin: str | None, visitor_id: str, page_id: str
    ) -> tuple[Pool, Closing]:
        """Take a page's farewell. Raises as `assign`."""
        tries = 0
        while True:
            pool = await self._sites.pool(site_key, origin=origin, tries=tries)
            closing = await self._leases.close(pool, visitor_id=visitor_id, page_id=page_id)
            if not isinstance(closing, Stale):
                return pool, closing
            self._sites.forget(site_key)
            tries += 1


def _destinations(typed: Sequence[str] | None, *, pool: Pool) -> tuple[str, ...]:
    """E.164, each once, in the order of the page."""
    if typed is None:
        return pool.settings.destinations[:1]
    known = pool.settings.destinations
    found: dict[str, None] = {}
    for position, text in enumerate(typed):
        if text in known:
            found[text] = None
            continue
        try:
            found[parse_number(text, country=pool.settings.country).e164] = None
        except InvalidNumber as error:
            message = f"destinations[{position}]: {error.detail}"
            raise InvalidRequest(
                message,
                extra={"errors": [{"field": f"destinations.{position}", "detail": error.detail}]},
            ) from error
    return tuple(found)


def _data(page: Page, *, pool: Pool) -> str:
    """What is kept with the lease, as JSON text; "" when the page told nothing."""
    if not page.keep_data:
        return "{}"
    wanted = pool.settings.marketing_fields
    fields = {name: value for name, value in page.fields.items() if not wanted or name in wanted}
    known = {"url": page.url, "referrer": page.referrer, "fields": fields}
    told = {name: value for name, value in known.items() if value}
    return orjson.dumps(told).decode() if told else ""


def _allowed(wanted: tuple[str, ...], *, pool: Pool) -> tuple[str, ...]:
    """The destinations that may be leased for: of the pool's allow-list, and none while paused."""
    if pool.settings.paused:
        return ()
    return tuple(each for each in wanted if each in pool.settings.destinations)


def _heartbeat_s(answered: Sequence[Answer], *, pool: Pool) -> int | None:
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
    return tuple(
        by_destination.get(each) or Original(destination=each, reason=reason) for each in wanted
    )
