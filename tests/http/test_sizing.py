"""`GET /sizing`, `GET /pools/{id}/sizing`, and their pictures."""

from xml.etree import ElementTree as ET

import httpx
import pytest

from dni_allocator.services.access import Scope
from tests.support.rig import fictional
from tests.support.service import Json, Service

EXAMPLE = "arrivals_per_hour=100&time_on_site_s=300&closed_browser_delay_s=30"


async def ask(service: Service, path: str) -> Json:
    """What is answered."""
    answer = await service.admin("GET", path)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_the_published_example(service: Service) -> None:
    """11 numbers by the published rule, which turn every eighth visitor away."""
    found = await ask(service, f"/sizing?{EXAMPLE}&numbers=11&reuse_gap_s=600&price_per_month=1.15")

    assert found["sizes"] == {
        "published": 11, "erlang_b": 17, "peak_minute": None, "reuse_gap": 26,
        "reuse_gap_sure": 35,
    }  # fmt: skip
    assert found["present"] == {
        "numbers": 11, "turned_away": 0.127765, "turned_away_per_hour": 12.777,
        "turned_away_at_peak": None, "reuse_gap_s": 124.0, "reused_early": 0.999493,
        "cost_per_month": 12.65,
    }  # fmt: skip
    one_more = found["one_more"]
    assert isinstance(one_more, dict)
    assert (one_more["numbers"], one_more["served_more_per_hour"]) == (12, pytest.approx(3.885))
    recommended = found["recommended"]
    assert isinstance(recommended, dict)
    assert (recommended["numbers"], recommended["cost_per_month"]) == (35, 40.25)
    curve = found["curve"]
    assert isinstance(curve, list)
    assert [11, 0.127765] in curve


async def visits(service: Service, count: int) -> str:
    """A pool of three in which so many came in one hour; every other beacon was lost."""
    site = await service.pool(*fictional(3), idle_limit_s=60, closed_browser_delay_s=10)
    historian = service.app.historian()
    sweeper = service.app.sweeper()
    await historian.round()
    for at in range(count):
        await site.view(f"visitor-{at}")
        service.clock.advance(seconds=20)
        if at % 2:
            await site.close(f"visitor-{at}")
        await sweeper.sweep_once()
    service.clock.advance(seconds=100)
    await sweeper.sweep_once()
    await historian.round()
    return site.pool_id


async def test_a_pool_is_sized_by_what_happened_in_it(service: Service) -> None:
    """Arrivals with those turned away, holds with lost beacons, and the busiest minute."""
    pool_id = await visits(service, 12)

    found = await ask(service, f"/pools/{pool_id}/sizing")

    figures = found["figures"]
    assert isinstance(figures, dict)
    assert figures["arrivals_per_hour"] == {"value": 12, "basis": "measured"}
    # Half of them 20 s and the delay of 10 s, half the idle limit of 60 s.
    assert figures["hold_s"] == {"value": 45.0, "basis": "measured"}
    assert figures["peak_minute"] == {"value": 3, "basis": "measured"}
    assert (figures["lost_beacons"], figures["hours_with_visitors"]) == (0.5, 1)
    assert found["present"]["numbers"] == 3  # type: ignore[index]


async def test_those_turned_away_are_part_of_the_load(service: Service) -> None:
    """Else a pool that is too small would look as if it sufficed."""
    site = await service.pool(*fictional(1))
    historian = service.app.historian()
    await historian.round()
    for at in range(5):
        await site.view(f"visitor-{at}")

    await historian.round()
    found = await ask(service, f"/pools/{site.pool_id}/sizing")

    assert found["figures"]["arrivals_per_hour"]["value"] == 5  # type: ignore[index]


async def test_what_if(service: Service) -> None:
    """A typed figure takes the place of the measured one, the others stay."""
    pool_id = await visits(service, 12)

    found = await ask(
        service, f"/pools/{pool_id}/sizing?arrivals_per_hour=1000&time_on_site_s=100&numbers=50"
    )

    figures = found["figures"]
    assert isinstance(figures, dict)
    assert figures["arrivals_per_hour"] == {"value": 1000, "basis": "typed"}
    # The pool's own locks and its measured share of lost beacons: 100 + (10 + 60) / 2.
    assert figures["hold_s"] == {"value": 135.0, "basis": "typed"}
    assert figures["peak_minute"] is None
    assert found["present"]["numbers"] == 50  # type: ignore[index]


async def test_a_pool_nobody_visited(service: Service) -> None:
    """Nothing is made up: no arrivals, and a hold that is said to be assumed."""
    site = await service.pool(*fictional(2), idle_limit_s=120)

    found = await ask(service, f"/pools/{site.pool_id}/sizing?reuse_gap_s=60")

    figures = found["figures"]
    assert isinstance(figures, dict)
    assert figures["arrivals_per_hour"] == {"value": 0, "basis": "assumed"}
    assert figures["hold_s"] == {"value": 120.0, "basis": "assumed"}
    assert figures["hours_with_visitors"] == 0
    assert found["present"]["turned_away"] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "hold_s=300",
        "arrivals_per_hour=100",
        "arrivals_per_hour=-1&hold_s=1",
        "arrivals_per_hour=nan&hold_s=1",
        "arrivals_per_hour=1e8&hold_s=3600",
        "arrivals_per_hour=1e6&hold_s=1&reuse_gap_s=604800",
        f"{EXAMPLE}&turned_away=0",
        f"{EXAMPLE}&lost_beacons=2",
        f"{EXAMPLE}&surprise=1",
        f"{EXAMPLE}&selection=favourite",
    ],
)
async def test_a_bad_question_is_refused(service: Service, query: str) -> None:
    """With what is missing or wrong; nothing takes the service long."""
    answer = await service.admin("GET", f"/sizing?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


async def test_a_picture_of_either_kind(service: Service) -> None:
    """With today's size in words; the same question gives the same file."""
    site = await service.pool(*fictional(2))
    path = f"/pools/{site.pool_id}/sizing"

    svg = await service.admin("GET", f"{path}.svg?{EXAMPLE}")
    again = await service.admin("GET", f"{path}.svg?{EXAMPLE}")
    png = await service.admin("GET", f"/sizing.png?{EXAMPLE}&numbers=11")

    assert svg.headers["content-type"] == "image/svg+xml"
    assert svg.content == again.content
    root = ET.fromstring(svg.content)  # noqa: S314 -- our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert png.headers["content-type"] == "image/png"
    assert png.content.startswith(b"\x89PNG")


async def test_no_picture_of_another_kind(service: Service) -> None:
    """And none without a question."""
    refused = [
        await service.admin("GET", path)
        for path in (f"/sizing.gif?{EXAMPLE}", "/sizing.svg", "/pools/pool_none/sizing.svg")
    ]

    assert [answer.status_code for answer in refused] == [422, 422, 404]


async def test_sizing_is_for_those_who_may_read(service: Service) -> None:
    """What a pool carries is nobody else's business."""
    site = await service.pool()
    calls_only = {"Authorization": f"Bearer {service.secret(Scope.CALLS)}"}

    async def get(path: str, headers: dict[str, str]) -> httpx.Response:
        return await service.http.get(path, headers=headers)

    for path in ("/sizing", f"/pools/{site.pool_id}/sizing", f"/pools/{site.pool_id}/sizing.svg"):
        assert (await get(path, {})).status_code == 401
        assert (await get(path, calls_only)).status_code == 403
