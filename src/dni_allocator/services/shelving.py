"""Which shelf a number lies on, and in which order the shelves are tried for a destination."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache

import orjson

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.matching import Match, Rank, Tier, as_text, shelf_order
from dni_allocator.domain.number import PhoneNumber, parse_number
from dni_allocator.domain.place import Place, place_of, shelf_name
from dni_allocator.domain.pool import Pool
from dni_allocator.store.pools import THE_SHELF, PoolStore
from dni_allocator.store.shelves import ShelfStore, Shelves

_MOST_TRIES = 5
"""An import of numbers adds shelves; five times during one look is no import any more."""

_SCAN = 1000


class Shelving:
    """The shelves of pools that match. Raises `StoreUnavailable`, `PoolUnknown` throughout."""

    def __init__(self, *, shelves: ShelfStore, pools: PoolStore) -> None:
        self._shelves = shelves
        self._pools = pools

    async def order(self, pool: Pool, destinations: Sequence[str]) -> None:
        """Work out the order of shelves for these destinations and put it where scripts find it.

        Once per destination and change of the pool; 1.0 ms for 833 shelves. Does nothing when the
        pool was edited meanwhile; the next look at it tells.
        """
        for _ in range(_MOST_TRIES):
            shelves = await self._shelves.read(pool.id)
            if shelves.revision != pool.revision:
                return
            # In a thread: a pool with hundreds of shelves takes a millisecond for each destination.
            orders = await asyncio.to_thread(orders_of, pool, shelves, destinations)
            if await self._shelves.put_orders(pool.id, shelves, orders):
                return
        message = "The shelves of the pool change all the time."
        raise StoreUnavailable(message)

    async def ranks(
        self, pool: Pool, destination: str
    ) -> tuple[tuple[Rank, ...], Mapping[str, Place]]:
        """The order of shelves for a destination as data, and the places of all shelves."""
        if pool.settings.match is Match.NONE:
            return (Rank(Tier.ANY, (THE_SHELF,), None),), {}
        shelves = await self._shelves.read(pool.id)
        places = {shelf: _place_of_text(place) for shelf, place in shelves.places.items()}
        return _ranks(pool, places, destination), places

    async def reshelve(self, pool: Pool) -> None:
        """Put every number on the shelf it belongs on by the pool's settings as they are now.

        Needed once after an edit of `match`; what was interrupted the next sweep does again.
        O(numbers), 1,000 a round; visitors may meet empty shelves meanwhile. Safe to repeat, and to
        run twice at once. Stops when the pool is edited meanwhile.
        """
        cursor = "0"
        while True:
            found, cursor = await self._pools.inventory(pool.id, cursor=cursor, limit=_SCAN)
            rows = []
            for each in found:
                facts = orjson.loads(each.facts) if each.facts else {}
                phone = parse_number(each.number, country=pool.settings.country)
                shelf, place = shelf_for(pool, phone, facts)
                if shelf != each.shelf:
                    rows.append((each.number, shelf, place))
            done = cursor == "0"
            if not await self._shelves.reshelve(pool, rows, done=done) or done:
                return


def shelf_for(pool: Pool, phone: PhoneNumber, facts: Mapping[str, object]) -> tuple[str, str]:
    """The shelf of a number, and the text of its place; `THE_SHELF` and "" without matching."""
    if pool.settings.match is Match.NONE:
        return THE_SHELF, ""
    place = _place_given(phone, facts)
    return shelf_name(place), place.as_text()


def orders_of(pool: Pool, shelves: Shelves, destinations: Sequence[str]) -> dict[str, str]:
    """The order of shelves by destination, as the scripts read it."""
    places = {shelf: _place_of_text(place) for shelf, place in shelves.places.items()}
    return {destination: as_text(_ranks(pool, places, destination)) for destination in destinations}


def _ranks(pool: Pool, places: Mapping[str, Place], destination: str) -> tuple[Rank, ...]:
    return shelf_order(
        place_of(parse_number(destination, country=pool.settings.country)),
        places,
        match=pool.settings.match,
        fallback=pool.settings.match_fallback,
    )


@lru_cache(maxsize=16_384)
def _place_of_text(text: str) -> Place:
    return Place.from_text(text)


def _place_given(phone: PhoneNumber, facts: Mapping[str, object]) -> Place:
    centre, region = facts.get("rate_centre"), facts.get("region")
    latitude, longitude = facts.get("latitude"), facts.get("longitude")
    return place_of(
        phone,
        rate_centre=centre if isinstance(centre, str) else None,
        region=region if isinstance(region, str) else None,
        latitude=float(latitude) if isinstance(latitude, (int, float)) else None,
        longitude=float(longitude) if isinstance(longitude, (int, float)) else None,
    )
