"""Events for those who fetch them: a cursor over all shards."""

from collections.abc import AsyncIterator

import pytest
from jsonschema import Draft202012Validator

from dni_allocator.store.connection import Connection
from dni_allocator.store.outbox import Outbox
from tests.support.delivery import assigned, publish
from tests.support.service import Json, Service


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    """The store's own connection."""
    async with Connection(redis_url) as opened:
        yield opened


async def fetch(service: Service, query: str = "") -> Json:
    """One page."""
    answer = await service.admin("GET", f"/events?{query}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def ids(page: Json) -> list[str]:
    """The ids of a page's events."""
    events = page["events"]
    assert isinstance(events, list)
    return [str(one["data"]["event_id"]) for one in events]


async def test_page_by_page_every_event_comes_once(
    service: Service, connection: Connection
) -> None:
    """Over all shards; the order of each shard, and so of each number, is kept."""
    sent: dict[int, list[str]] = {shard: [] for shard in range(4)}
    for at in range(40):
        shard = at % 4
        sent[shard] += await publish(connection, [assigned(f"+1415555{at:04}")], shard=shard)

    cursor, seen = "oldest", list[str]()
    while True:
        page = await fetch(service, f"cursor={cursor}&limit=7")
        cursor, seen = str(page["cursor"]), seen + ids(page)
        if not page["has_more"]:
            break

    assert sorted(seen) == sorted(one for some in sent.values() for one in some)
    for shard, wanted in sent.items():
        assert [one for one in seen if one.startswith(f"evt_s{shard}_")] == wanted


async def test_the_same_cursor_gives_the_same_events(
    service: Service, connection: Connection
) -> None:
    """A consumer that crashed before it stored the cursor asks again and has missed nothing."""
    await publish(connection, [assigned("+14155550101")])
    first = await fetch(service, "cursor=oldest")
    await publish(connection, [assigned("+14155550102")])

    again = await fetch(service, "cursor=oldest")
    behind = await fetch(service, f"cursor={first['cursor']}")

    assert ids(again)[:1] == ids(first)
    assert ids(again)[1:] == ids(behind)


async def test_now_begins_behind_what_was(service: Service, connection: Connection) -> None:
    """Without events there is a cursor too."""
    await publish(connection, [assigned("+14155550101")])
    start = await fetch(service, "cursor=now")
    sent = await publish(connection, [assigned("+14155550102")])

    assert ids(start) == []
    assert ids(await fetch(service, f"cursor={start['cursor']}")) == sent


async def test_types_and_pools_choose_and_the_cursor_passes_the_rest(
    service: Service, connection: Connection
) -> None:
    """What nobody wants is not looked at twice."""
    events = [assigned("+14155550101"), assigned("+14155550102") | {"t": "lease.ended"},
              assigned("+14155550103") | {"p": "pool_b"}]  # fmt: skip
    [first, second, third] = await publish(connection, events)

    ended = await fetch(service, "type=lease.ended")
    of_pools = await fetch(service, "pool=pool_b&pool=pool_c")

    assert ids(ended) == [second]
    assert ids(of_pools) == [third]
    assert ended["cursor"] == of_pools["cursor"]
    assert first not in ids(await fetch(service, f"cursor={ended['cursor']}"))


async def test_a_cursor_that_missed_events_is_told_so(
    service: Service, connection: Connection
) -> None:
    """410 with the oldest cursor there is: a silent gap would be a lie in somebody's books."""
    await publish(connection, [assigned("+14155550101")])
    old = (await fetch(service, "cursor=oldest&limit=1"))["cursor"]
    await publish(connection, [assigned(f"+1415555{at:04}") for at in range(300)])
    outbox = Outbox(connection.execute, shard=0)
    await outbox.cap(keep=100)

    refused = await service.admin("GET", f"/events?cursor={old}")
    problem = refused.json()
    onwards = await fetch(service, f"cursor={problem['oldest_cursor']}&limit=1000")

    assert (refused.status_code, problem["code"]) == (410, "cursor-expired")
    assert len(ids(onwards)) == 100
    assert ids(onwards) == ids(await fetch(service, "cursor=oldest&limit=1000"))


async def test_a_cursor_at_the_end_survives_trimming(
    service: Service, connection: Connection
) -> None:
    """Whoever has seen all has missed nothing, though all of it is gone."""
    await publish(connection, [assigned(f"+1415555{at:04}") for at in range(50)])
    page = await fetch(service, "cursor=oldest&limit=1000")

    dropped = await Outbox(connection.execute, shard=0).trim(keep=0, keep_for_ms=0)
    sent = await publish(connection, [assigned("+14155550199")])

    assert dropped == 50
    assert ids(await fetch(service, f"cursor={page['cursor']}")) == sent


async def test_waiting_ends_when_something_happens(
    service: Service, connection: Connection
) -> None:
    """A consumer need not hammer the service."""
    cursor = (await fetch(service, "cursor=now"))["cursor"]
    sent = await publish(connection, [assigned("+14155550101")], shard=3)

    page = await fetch(service, f"cursor={cursor}&wait_s=20")

    assert ids(page) == sent


@pytest.mark.parametrize(
    "query", ["cursor=!", "cursor=W10", "cursor=WzEsMiwzLDRd", "limit=0", "limit=1001", "wait_s=21"]
)
async def test_a_bad_question_is_refused(query: str, service: Service) -> None:
    """A cursor of other data too."""
    answer = await service.admin("GET", f"/events?{query}")

    assert answer.status_code == 422


async def test_events_need_a_key(service: Service) -> None:
    """They name visitors."""
    assert (await service.http.get("/events")).status_code == 401


async def test_what_is_fetched_has_the_published_shape(service: Service) -> None:
    """The event of a real page view, against the schema the service itself gives out."""
    site = await service.pool("+16025550103")
    await site.view("visitor-1", url="https://shop.example/?gclid=1", fields={"gclid": "1"})
    schemas = (await service.admin("GET", "/events/schemas")).json()

    page = await fetch(service, "cursor=oldest")

    events = page["events"]
    assert isinstance(events, list)
    [event] = events
    Draft202012Validator(schemas["number.assigned"]).validate(event)
