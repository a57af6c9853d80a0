"""`GET /pools/{id}/history`."""

import pytest

from dni_allocator.services.access import Scope
from tests.support.service import Service

NUMBER = "+16025550103"


async def test_a_visit_is_in_the_history(service: Service) -> None:
    """With times as everywhere, and nothing that names the visitor."""
    site = await service.pool(NUMBER)
    historian = service.app.historian()
    await historian.round()
    await site.view("visitor-1")
    await site.view("visitor-2")

    await historian.round()
    found = await service.admin("GET", f"/pools/{site.pool_id}/history?resolution=minute")

    assert found.status_code == 200, found.text
    body = found.json()
    assert list(body) == ["pool_id", "resolution", "from", "to", "buckets"]
    assert len(body["buckets"]) == 60
    last = body["buckets"][-1]
    assert (last["arrivals"], last["turned_away"]) == (1, 1)
    assert last["leased"] == {"mean": 1.0, "peak": 1, "numbers": 1.0}
    assert last["mean_hold_s"] is None
    assert "visitor" not in found.text


async def test_hours_tell_reuse_gaps(service: Service) -> None:
    """How long a number rested before somebody else saw it."""
    site = await service.pool(NUMBER)
    await site.view("visitor-1")
    await site.close("visitor-1")
    service.clock.advance(seconds=150)  # the number was free for the last two minutes
    await site.view("visitor-2")
    await service.app.historian().round()
    since = service.clock.iso(seconds_ago=3600)

    found = await service.admin("GET", f"/pools/{site.pool_id}/history?from={since}")

    (gaps,) = [each["reuse_gaps"] for each in found.json()["buckets"] if each["reuse_gaps"]]
    assert gaps["count"] == 1
    assert gaps["p50_s"] == pytest.approx(120, rel=0.2)
    (ended,) = [each for each in found.json()["buckets"] if each["ended"]["closed"]]
    assert ended["mean_hold_s"] == 30


@pytest.mark.parametrize(
    "query",
    [
        "resolution=day",
        "from=yesterday",
        "from=2027-01-15T08:00:00",  # of which time zone?
        "from=2027-01-15T08:00:00Z&to=2027-01-15T08:00:00Z",
    ],
)
async def test_a_bad_question_is_refused(service: Service, query: str) -> None:
    """With a problem that names the parameter."""
    site = await service.pool(NUMBER)

    answer = await service.admin("GET", f"/pools/{site.pool_id}/history?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


async def test_history_is_for_those_who_may_read(service: Service) -> None:
    """And of pools that exist."""
    site = await service.pool(NUMBER)
    calls_only = {"Authorization": f"Bearer {service.secret(Scope.CALLS)}"}

    assert (await service.http.get(f"/pools/{site.pool_id}/history")).status_code == 401
    forbidden = await service.http.get(f"/pools/{site.pool_id}/history", headers=calls_only)
    assert forbidden.status_code == 403
    unknown = await service.admin("GET", "/pools/pool_unknown/history")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "pool-unknown")
