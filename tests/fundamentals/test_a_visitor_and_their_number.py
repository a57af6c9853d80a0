"""What a visitor sees, from the first page view to the call. Read from top to bottom."""

from tests.support.rig import fictional
from tests.support.service import ORIGIN, SHOP, Service

ONE, TWO = fictional(2)
SERVICE_LINE = "+16024961500"
SHARED = "+18005550100"


async def test_a_visitor_gets_a_number_of_their_own(service: Service) -> None:
    """Two visitors look at the same page and see two different numbers."""
    site = await service.pool(ONE, TWO)

    ann = await site.number("ann")
    bob = await site.number("bob")

    assert {ann, bob} == {ONE, TWO}


async def test_it_stays_the_same_over_page_views(service: Service) -> None:
    """The number is the visitor's, not the page's."""
    site = await service.pool(ONE, TWO)

    first = await site.number("ann", page="home")
    service.clock.advance(seconds=200)
    second = await site.number("ann", page="prices")

    assert first == second


async def test_two_tabs_show_one_number(service: Service) -> None:
    """And closing one of them does not take it away from the other."""
    site = await service.pool(ONE, TWO)
    first = await site.number("ann", page="tab-1")
    second = await site.number("ann", page="tab-2")

    await site.close("ann", page="tab-1")
    service.clock.advance(seconds=31)

    assert first == second
    alive = await site.heartbeat("ann", page="tab-2")
    assert alive == {"expires_in_s": 300, "heartbeat_s": 60}


async def test_closing_the_last_tab_frees_the_number_soon(service: Service) -> None:
    """After the closed-browser delay of 30 seconds the next visitor gets it."""
    site = await service.pool(ONE)
    await site.number("ann")

    await site.close("ann")

    service.clock.advance(seconds=29)
    assert await site.number("bob") == SHOP
    service.clock.advance(seconds=1)
    assert await site.number("bob") == ONE


async def test_a_lost_farewell_frees_the_number_later(service: Service) -> None:
    """A browser that just vanished is noticed by its silence: the idle limit of 300 seconds."""
    site = await service.pool(ONE)
    await site.number("ann")

    service.clock.advance(seconds=299)
    assert await site.number("bob") == SHOP
    service.clock.advance(seconds=1)
    assert await site.number("bob") == ONE
    assert await site.heartbeat("ann") == {"gone": True}


async def test_who_comes_back_in_time_gets_the_old_number(service: Service) -> None:
    """Hours later, if nobody took it since."""
    site = await service.pool(ONE, TWO)
    before = await site.number("ann")

    service.clock.advance(seconds=7200)
    (shown,) = await site.view("ann")

    assert (shown.number, shown.reason) == (before, "returned")


async def test_a_full_pool_shows_the_overflow_number_then_the_original(service: Service) -> None:
    """Running out of numbers is an answer: the page always shows one that works."""
    site = await service.pool(ONE, overflow_numbers=[SHARED])
    await site.number("ann")

    assert await site.number("bob") == SHARED

    await service.admin("PATCH", f"/pools/{site.pool_id}", {"overflow_numbers": []})
    assert await site.number("bob") == SHOP


async def test_the_phone_rings_and_we_know_who_it_is(service: Service) -> None:
    """The dialed number tells the visitor, where they came from, and where to connect the call."""
    site = await service.pool(ONE)
    await site.number("ann", url=f"{ORIGIN}/?utm_source=mail", fields={"utm_source": "mail"})

    call = await service.attribution(ONE)

    assert (call["visitor_id"], call["basis"]) == ("ann", "live")
    assert call["fields"] == {"utm_source": "mail"}
    assert call["route_to"] == SHOP


async def test_a_late_call_still_finds_its_visitor(service: Service) -> None:
    """Somebody wrote the number down and calls the next day, less surely the same person."""
    site = await service.pool(ONE)
    await site.number("ann")

    service.clock.advance(seconds=300 + 36 * 3600)
    call = await service.attribution(ONE)

    assert (call["visitor_id"], call["basis"], call["confidence"]) == ("ann", "ended", 0.7)


async def test_each_destination_has_a_number_of_its_own(service: Service) -> None:
    """A page with a sales and a service line: calls go where the visitor meant them to."""
    site = await service.pool(ONE, TWO, destinations=[SHOP, SERVICE_LINE])

    shop, line = await site.view("ann", destinations=[SHOP, SERVICE_LINE])

    assert (await service.attribution(shop.number))["route_to"] == SHOP
    assert (await service.attribution(line.number))["route_to"] == SERVICE_LINE


async def test_nobody_elses_page_can_use_the_key(service: Service) -> None:
    """The key stands in the page's source; only pages of the pool's own sites may use it."""
    site = await service.pool(ONE)

    copied = await service.tag("/assign", {"key": site.key}, origin="https://copycat.example")

    assert copied.status_code == 403
    assert await site.number("ann") == ONE
