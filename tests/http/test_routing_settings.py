"""A pool's `routing` over HTTP: what is kept, what an edit changes, what is refused."""

from typing import Any

import pytest

from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Service

ONE, TWO = fictional(2)
NIGHT = "+16025550199"
HOURS = {
    "time_zone": "America/Phoenix",
    "weekly": [{"days": ["monday", "friday"], "opens": "09:00", "closes": "17:00"}],
    "holidays": ["2026-12-25"],
}
CLOSED = {"action": "message", "destination": None, "message": "We are closed."}


async def routing_of(service: Service, pool_id: str) -> dict[str, Any]:
    """As the API shows it."""
    found: dict[str, Any] = (await service.admin("GET", f"/pools/{pool_id}")).json()["routing"]
    return found


async def test_a_pool_that_says_nothing_puts_every_call_through(service: Service) -> None:
    """All of it has a default, and the answer shows it."""
    site = await service.pool()
    as_any = {"action": "route", "destination": None, "message": None}

    assert await routing_of(service, site.pool_id) == {
        "caller_id": "caller", "whisper": None, "announcement": None, "language": None,
        "record": "none", "ring_timeout_s": 25, "fallback_destinations": [],
        "business_hours": None, "after_hours": as_any, "unknown": as_any, "spam": as_any,
        "blocked_callers": [],
    }  # fmt: skip


async def test_what_is_kept_is_what_was_said_with_numbers_as_e164(service: Service) -> None:
    """Read as one dials them within the pool's country."""
    site = await service.pool(
        routing={
            "caller_id": "(602) 555-0142", "whisper": "{utm_source}", "record": "dual",
            "fallback_destinations": ["602-555-0199", NIGHT], "business_hours": HOURS,
            "after_hours": {"action": "route", "destination": "6025550199"},
            "spam": CLOSED, "blocked_callers": ["+19999999999", "602 555 0111"],
        }
    )  # fmt: skip

    kept = await routing_of(service, site.pool_id)

    assert kept["caller_id"] == "+16025550142"
    assert kept["fallback_destinations"] == [NIGHT]
    assert kept["after_hours"]["destination"] == NIGHT
    assert kept["blocked_callers"] == ["+19999999999", "+16025550111"]
    assert (kept["business_hours"], kept["spam"]) == (HOURS, CLOSED)


async def test_an_edit_changes_what_it_names(service: Service) -> None:
    """And leaves the rest of the object alone; `null` puts a setting back."""
    site = await service.pool(routing={"record": "mono", "whisper": "Hello", "ring_timeout_s": 9})

    edited = await service.admin(
        "PATCH", f"/pools/{site.pool_id}", {"routing": {"whisper": None, "spam": CLOSED}}
    )

    assert edited.status_code == 200, edited.text
    kept = await routing_of(service, site.pool_id)
    assert (kept["record"], kept["ring_timeout_s"]) == ("mono", 9)
    assert (kept["whisper"], kept["spam"]) == (None, CLOSED)


@pytest.mark.parametrize(
    ("routing", "field"),
    [
        ({"fallback_destinations": ["+123"]}, "routing.fallback_destinations.0"),
        ({"caller_id": "nobody"}, "routing.caller_id"),
        ({"blocked_callers": ["nobody"]}, "routing.blocked_callers.0"),
        ({"spam": {"destination": "12"}}, "routing.spam.destination"),
        ({"spam": {"action": "message"}}, "routing.spam.message"),
        ({"business_hours": HOURS}, "routing.after_hours"),
        (
            {"business_hours": {**HOURS, "time_zone": "Mars/Olympus"}, "after_hours": CLOSED},
            "routing.business_hours.time_zone",
        ),
        (
            {"business_hours": {**HOURS, "time_zone": "../../etc/passwd"}, "after_hours": CLOSED},
            "routing.business_hours.time_zone",
        ),
        (
            {"business_hours": {**HOURS, "holidays": ["2026-02-30"]}, "after_hours": CLOSED},
            "routing.business_hours.holidays.0",
        ),
        ({"ring_timeout_s": 4}, "routing.ring_timeout_s"),
        ({"record": "always"}, "routing.record"),
        ({"voicemail": True}, "routing.voicemail"),
        ({"business_hours": {**HOURS, "weekly": [{"days": [], "opens": "9", "closes": "25:00"}]}},
         "routing.business_hours.weekly.0.days"),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_by_name(
    service: Service, routing: dict[str, object], field: str
) -> None:
    """And nothing is made."""
    before = service.contents()

    answer = await service.admin(
        "POST", "/pools", {"name": "n", "destinations": [SHOP], "routing": routing}
    )

    assert_problem(answer, 422, "invalid-request")
    assert field in [each["field"] for each in answer.json()["errors"]]
    assert service.contents() == before


async def test_calls_cannot_go_in_a_circle(service: Service) -> None:
    """A number of the pool is no destination of its routing, whichever came first."""
    site = await service.pool(ONE, overflow_numbers=["+18005550100"])
    pool = f"/pools/{site.pool_id}"

    own = await service.admin("PATCH", pool, {"routing": {"fallback_destinations": [ONE]}})
    shared = await service.admin(
        "PATCH", pool, {"routing": {"spam": {"destination": "+18005550100"}}}
    )
    await service.admin("PATCH", pool, {"routing": {"fallback_destinations": [TWO]}})
    late = await service.admin("POST", f"{pool}/numbers", {"numbers": [TWO]})

    assert_problem(own, 422, "invalid-request")
    assert_problem(shared, 422, "invalid-request")
    assert late.json()["rejected"][0]["code"] == "number-is-destination"
