"""The store's memory is full: nothing new is leased, whoever holds a number keeps it, and it ends.

`maxmemory` with `noeviction`, as docs/operations.md wants it. The server refuses the first write of
a script if it may need memory, so none is carried out by halves.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
import pytest_asyncio
import redis

from dni_allocator.domain.lease import Gone, Leased
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.services.doctor import Level, memory
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.examining import memory_share
from dni_allocator.store.outbox import Outbox
from dni_allocator.webhooks.housekeeping import Housekeeping
from dni_allocator.webhooks.transport import HttpTransport
from tests.chaos.operations import OPERATIONS, Stage, differences, staged
from tests.support import invariants
from tests.support.delivery import LOOPBACK, SECRET, assigned, endpoint, forwarder, publish, running
from tests.support.receiver import receiving
from tests.support.rig import SERVICE, Rig, fictional, rig
from tests.support.service import SHOP, Service, serving, shown
from tests.support.waiting import wait_until_async

__all__ = ["rig"]


@contextmanager
def full(url: str) -> Iterator[None]:
    """No memory is left for anything."""
    with redis.Redis.from_url(url) as store:
        store.config_set("maxmemory", 1)
        try:
            yield
        finally:
            store.config_set("maxmemory", 0)


@pytest.fixture
async def service(redis_url: str) -> AsyncIterator[Service]:
    """The service on an empty store; the invariants are checked when the test is over."""
    async with serving(redis_url) as running_service:
        yield running_service
    with redis.Redis.from_url(redis_url) as client:
        invariants.check(client)


def refused(answer: httpx.Response) -> bool:
    """Whether it says that the store takes no more, and when to come back."""
    return (
        answer.status_code == 503
        and answer.json()["code"] == "store-unavailable"
        and any(word in answer.json()["detail"] for word in ("OOM", "OutOfMemory"))
        and int(answer.headers["retry-after"]) >= 1
    )


async def test_visitors_keep_their_numbers_and_new_ones_see_the_original(service: Service) -> None:
    """Renewals, signs of life, farewells and questions are answered as ever; and so is all after.

    A page that is refused shows what its author wrote.
    """
    site = await service.pool(*fictional(3))
    ann = await site.number("ann")
    await site.view("bob")

    with full(service.redis_url):
        before = service.contents()
        assert refused(await site.ask("cyd"))
        assert service.contents() == before
        assert await site.number("ann") == ann
        assert (await site.heartbeat("ann"))["expires_in_s"] == 300
        assert (await service.attribution(ann))["basis"] == "live"
        await site.close("bob")
        service.clock.advance(seconds=31)
        await service.app.sweeper().sweep_once()
        assert await site.heartbeat("bob") == {"gone": True}
        assert (await service.http.get("/readyz")).is_success

    (cyds,) = await site.view("cyd")
    assert cyds.status == "leased"


async def test_a_page_that_needs_one_more_is_refused_and_keeps_what_it_has(
    service: Service,
) -> None:
    """Its lease is renewed; neither is another made beside it, nor one of others ended for it."""
    site = await service.pool(*fictional(2), destinations=[SHOP, SERVICE])
    await site.view("silent", destinations=[SERVICE])
    service.clock.advance(seconds=200)
    ann = await site.number("ann", destinations=[SHOP])
    service.clock.advance(seconds=200)

    with full(service.redis_url):
        both = await site.ask("ann", destinations=[SHOP, SERVICE])
        new = await site.ask("cyd", destinations=[SHOP])
        service.clock.advance(seconds=200)
        held = await site.ask("ann", destinations=[SHOP])

    assert refused(both)
    assert refused(new)
    (row,) = shown(held)
    assert (row.number, row.reason) == (ann, "renewed")
    totals = (await service.admin("GET", f"/pools/{site.pool_id}")).json()["occupancy"]["totals"]
    assert totals["new"] == 2
    assert totals.get("ended", 0) == 0


async def test_the_sweeper_ends_leases_and_forgets_visitors(rig: Rig, redis_url: str) -> None:
    """Housekeeping gives memory back, so it may take some."""
    pool = await rig.pool(3)
    for visitor in ("ann", "bob"):
        await rig.lease(pool, visitor)
    rig.clock.advance(seconds=301)

    with full(redis_url):
        assert await rig.sweeper.sweep_once() == 2
        rig.clock.advance(seconds=pool.settings.attribution_window_s)
        await rig.sweeper.sweep_once()

    assert await rig.execute("HLEN", rig.shards.pool(pool.id).holders) == 0
    assert await rig.leases.heartbeat(pool, visitor_id="ann", page_id="page") == Gone()
    (answer,) = await rig.assign(pool, "cyd")
    assert isinstance(answer, Leased)


async def test_the_forwarder_delivers_parks_what_fails_and_sends_it_again(redis_url: str) -> None:
    """Events leave a full store, those that are refused at first, too."""
    async with (
        receiving() as receiver,
        Connection(redis_url) as connection,
        HttpTransport(allowed=LOOPBACK) as transport,
    ):
        await Endpoints(connection.execute, shards=1).create(endpoint(receiver.url))
        written = await publish(connection, [assigned(n) for n in fictional(5)])
        refusing = set(written[:1])
        receiver.answer = lambda one: 503 if one.id in refusing and len(receiver.came) < 9 else 204
        with full(redis_url):
            async with running(forwarder(connection, transport)):
                await wait_until_async(lambda: set(receiver.ids()) >= set(written[1:]))

                async def parked() -> bool:
                    return bool(await connection.execute("ZCARD", "dni:{s0}:fwd:whe_one:retries"))

                await wait_until_async(parked, what="the refused event is parked")
        position = await connection.execute("HGET", "dni:{s0}:cursors", "whe_one")

    assert isinstance(position, bytes)
    assert f"evt_s0_{position.decode()}" == written[-1]


async def test_near_the_limit_nothing_is_kept_only_for_replay(redis_url: str) -> None:
    """What every endpoint has taken makes room for new leases; what one has not stays."""
    settled = Endpoint(id="whe_one", url="https://example.com/", secret=SECRET, created_ms=1)
    async with Connection(redis_url) as connection:
        endpoints = Endpoints(connection.execute, shards=1)
        await endpoints.create(settled)
        taken = await publish(connection, [assigned(n) for n in fictional(300)])
        outbox = Outbox(connection.execute, shard=0)
        await outbox.lock("whe_one", token="t", ttl_ms=60_000)
        await outbox.settle("whe_one", token="t", position=taken[-1].removeprefix("evt_s0_"))
        waiting = await publish(connection, [assigned(n) for n in fictional(5)])
        keeper = Housekeeping(
            outboxes=[outbox],
            endpoints=endpoints,
            memory=lambda: memory_share(connection.execute),
        )

        await keeper.round()
        kept = await connection.execute("XLEN", "dni:{s0}:events")
        with full(redis_url):
            await keeper.round()
        left = await connection.execute("XRANGE", "dni:{s0}:events", "-", "+")

    assert kept == 305
    assert isinstance(left, list)
    assert len(left) < 150, "whole nodes of the stream are dropped, so some may stay"
    assert [f"evt_s0_{entry[0].decode()}" for entry in left[-5:]] == waiting


async def test_the_doctor_and_the_metrics_say_it(redis_url: str) -> None:
    """Before a page is refused, and while they are."""
    with redis.Redis.from_url(redis_url) as store:
        used = int(store.info("memory")["used_memory"])

    assert memory({"used_memory": str(used), "maxmemory": str(2 * used)}).level is Level.OK
    assert memory({"used_memory": str(used), "maxmemory": "1"}).level is Level.BAD
    async with serving(redis_url) as service:
        site = await service.pool(*fictional(1))
        with full(redis_url):
            await site.ask("ann")
            told = (await service.admin("GET", "/metrics")).text

    assert 'dni_redis_errors_total{kind="refused"} 1.0' in told
    assert "dni_redis_maxmemory_bytes 1.0" in told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(valkey_server: EmbeddedServer) -> AsyncIterator[Stage]:
    """One for all operations."""
    async with staged(valkey_server) as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", OPERATIONS)
async def test_every_operation_happens_or_leaves_no_trace(stage: Stage, name: str) -> None:
    """Refused with 503, or carried out as on any other day; never by halves."""
    operation = OPERATIONS[name]
    stage.empty()
    usual = await operation(stage.service, await stage.given())
    expected = stage.shape()
    stage.empty()
    given = await stage.given()
    before = stage.shape()

    with full(stage.url):
        answer = await operation(stage.service, given)

    if answer.is_success:
        assert answer.status_code == usual.status_code
        assert differences(expected, stage.shape()) == {}
    else:
        assert refused(answer), answer.text
        assert differences(before, stage.shape()) == {}
    again = await operation(stage.service, given)
    assert again.is_success or answer.is_success, "afterwards it is taken"
    invariants.check(stage.store)
