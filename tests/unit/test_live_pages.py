"""Pages of the dashboard that are drawn every second: some, not any number."""

from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

from dni_allocator.dashboard.access import Person
from dni_allocator.dashboard.live import Places, changes
from dni_allocator.domain.errors import StoreUnavailable

# Of a person, a live page asks only whether the process is about to stop.
_SERVICES = SimpleNamespace(health=SimpleNamespace(draining=False))
PERSON = cast("Person", SimpleNamespace(services=_SERVICES))


async def _drawn() -> str:
    return "12 leased"


async def _away() -> str:
    message = "away"
    raise StoreUnavailable(message)


def _streams(places: Places, count: int) -> list[Any]:
    return [changes(PERSON, _drawn, places) for _ in range(count)]


async def test_pages_beyond_the_places_are_drawn_once() -> None:
    """They come back after half a minute, and the process has time for visitors."""
    places = Places(2)
    one, two, three = _streams(places, 3)
    async with aclosing(one), aclosing(two), aclosing(three):
        first = [await anext(each) for each in (one, two, three)]

        more = [event async for event in three]

        assert [event.raw_data for event in first] == ["12 leased"] * 3
        assert [event.retry for event in first] == [2_000, 2_000, 30_000]
        assert more == []
        assert places.taken == 2


async def test_who_leaves_makes_room() -> None:
    """However the page ends: a closed tab closes the stream in the middle."""
    places = Places(1)
    (one,) = _streams(places, 1)
    await anext(one)

    await one.aclose()
    (two,) = _streams(places, 1)

    async with aclosing(two):
        assert (await anext(two)).retry == 2_000
    assert places.taken == 0


async def test_a_crowded_page_without_a_store_is_told_nothing() -> None:
    """It stays as it was, and asks again."""
    news = [event async for event in changes(PERSON, _away, Places(0))]

    assert news == []
