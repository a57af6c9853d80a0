"""Calls over HTTP: recorded once, attributed for good, brought up to date, told to the world."""

import csv
import io

import pytest
import redis

from dni_allocator.services.access import Scope
from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Json, Service

ONE, TWO = fictional(2)
CALLER = "+14155550177"


async def recorded(service: Service, number: str = ONE, **more: object) -> Json:
    """A call that was recorded just now."""
    answer = await service.admin("POST", "/calls", {"number": number, **more})
    assert answer.status_code == 201, answer.text
    call: Json = answer.json()
    return call


async def edited(service: Service, call: Json, **what: object) -> Json:
    """The call after more became known of it."""
    answer = await service.admin("PATCH", f"/calls/{call['id']}", what)
    assert answer.status_code == 200, answer.text
    after: Json = answer.json()
    return after


async def events(service: Service, prefix: str = "call.") -> list[Json]:
    """The events of some types, oldest first."""
    answer = await service.admin("GET", "/events?limit=1000")
    return [each for each in answer.json()["events"] if each["type"].startswith(prefix)]


async def test_a_call_is_recorded_with_its_attribution(service: Service) -> None:
    """Who had the number, how sure that is, where the call belongs: fixed, and answered at once."""
    site = await service.pool(ONE)
    (shown,) = await site.view("ann", url="https://shop.example/?gclid=1", fields={"gclid": "1"})

    call = await recorded(service, caller=CALLER)

    assert call["route_to"] == SHOP
    assert (call["status"], call["caller"], call["first_time_caller"]) == ("ringing", CALLER, True)
    assert call["attribution"] == {
        "basis": "live", "confidence": 1.0, "visitor_id": "ann", "lease_id": shown.lease_id,
        "url": "https://shop.example/?gclid=1", "referrer": None, "fields": {"gclid": "1"},
        "candidates": [
            {"visitor_id": "ann", "lease_id": shown.lease_id, "basis": "live", "confidence": 1.0,
             "reason": "They had a page with this number open."}
        ],
    }  # fmt: skip


async def test_a_later_visitor_changes_nothing(service: Service) -> None:
    """Frozen means: the number may go to anybody, the call stays who it was."""
    site = await service.pool(ONE, hold_after_call_s=0)
    await site.view("ann")
    call = await recorded(service)
    service.clock.advance(seconds=400)
    await site.view("bob")

    again = await service.admin("GET", f"/calls/{call['id']}")

    assert again.json() == call


async def test_a_providers_call_is_recorded_once(service: Service) -> None:
    """A webhook that is sent twice gets the first answer again, and no second event."""
    site = await service.pool(ONE)
    await site.view("ann")
    body = {"number": ONE, "caller": CALLER, "provider": "twilio", "provider_call_id": "CA1"}

    first = await service.admin("POST", "/calls", body)
    service.clock.advance(seconds=5)
    second = await service.admin("POST", "/calls", body)

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert second.headers["Location"] == f"/calls/{first.json()['id']}"
    assert [each["type"] for each in await events(service)] == ["call.started"]


async def test_its_course_is_told_in_events_once_each(service: Service) -> None:
    """Ringing, answered, completed, worth something: whatever is repeated or comes late."""
    site = await service.pool(ONE)
    await site.view("ann")
    call = await recorded(service, caller=CALLER)
    service.clock.advance(seconds=8)
    await edited(service, call, status="answered")
    service.clock.advance(seconds=90)

    for _ in range(2):
        await edited(service, call, status="completed", duration_s=90)
    await edited(service, call, status="ringing")
    after = await edited(service, call, value="129.90", currency="USD", outcome="sale")

    told = await events(service)
    assert [each["type"] for each in told] == [
        "call.started", "call.updated", "call.completed", "call.qualified", "call.updated",
    ]  # fmt: skip
    data = told[-1]["data"]
    assert isinstance(data, dict)
    assert (data["value"], data["currency"], data["outcome"]) == (129.9, "USD", "sale")
    assert (after["status"], after["qualified"], after["value"]) == ("completed", True, 129.9)
    assert (after["answered_at"], after["ended_at"]) == (
        "2027-01-15T08:00:08Z", "2027-01-15T08:01:38Z",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "course", "qualifies"),
    [
        ({}, {"status": "completed", "duration_s": 60}, True),
        ({}, {"status": "completed", "duration_s": 59}, False),
        ({}, {"status": "completed"}, False),
        ({}, {"status": "no_answer", "duration_s": 90}, False),
        ({}, {"status": "answered", "duration_s": 90}, False),
        ({"qualify_min_duration_s": 0}, {"status": "completed"}, True),
        ({"qualify_outcomes": ["sale"]}, {"status": "completed", "duration_s": 90}, False),
        (
            {"qualify_outcomes": ["sale"]},
            {"status": "completed", "duration_s": 90, "outcome": "sale"},
            True,
        ),
    ],
)
async def test_the_rule_of_the_pool_qualifies(
    service: Service, rule: dict[str, object], course: dict[str, object], *, qualifies: bool
) -> None:
    """A completed call, long enough, with one of the outcomes that count."""
    site = await service.pool(ONE, **rule)
    await site.view("ann")

    after = await edited(service, await recorded(service), **course)

    assert after["qualified"] is qualifies
    kinds = [each["type"] for each in await events(service, "call.qualified")]
    assert kinds == ["call.qualified"] * qualifies


async def test_only_first_time_callers_may_count(service: Service) -> None:
    """A pool may want new customers only; who withholds the number is nobody's first call."""
    await service.pool(ONE, qualify_first_time_only=True)
    course = {"status": "completed", "duration_s": 90}

    first = await edited(service, await recorded(service, caller=CALLER), **course)
    second = await edited(service, await recorded(service, caller=CALLER), **course)
    withheld = await edited(service, await recorded(service), **course)

    assert [each["qualified"] for each in (first, second, withheld)] == [True, False, False]


async def test_calls_are_listed_newest_first_and_paged(service: Service) -> None:
    """Every call once, however small the pages and however alike the instants."""
    await service.pool(ONE)
    await service.pool(TWO, name="Other")
    made = []
    for at in range(7):
        made.append((await recorded(service, (ONE, TWO)[at % 2]))["id"])
        service.clock.advance(seconds=at % 2)

    found: list[Json] = []
    cursor = None
    while True:
        query = "/calls?limit=2" + (f"&cursor={cursor}" if cursor else "")
        page = (await service.admin("GET", query)).json()
        found += page["calls"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert sorted(str(each["id"]) for each in found) == sorted(map(str, made))
    instants = [str(each["started_at"]) for each in found]
    assert instants == sorted(instants, reverse=True)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"number": ONE}, 1), ({"number": ONE.removeprefix("+")}, 1), ({"caller": CALLER}, 1),
        ({"visitor_id": "ann"}, 1), ({"visitor_id": "nobody"}, 0), ({"outcome": "sale"}, 1),
        ({"qualified": "true"}, 1), ({"qualified": "false"}, 1), ({"min_duration_s": "61"}, 1),
        ({"status": "ringing"}, 1), ({"from": "2027-01-15T08:00:01Z"}, 1),
        ({"to": "2027-01-15T08:00:01Z"}, 1), ({"to": "2027-01-15T08:00:00Z"}, 0),
        ({"source": "google"}, 0), ({"pool_id": "pool_nowhere"}, 0), ({}, 2),
    ],
)  # fmt: skip
async def test_filters(service: Service, query: dict[str, str], count: int) -> None:
    """Each narrows the list; together they all must hold."""
    site = await service.pool(ONE, TWO)
    await site.view("ann")
    held = (await site.view("ann"))[0].number
    other = TWO if held == ONE else ONE
    query = {name: held if value == ONE else value for name, value in query.items()}
    call = await recorded(service, held, caller=CALLER)
    await edited(service, call, status="completed", duration_s=90, outcome="sale")
    service.clock.advance(seconds=1)
    await recorded(service, other)

    answer = await service.http.get(
        "/calls", params=query, headers={"Authorization": f"Bearer {service.secret(Scope.CALLS)}"}
    )

    assert answer.status_code == 200, answer.text
    assert len(answer.json()["calls"]) == count


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"number": "+12125550999"}, 404, "number-unknown"),
        ({"number": "12"}, 422, "invalid-number"),
        ({}, 422, "invalid-request"),
        ({"number": ONE, "caller": "anonymous"}, 422, "invalid-number"),
        ({"number": ONE, "provider": "twilio"}, 422, "invalid-request"),
        ({"number": ONE, "provider": "T w", "provider_call_id": "1"}, 422, "invalid-request"),
        ({"number": ONE, "started_at": "2027-01-15T08:00:00"}, 422, "invalid-request"),
        ({"number": ONE, "started_at": "2027-01-15T09:00:00Z"}, 422, "invalid-request"),
        ({"number": ONE, "started_at": "2026-10-01T00:00:00Z"}, 422, "invalid-request"),
        ({"number": ONE, "nonsense": 1}, 422, "invalid-request"),
    ],
)
async def test_what_is_no_call_is_refused(
    service: Service, body: dict[str, object], status: int, code: str
) -> None:
    """A clear problem, no echo of a number, and nothing written."""
    await service.pool(ONE)
    before = service.contents()

    answer = await service.admin("POST", "/calls", body)

    assert_problem(answer, status, code)
    assert service.contents() == before


@pytest.mark.parametrize(
    "body",
    [
        {"value": 1}, {"value": -1, "currency": "USD"}, {"currency": "usd"}, {"duration_s": -1},
        {"duration_s": 1.5}, {"status": "gone"}, {"recording_url": "javascript:alert(1)"},
        {"outcome": ""}, {"ended_at": "2027-01-15T07:00:00Z"}, {"more": 1},
        {"ended_at": "2027-01-15T09:00:00Z"},
    ],
)  # fmt: skip
async def test_what_cannot_be_of_a_call_is_refused(
    service: Service, body: dict[str, object]
) -> None:
    """Negative lengths, worth in no currency, links that run scripts: nothing is written."""
    await service.pool(ONE)
    call = await recorded(service)
    before = service.contents()

    answer = await service.admin("PATCH", f"/calls/{call['id']}", body)

    assert_problem(answer, 422, "invalid-request")
    assert service.contents() == before


@pytest.mark.parametrize("name", ["call_nothing_0123456789abcdef", "call_", "x", "pool_1"])
async def test_unknown_calls(service: Service, name: str) -> None:
    """404 for reading and for editing."""
    assert_problem(await service.admin("GET", f"/calls/{name}"), 404, "call-unknown")
    assert_problem(await service.admin("PATCH", f"/calls/{name}", {}), 404, "call-unknown")


async def test_a_cursor_of_somebody_else(service: Service) -> None:
    """Refused, not guessed at."""
    assert_problem(await service.admin("GET", "/calls?cursor=nonsense"), 422, "invalid-request")


@pytest.mark.parametrize(("scope", "status"), [(Scope.CALLS, 200), (Scope.ATTRIBUTION, 403)])
async def test_calls_need_their_own_scope(service: Service, scope: Scope, status: int) -> None:
    """A key for attribution reads no calls."""
    answer = await service.http.get(
        "/calls", headers={"Authorization": f"Bearer {service.secret(scope)}"}
    )

    assert answer.status_code == status


async def test_nothing_of_a_call_is_kept_for_ever(service: Service) -> None:
    """Record, lists, memory of the caller, the provider's name: each ends by itself."""
    site = await service.pool(ONE)
    await site.view("ann")
    await recorded(service, caller=CALLER, provider="telnyx", provider_call_id="v3:abc")

    with redis.Redis.from_url(service.redis_url) as client:
        keys = [key.decode() for key in client.scan_iter("*") if b":call" in key or b":leak" in key]
        lives = {key: client.pttl(key) for key in keys}

    assert len(keys) >= 5
    assert min(lives.values()) > 0
    assert max(lives.values()) <= 90 * 86_400_000


async def test_callers_are_remembered_by_a_hash_only(service: Service) -> None:
    """The memory of who called does not hold the number that called."""
    await service.pool(ONE)
    await recorded(service, caller=CALLER)

    with redis.Redis.from_url(service.redis_url) as client:
        memories = list(client.scan_iter("*:caller:*"))
        values = [client.hgetall(key) for key in memories]

    assert len(memories) == 1
    assert CALLER.removeprefix("+") not in repr((memories, values))


@pytest.mark.parametrize(
    ("query", "accept"), [("?format=csv", "*/*"), ("", "text/csv"), ("?format=csv&limit=1", "*/*")]
)
async def test_all_calls_as_csv(service: Service, query: str, accept: str) -> None:
    """One answer with every call, whatever the size of a page."""
    await service.pool(ONE, TWO)
    made = [await recorded(service, number, caller=CALLER) for number in (ONE, TWO, ONE)]

    answer = await service.admin("GET", f"/calls{query}", Accept=accept)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["id"] for row in rows} == {call["id"] for call in made}
    assert {row["caller"] for row in rows} == {CALLER}


async def test_json_is_what_one_gets_unless_one_asks(service: Service) -> None:
    """A client that takes anything, or both, gets JSON; `format` wins over `Accept`."""
    for query, accept in (("", "*/*"), ("", "text/csv, application/json"),
                          ("?format=json", "text/csv")):  # fmt: skip
        answer = await service.admin("GET", f"/calls{query}", Accept=accept)
        assert answer.json() == {"calls": [], "next_cursor": None}


async def test_a_key_of_other_pools_sees_and_records_nothing(service: Service) -> None:
    """A limited key: other pools' numbers and calls are as unknown as any."""
    mine, other = await service.pool(ONE), await service.pool(TWO, name="Other")
    made = await service.admin(
        "POST", "/keys", {"name": "CRM", "scopes": ["calls"], "pools": [mine.pool_id]}
    )
    headers = {"Authorization": f"Bearer {made.json()['secret']}"}
    call = await recorded(service, TWO, provider="x", provider_call_id="1")

    posted = await service.http.post("/calls", headers=headers, json={"number": TWO})
    again = await service.http.post(
        "/calls", headers=headers, json={"number": TWO, "provider": "x", "provider_call_id": "1"}
    )
    read = await service.http.get(f"/calls/{call['id']}", headers=headers)
    edited = await service.http.patch(f"/calls/{call['id']}", headers=headers, json={})
    listed = await service.http.get("/calls", headers=headers)
    asked = await service.http.get(f"/calls?pool_id={other.pool_id}", headers=headers)

    assert_problem(posted, 404, "number-unknown")
    assert_problem(again, 404, "number-unknown")
    assert_problem(read, 404, "call-unknown")
    assert_problem(edited, 404, "call-unknown")
    assert listed.json()["calls"] == []
    assert_problem(asked, 403, "forbidden")
    own = await service.http.post("/calls", headers=headers, json={"number": ONE})
    assert own.status_code == 201


async def test_many_calls_of_one_lease_are_a_leak_once_a_day(service: Service) -> None:
    """A number that strangers dial was shown to more than its visitor."""
    site = await service.pool(ONE, leak_callers=3)
    (shown,) = await site.view("ann")
    for at in (1, 1, 2):
        await recorded(service, caller=f"+1415555017{at}")
    assert await events(service, "number.leaked") == []

    for at in (3, 4, 5):
        await recorded(service, caller=f"+1415555017{at}")

    (leak,) = await events(service, "number.leaked")
    data = leak["data"]
    assert isinstance(data, dict)
    assert (data["reason"], data["callers"], data["number"]) == ("many_callers", 3, ONE)
    assert (data["lease_id"], data["visitor_id"]) == (shown.lease_id, "ann")


@pytest.mark.parametrize(
    ("settings", "reasons"), [({}, ["no_holder"]), ({"leak_calls": 2}, []), ({"leak_calls": 0}, [])]
)
async def test_a_call_to_a_number_of_nobody(
    service: Service, settings: dict[str, object], reasons: list[str]
) -> None:
    """As many different callers as the pool says; the shared number is nobody's by its nature."""
    await service.pool(ONE, overflow_numbers=["+18005550100"], **settings)

    await recorded(service, "+18005550100", caller=CALLER)
    await recorded(service, caller=CALLER)
    await recorded(service, caller=CALLER)

    leaks = [each["data"] for each in await events(service, "number.leaked")]
    assert [each["reason"] for each in leaks if isinstance(each, dict)] == reasons


async def test_a_held_number_is_shown_as_such(service: Service) -> None:
    """Operators see why a number is given to nobody, until when, and can end it."""
    site = await service.pool(ONE, hold_after_call_s=600)
    await site.view("ann")
    await recorded(service)
    path = f"/pools/{site.pool_id}/numbers"

    (leased,) = (await service.admin("GET", path)).json()["numbers"]
    service.clock.advance(seconds=300)
    await service.app.sweeper().sweep_once()
    (held,) = (await service.admin("GET", path)).json()["numbers"]
    await service.admin("DELETE", f"{path}/{ONE}/quarantine")
    (free,) = (await service.admin("GET", path)).json()["numbers"]

    assert [each["state"] for each in (leased, held, free)] == ["leased", "held", "free"]
    assert held["quarantine"] == {
        "reason": "call", "since": "2027-01-15T08:00:00Z", "until": "2027-01-15T08:10:00Z",
    }  # fmt: skip
    assert free["quarantine"] is None


async def test_a_late_record_is_attributed_as_of_then(service: Service) -> None:
    """The number moved on before the record came: the call is still the earlier visitor's."""
    site = await service.pool(ONE)
    await site.view("ann")
    rang = service.clock.iso()
    service.clock.advance(seconds=300)
    await site.view("bob")

    call = await recorded(service, started_at=rang)

    assert call["started_at"] == rang
    attribution = call["attribution"]
    assert isinstance(attribution, dict)
    assert (attribution["visitor_id"], attribution["basis"]) == ("ann", "live")
