"""`DELETE /visitors/{id}`: forgotten now, everywhere, whatever happens meanwhile."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.services.erasure import ABANDONED_AFTER_MS, Erasure
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.erasing import ErasureStore
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.scripts import NoScript
from dni_allocator.store.shards import Shards
from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Json, Service, Site

ONE, TWO, THREE, FOUR = fictional(4)
SHARED = "+18005550100"
CALLER = "+14155550177"
ANN = "Ann-0123456789abcdefABCD"
TOLD: dict[str, Any] = {
    "url": "https://shop.example/?email=private",
    "fields": {"gclid": "private"},
}


async def erase(service: Service, visitor: str = ANN) -> Json:
    """Erase and return what the answer counts."""
    answer = await service.admin("DELETE", f"/visitors/{visitor}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def events(service: Service) -> list[dict[str, str]]:
    """All entries of all outboxes."""
    found = []
    with redis.Redis.from_url(service.redis_url) as client:
        for name in client.scan_iter("dni:{s*}:events"):
            for _, fields in client.xrange(name):
                found.append({key.decode(): value.decode() for key, value in fields.items()})
    return found


def mentions(service: Service, *texts: str) -> list[str]:
    """Keys that hold one of these texts, or have it in their name; streams entry by entry."""
    found = []
    with redis.Redis.from_url(service.redis_url) as client:
        for name, value in service.contents().items():
            stream = client.type(name) == b"stream"
            entries: list[Any] = client.xrange(name) if stream else [value]
            for entry in entries:
                farewell = stream and b"visitor.erased" in dict(entry[1]).values()
                if not farewell and any(text in f"{name}{entry}" for text in texts):
                    found.append(name)
    return found


def theirs(service: Service) -> list[str]:
    """What names bob or cyd, but for what limits remember: 0.6 s, by a clock that is not driven."""
    return [name for name in mentions(service, "bob", "cyd") if ":limit:" not in name]


async def a_history(service: Service) -> tuple[Site, Site]:
    """Ann everywhere: live, ended, overwritten, returned, shared, detached, rate limited."""
    first = await service.pool(ONE, TWO, visitor_rate=100, overflow_numbers=[SHARED])
    second = await service.pool(THREE, FOUR)
    hers = await first.number(ANN, **TOLD), await second.number(ANN, **TOLD)
    for number in hers:
        started = {"number": number, "caller": CALLER}
        call = (await service.admin("POST", "/calls", started)).json()
        assert call["attribution"]["visitor_id"] == ANN
        await service.admin(
            "PATCH", f"/calls/{call['id']}", {"recording_url": "https://private.example/1"}
        )
    # Past the hold of a called number, which the sweeper ends.
    service.clock.advance(seconds=400)
    await service.app.sweeper().sweep_once()
    # Others take her numbers over, so that she is in their histories.
    for visitor in ("bob", "cyd"):
        await first.number(visitor)
        await second.number(visitor)
    assert await first.number(ANN, "p2", **TOLD) == SHARED
    service.clock.advance(seconds=400)
    await service.admin("DELETE", f"/pools/{second.pool_id}/numbers/{THREE}")
    await first.number(ANN, "p3", **TOLD)
    await second.number(ANN, "p4", **TOLD)
    return first, second


async def test_nothing_names_an_erased_visitor(service: Service) -> None:
    """No key, no value, no kept event; only the event that tells others."""
    first, second = await a_history(service)
    assert len(mentions(service, ANN, "private")) > 8

    counted = await erase(service)

    assert mentions(service, ANN, "private", CALLER) == []
    assert counted["leases_ended"] == 2
    assert counted["copies_left"] == 0
    assert await first.heartbeat(ANN, "p3") == {"gone": True}
    for number in (ONE, TWO, THREE, FOUR, SHARED):
        assert (await service.attribution(number))["visitor_id"] != ANN
    assert await second.number("dan") == FOUR


async def test_a_call_stays_as_a_fact(service: Service) -> None:
    """That it was made is counted and billed; who it was is gone, and nobody is remembered."""
    first, _ = await a_history(service)

    await erase(service)

    calls = (await service.admin("GET", f"/calls?pool_id={first.pool_id}")).json()["calls"]
    assert [each["caller"] for each in calls] == [None]
    assert calls[0]["attribution"]["visitor_id"] is None
    assert calls[0]["attribution"]["candidates"] == []
    again = await service.admin("POST", "/calls", {"number": calls[0]["number"], "caller": CALLER})
    assert again.json()["first_time_caller"] is True


async def test_others_are_left_alone(service: Service) -> None:
    """What names bob stays as it was, in the very same records."""
    await a_history(service)
    before = theirs(service)

    await erase(service)

    assert theirs(service) == before


async def test_downstream_is_told_once_and_last(service: Service) -> None:
    """The ends of her leases carry no data, and the last word is that she is erased."""
    await service.admin(
        "POST", "/webhooks", {"url": "https://a.example/", "event_types": ["call.started"]}
    )
    pool = await service.pool(ONE)
    await pool.number(ANN, **TOLD)

    counted = await erase(service)

    # The endpoint has yet to be asked, so events stay that it may want.
    assert counted["copies_left"] == 2
    told = [event for event in events(service) if event.get("v") == ANN]
    ended = next(event for event in told if event["t"] == "lease.ended")
    assert (ended["r"], ended["x"]) == ("erased", "")
    assert [event["t"] for event in told].count("visitor.erased") == 1


async def test_an_erased_number_is_free_at_once_and_owed_to_nobody(service: Service) -> None:
    """The next one to come takes it; she herself gets it as a new one, if at all."""
    pool = await service.pool(ONE)
    await pool.number(ANN)

    await erase(service)

    (shown,) = await pool.view(ANN, "p2", previous={SHOP: ONE})
    assert (shown.number, shown.reason) == (ONE, "new")


async def test_erasing_again_changes_nothing_and_tells_again(service: Service) -> None:
    """Also for an id that nobody knows here any more: a receiver may."""
    before = service.contents()

    for _ in range(2):
        assert await erase(service, "nobody-knows-them") == {
            "leases_ended": 0, "records": 0, "copies": 0, "copies_left": 0,
        }  # fmt: skip

    told = [event["t"] for event in events(service)]
    assert told == ["visitor.erased"] * 2
    changed = {name for name, value in service.contents().items() if before.get(name) != value}
    assert {re.sub(r"\{s\d+\}", "", name) for name in changed} == {"dni::events", "dni:audit"}


@pytest.mark.parametrize("visitor", ["a" * 129, "with%20space", "tab%09"])
async def test_what_is_no_visitor_id_is_refused(service: Service, visitor: str) -> None:
    """And not repeated: whatever it is, it may be somebody's."""
    answer = await service.admin("DELETE", f"/visitors/{visitor}")

    assert_problem(answer, 422, "invalid-request")
    assert visitor not in answer.text


async def test_a_draining_number_leaves_without_her(service: Service) -> None:
    """Its last lease ends by the erasure; no history remembers who had it."""
    pool = await service.pool(ONE)
    await pool.number(ANN, **TOLD)
    await service.admin("DELETE", f"/pools/{pool.pool_id}/numbers/{ONE}")

    await erase(service)
    await service.app.sweeper().sweep_once()

    assert mentions(service, ANN, "private") == []
    assert (await service.admin("GET", f"/pools/{pool.pool_id}/numbers")).json()["numbers"] == []


class Failing:
    """A way to the store that is cut after so many commands, as by a kill."""

    def __init__(self, connection: Connection, *, after: int) -> None:
        self._connection = connection
        self._left = after

    async def execute(self, *command: str | bytes | int) -> object:
        """Send one command, or fail. One that the server only asks the source for did nothing."""
        self._spend()
        try:
            return await self._connection.execute(*command)
        except NoScript:
            self._left += 1
            raise

    async def scan(self, pattern: str) -> AsyncIterator[str]:
        """Scan, or fail."""
        self._spend()
        async for name in self._connection.scan(pattern):
            yield name

    def _spend(self) -> None:
        if self._left == 0:
            message = "killed"
            raise StoreUnavailable(message)
        self._left -= 1


def _erasure(way: "Failing | Connection", service: Service) -> Erasure:
    shards = Shards(way.execute, 4, service.clock)
    return Erasure(
        store=ErasureStore(shards, scan=way.scan),
        pools=PoolStore(shards),
        endpoints=Endpoints(way.execute, shards=4),
        clock=service.clock,
    )


async def test_an_erasure_killed_at_any_step_is_finished_by_another_process(
    service: Service,
) -> None:
    """After every single command: once it was begun, it ends, and is told exactly once."""
    first, _ = await a_history(service)
    steps, told = 0, 1
    async with Connection(service.redis_url) as connection:
        await _erasure(connection, service).erase(ANN)
        whole = False
        while not whole:
            visitor = f"{ANN}-{steps}"
            await first.number(visitor, "p9", **TOLD)
            # As on a node of a cluster that has not run these scripts yet.
            with redis.Redis.from_url(service.redis_url) as client:
                client.script_flush()
            try:
                await _erasure(Failing(connection, after=steps), service).erase(visitor)
                whole = True
            except StoreUnavailable:
                pass
            other = _erasure(connection, service)
            assert await other.resume() == 0  # its process may be at it still
            service.clock.advance(ms=ABANDONED_AFTER_MS + 1)
            finished = await other.resume()
            assert finished == (0 if whole or steps == 0 else 1)
            assert await other.resume() == 0
            if steps:
                told += 1
                assert mentions(service, visitor) == [], steps
            assert [event["t"] for event in events(service)].count("visitor.erased") == told
            steps += 1

    assert steps > 15


async def test_a_limited_process_resumes_by_itself(service: Service) -> None:
    """The note names the visitor, so it has a TTL, and goes when all is done."""
    with redis.Redis.from_url(service.redis_url) as client:
        store = ErasureStore(
            Shards(service.app._execute, 4, service.clock),  # noqa: SLF001 - what a process does first
            scan=service.app._connection.scan,  # noqa: SLF001 - as above
        )
        await store.begin(ANN)
        (name,) = client.keys("dni:{s*}:erasing")
        assert client.pttl(name) > 0

        service.clock.advance(ms=ABANDONED_AFTER_MS - 1)
        assert await service.app.services.erasure.resume() == 0  # its process may be at it still
        service.clock.advance(ms=2)
        assert await service.app.services.erasure.resume() == 1

        assert client.keys("dni:{s*}:erasing") == []
