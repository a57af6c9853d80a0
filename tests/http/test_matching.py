"""A number that fits: toll-free for toll-free, local for local, and as near as there is one."""

import pytest

from tests.support.service import SHOP, Service, Shown, Site

PHOENIX, MESA, TUCSON, MANHATTAN = "+16025550100", "+14805550100", "+15205550100", "+12125550100"
TOLL_FREE, TOLL_FREE_888 = "+18005550100", "+18885550100"
HOTLINE = "+18885550142"
"""A destination: somebody's toll-free number."""
SHARED = "+18445550100"
LOS_ANGELES = "+12135550142"
"""A destination whose prefix the table places: rate centre Los Angeles, California."""


async def _numbers(site: Site, *visitors: str) -> list[str]:
    return [await site.number(visitor) for visitor in visitors]


async def _patch(site: Site, **settings: object) -> None:
    answer = await site.service.admin("PATCH", f"/pools/{site.pool_id}", settings)
    assert answer.status_code == 200, answer.text


async def test_type_for_type_in_one_page(service: Service) -> None:
    """A page that shows a local and a toll-free number gets one of each, whichever is first."""
    site = await service.pool(
        TOLL_FREE, PHOENIX, destinations=[SHOP, HOTLINE], match="type"
    )  # fmt: skip

    shown = await site.view("ann", destinations=[HOTLINE, SHOP])

    assert [each.number for each in shown] == [TOLL_FREE, PHOENIX]


async def test_without_matching_any_number_will_do(service: Service) -> None:
    """The default: the numbers of a pool are interchangeable."""
    site = await service.pool(TOLL_FREE)

    assert await site.number("ann") == TOLL_FREE


async def test_toll_free_prefers_its_own_prefix(service: Service) -> None:
    """An 888 for an 888 while there is one, then any toll-free number, never a local one."""
    site = await service.pool(
        PHOENIX, TOLL_FREE, TOLL_FREE_888, destinations=[HOTLINE], match="area"
    )

    assert await _numbers(site, "ann", "bob") == [TOLL_FREE_888, TOLL_FREE]
    (cyd,) = await site.view("cyd")
    assert cyd == Shown(HOTLINE, "original", "exhausted", None)


async def test_nearest_first_and_never_out_of_state(service: Service) -> None:
    """Area code, then the same rate centre, then the state by distance; New York is no Arizona."""
    site = await service.pool(MANHATTAN, TUCSON, MESA, PHOENIX, match="area")

    # Mesa's area code lies some 20 km off, Tucson's 180; see the explanation in test_explain.
    assert await _numbers(site, "ann", "bob", "cyd") == [PHOENIX, MESA, TUCSON]
    (dan,) = await site.view("dan")
    assert (dan.status, dan.reason) == ("original", "exhausted")


async def test_an_overlay_of_the_same_rate_centre_beats_the_next_town(service: Service) -> None:
    """What the operator says of a number wins over what the table knows of its prefix."""
    site = await service.pool(destinations=[LOS_ANGELES], match="area")
    rows = [
        {"number": "+13105550100", "rate_centre": "Santa Monica", "region": "CA",
         "latitude": 34.02, "longitude": -118.49},
        {"number": "+14245550100", "rate_centre": "los  angeles", "region": "ca"},
    ]  # fmt: skip

    await service.admin("POST", f"/pools/{site.pool_id}/numbers", {"numbers": rows})

    assert await _numbers(site, "ann", "bob") == ["+14245550100", "+13105550100"]


@pytest.mark.parametrize(
    ("fallback", "number", "status", "reason"),
    [
        ("overflow", SHARED, "overflow", "unmatched"),
        ("original", SHOP, "original", "unmatched"),
        ("any", MANHATTAN, "leased", "new"),
    ],
)
async def test_when_no_number_fits(
    service: Service, fallback: str, number: str, status: str, reason: str
) -> None:
    """The operator decides: the shared number, the original, or whatever the pool has."""
    site = await service.pool(
        MANHATTAN, match="area", match_fallback=fallback, overflow_numbers=[SHARED]
    )

    (ann,) = await site.view("ann")

    assert (ann.number, ann.status, ann.reason) == (number, status, reason)


async def test_one_lease_that_ran_out_beats_a_free_number_further_away(service: Service) -> None:
    """Nobody has swept yet: the number is free all the same, and it fits better."""
    site = await service.pool(PHOENIX, TUCSON, match="area")
    assert await site.number("ann") == PHOENIX
    service.clock.advance(seconds=300)

    assert await site.number("bob") == PHOENIX


async def test_numbers_that_arrive_later_are_found(service: Service) -> None:
    """A shelf that is new to the pool changes what fits best, for the very next visitor."""
    site = await service.pool(TUCSON, match="area")
    assert await site.number("ann") == TUCSON

    await service.admin("POST", f"/pools/{site.pool_id}/numbers", {"numbers": [PHOENIX]})

    assert await site.number("bob") == PHOENIX
    assert await site.number("ann") == TUCSON


async def test_an_edit_of_the_rule_sorts_the_numbers_anew(service: Service) -> None:
    """Also those that are leased meanwhile; who has a number keeps it."""
    site = await service.pool(TUCSON, MANHATTAN, PHOENIX)
    path = f"/pools/{site.pool_id}/numbers"
    held = await site.number("ann")

    await _patch(site, match="area", match_fallback="any")

    shelves = {each["shelf"] for each in (await service.admin("GET", path)).json()["numbers"]}
    assert len(shelves) == 3
    assert await site.number("ann") == held
    left = {PHOENIX, TUCSON, MANHATTAN} - {held}
    nearest_first = [each for each in (PHOENIX, TUCSON, MANHATTAN) if each in left]
    assert await _numbers(site, "bob", "cyd") == nearest_first

    await _patch(site, match="none")
    shelves = {each["shelf"] for each in (await service.admin("GET", path)).json()["numbers"]}
    assert len(shelves) == 1


async def test_who_comes_back_gets_their_number_though_another_fits_better(
    service: Service,
) -> None:
    """A number people have noted down is worth more than a nearer one."""
    site = await service.pool(PHOENIX, TUCSON, match="area")
    await site.number("ann")
    assert await site.number("bob") == TUCSON
    await site.close("ann")
    await site.close("bob")
    service.clock.advance(seconds=31)

    (bob,) = await site.view("bob")

    assert (bob.number, bob.reason) == (TUCSON, "returned")


async def test_of_equal_numbers_the_least_recently_released_is_given(service: Service) -> None:
    """Two numbers of one place lie on one shelf."""
    other = "+16025550101"
    site = await service.pool(PHOENIX, other, match="area")
    first = await site.number("ann")
    second = await site.number("bob")
    await site.close("bob")
    service.clock.advance(seconds=40)
    await site.close("ann")
    service.clock.advance(seconds=40)

    assert {first, second} == {PHOENIX, other}
    assert await _numbers(site, "cyd", "dan") == [second, first]
