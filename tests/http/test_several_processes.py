"""Two processes on one store: what one of them changes, the other knows with its next call."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.http.test_bad_input import assert_problem
from tests.support.clock import ManualClock
from tests.support.service import SHOP, Service, Site, serving

ONE, TWO = "+16025550100", "+16025550101"


@pytest.fixture
async def pair(redis_url: str) -> AsyncIterator[tuple[Service, Service]]:
    """Two services under one clock."""
    clock = ManualClock()
    async with serving(redis_url, clock=clock) as first, serving(redis_url, clock=clock) as second:
        yield first, second


def at(site: Site, service: Service) -> Site:
    """The same site, served by another process."""
    return replace(site, service=service)


async def test_a_visitor_keeps_the_number_whoever_answers(pair: tuple[Service, Service]) -> None:
    """Nothing of a lease is in a process."""
    first, second = pair
    site = await first.pool(ONE, TWO)
    number = await site.number("ann")

    assert await at(site, second).number("ann") == number
    assert await at(site, second).number("bob") != number
    assert (await at(site, second).heartbeat("ann"))["expires_in_s"] == 300


async def test_an_edit_holds_for_the_next_call_of_every_process(
    pair: tuple[Service, Service],
) -> None:
    """A remembered pool is only trusted as far as the script finds its revision unchanged."""
    first, second = pair
    site = await first.pool(ONE)
    other = at(site, second)
    await other.number("ann")

    await first.admin("PATCH", f"/pools/{site.pool_id}", {"idle_limit_s": 60})
    assert (await other.heartbeat("ann"))["expires_in_s"] == 60

    await first.admin("PATCH", f"/pools/{site.pool_id}", {"paused": True})
    (shown,) = await other.view("ann")
    assert (shown.number, shown.status, shown.reason) == (SHOP, "original", "paused")


async def test_a_deleted_pool_is_unknown_to_every_process_at_once(
    pair: tuple[Service, Service],
) -> None:
    """Its key opens nothing any more."""
    first, second = pair
    site = await first.pool(ONE)
    await at(site, second).number("ann")

    await first.admin("DELETE", f"/pools/{site.pool_id}?force=true")

    page = {"key": site.key, "visitor_id": "ann", "page_id": "page"}
    assert_problem(await second.tag("/assign", page), 403, "unknown-key")
    assert_problem(await second.tag("/heartbeat", page), 403, "unknown-key")
