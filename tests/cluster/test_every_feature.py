"""Everything once on a cluster: scripts and commands keep to one slot each, whatever they build.

On a single server a key that was not declared, or that lies elsewhere, works silently. A cluster
refuses it. So this walks through every use of the store, and looks at the answers.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import redis
from redis.asyncio import RedisCluster

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.store.connection import Connection
from dni_allocator.store.examining import Examination
from dni_allocator.store.keys import ShardKeys, shard_of
from dni_allocator.store.shards import Shards
from dni_allocator.webhooks.transport import HttpTransport
from tests.http.test_dashboard import PAGES, sign_in
from tests.support import invariants
from tests.support.buying import Market
from tests.support.cluster import Cluster, free_ports
from tests.support.delivery import LOOPBACK, event_ids, forwarder, running
from tests.support.receiver import Receiver, receiving
from tests.support.rig import fictional
from tests.support.service import SHOP, Json, Service, Site, serving
from tests.support.vendors.standin import Vendor
from tests.support.waiting import wait_until_async

PHOENIX, MESA, TUCSON, MANHATTAN = "+16025550100", "+14805550100", "+15205550100", "+12125550100"
ONE, TWO, THREE, FOUR = fictional(4)
SERVICE = "+16024961500"
SHARED = "+18005550100"
CALLER = "+14155550177"
SHARDS = 4


@pytest.fixture
async def service(valkey_cluster: Cluster, cluster_url: str) -> AsyncIterator[Service]:
    """The service on an empty cluster; the invariants are checked over all nodes at the end."""
    async with serving(cluster_url, webhook_allow="127.0.0.0/8") as running_service:
        yield running_service
    with redis.RedisCluster.from_url(valkey_cluster.plain_url) as client:
        invariants.check(client)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook receiver that takes everything."""
    async with receiving() as listening:
        yield listening


async def told(service: Service, method: str, path: str, body: object = None) -> Json:
    """The answer to an operator's call that succeeds."""
    answer = await service.admin(method, path, body)
    assert answer.status_code in {200, 201, 202, 204}, f"{method} {path}: {answer.text}"
    found: Json = answer.json() if answer.content else {}
    return found


async def on_every_shard(service: Service, **settings: object) -> list[Site]:
    """Pools until there is one on each shard, hence on each node."""
    found: dict[int, Site] = {}
    for _ in range(200):
        site = await service.pool(**settings)
        found.setdefault(shard_of(site.pool_id, shards=SHARDS), site)
        if len(found) == SHARDS:
            return list(found.values())
    raise AssertionError("two hundred pools, and a shard has none")


def test_the_shards_lie_on_all_three_primaries(valkey_cluster: Cluster) -> None:
    """What the other tests rely on: more than one node is asked."""
    with redis.RedisCluster.from_url(valkey_cluster.plain_url) as client:
        nodes = {client.get_node_from_key(ShardKeys(at).events).port for at in range(SHARDS)}

    assert len(nodes) == 3


async def test_a_page_from_the_first_view_to_the_end(service: Service) -> None:
    """Lease, renewal, heartbeat, close, sweep, return, overflow: on every shard."""
    rows = fictional(4 * SHARDS)
    for at, site in enumerate(await on_every_shard(service, destinations=[SHOP, SERVICE])):
        numbers = rows[4 * at : 4 * at + 4]
        await told(service, "POST", f"/pools/{site.pool_id}/numbers", {"numbers": numbers})
        await told(
            service, "PATCH", f"/pools/{site.pool_id}",
            {"overflow_numbers": [f"+1800555010{at}"], "visitor_rate": 100},
        )  # fmt: skip

        both = await site.view("ann", destinations=[SHOP, SERVICE], fields={"gclid": "1"})
        again = await site.view("ann", "p2", destinations=[SHOP, SERVICE])
        await site.view("bob", destinations=[SHOP, SERVICE])
        (shared, _) = await site.view("cyd", destinations=[SHOP, SERVICE])

        assert {each.number for each in both} <= set(numbers)
        assert [(each.number, each.reason) for each in again] == [
            (each.number, "renewed") for each in both
        ]
        assert (shared.status, shared.number) == ("overflow", f"+1800555010{at}")
        assert (await site.heartbeat("ann"))["expires_in_s"] == 300
        await site.close("ann")
        await site.close("ann", "p2")
        service.clock.advance(seconds=31)
        await service.app.sweeper().sweep_once()
        assert await site.heartbeat("ann") == {"gone": True}
        back = await site.view("ann", destinations=[SHOP, SERVICE])
        assert [(each.number, each.reason) for each in back] == [
            (each.number, "returned") for each in both
        ]
        assert (await service.attribution(both[0].number))["visitor_id"] == "ann"


async def test_matching_by_area_and_quarantine(service: Service) -> None:
    """Orders of shelves, numbers set aside, moved to other shelves, suggested, explained, gone."""
    site = await service.pool(MANHATTAN, TUCSON, MESA, PHOENIX, match="area")
    numbers = f"/pools/{site.pool_id}/numbers"
    await told(service, "PUT", f"{numbers}/{MESA}/quarantine", {"reason": "spam calls"})

    assert [await site.number(who) for who in ("ann", "bob")] == [PHOENIX, TUCSON]
    await site.view("cyd", destinations=[SERVICE])
    await told(service, "DELETE", f"{numbers}/{MESA}/quarantine")
    assert await site.number("cyd") == MESA
    assert await told(service, "GET", f"/pools/{site.pool_id}/explain?visitor_id=dan")
    assert await told(service, "GET", f"/pools/{site.pool_id}/suggestions")
    await told(service, "POST", f"{numbers}/{PHOENIX}/spam")
    await told(service, "PATCH", f"/pools/{site.pool_id}", {"match": "type"})
    await service.app.sweeper().sweep_once()
    assert (await told(service, "GET", numbers))["numbers"]
    assert (await told(service, "GET", f"/leases?pool_id={site.pool_id}"))["leases"]
    await told(service, "DELETE", f"{numbers}/{MANHATTAN}")
    await told(service, "DELETE", f"{numbers}/{PHOENIX}?force=true")
    assert await site.heartbeat("ann") == {"gone": True}


async def test_pressure_limits_and_a_reserve(service: Service) -> None:
    """The rules of a pool, each with keys of its own; and a pool deleted with its leases."""
    site = await service.pool(
        ONE, TWO, THREE, visitor_rate=100, address_rate=100, address_leases=50, min_hold_s=1,
        pressure_threshold=0.3, pressure_idle_limit_s=6, max_lease_age_s=3600, selection="random",
    )  # fmt: skip

    seen = []
    for who in ("ann", "bob", "cyd", "dan"):
        seen += await site.view(who)
        service.clock.advance(seconds=5)

    assert [each.status for each in seen] == ["leased"] * 4
    assert await site.heartbeat("ann") == {"gone": True}
    await told(service, "DELETE", f"/pools/{site.pool_id}?force=true")
    assert (await service.admin("GET", f"/pools/{site.pool_id}")).status_code == 404


async def test_a_site_of_pools_on_different_shards(service: Service) -> None:
    """One key, several pools, several nodes: what is held is renewed, then they are tried."""
    pools = await on_every_shard(service)
    for site, number in zip(pools, fictional(len(pools)), strict=True):
        await told(service, "POST", f"/pools/{site.pool_id}/numbers", {"numbers": [number]})
    made = await told(
        service, "POST", "/sites", {"name": "Shop", "pools": [pool.pool_id for pool in pools]}
    )
    site = replace(pools[0], pool_id=str(made["id"]), key=str(made["key"]))

    seen = [await site.number(f"v{at}") for at in range(SHARDS)]

    assert seen == fictional(SHARDS)
    assert [await site.number(f"v{at}") for at in range(SHARDS)] == seen
    assert (await site.heartbeat("v3"))["expires_in_s"] == 300
    await site.close("v3")
    assert len((await told(service, "GET", "/sites"))["sites"]) == 1  # type: ignore[arg-type]


async def test_calls_and_what_is_remembered_of_callers(service: Service) -> None:
    """Recorded, found, amended, listed over all shards; the caller is known the second time."""
    first, second = await service.pool(ONE, THREE), await service.pool(TWO)
    hers = await first.number("ann", fields={"gclid": "1"})
    (other,) = {ONE, THREE} - {hers}
    await second.number("bob")
    started = {"number": hers, "caller": CALLER, "provider": "pbx", "provider_call_id": "7"}

    call = await told(service, "POST", "/calls", started)
    again = await told(service, "POST", "/calls", started)
    await told(service, "POST", "/calls", {"number": TWO, "caller": CALLER})
    await told(service, "PATCH", f"/calls/{call['id']}", {"status": "completed", "duration_s": 60})
    service.clock.advance(seconds=4000)
    known = await service.attribution(hers, caller=CALLER)

    assert again["id"] == call["id"]
    assert (await told(service, "GET", f"/calls/{call['id']}"))["duration_s"] == 60
    assert len((await told(service, "GET", "/calls"))["calls"]) == 2  # type: ignore[arg-type]
    assert known["visitor_id"] == "ann"
    late = await told(service, "POST", "/calls", {"number": other, "caller": CALLER})
    assert late["first_time_caller"] is False


async def test_history_sizing_and_scaling(service: Service) -> None:
    """Folded from the outbox, sampled over all pools of a shard, read for a size and a picture."""
    market = Market(service, Vendor())
    pools = await on_every_shard(service)
    for site, number in zip(pools, fictional(SHARDS), strict=True):
        await told(service, "POST", f"/pools/{site.pool_id}/numbers", {"numbers": [number]})
    await market.look()
    for at, site in enumerate(pools):
        await site.view(f"v{at}")
        await site.view("too-late")
    await market.look()

    for site in pools:
        history = await told(service, "GET", f"/pools/{site.pool_id}/history?resolution=minute")
        buckets = history["buckets"]
        assert isinstance(buckets, list)
        assert sum(each["arrivals"] for each in buckets) == 1
        assert sum(each["turned_away"] for each in buckets) == 1
        assert (await service.admin("GET", f"/pools/{site.pool_id}/sizing")).status_code == 200
    assert "decisions" in await told(service, "GET", "/autoscale")


async def test_numbers_bought_from_the_sandbox(service: Service) -> None:
    """Ordered, attached, leased, scaled for, given back: the ledger and the buyer's lock."""
    market = Market(service, Vendor())
    site = await service.pool()

    ended = await market.until_closed(
        await market.order(site.pool_id, vendor="sandbox", quantity=2, area_code="480")
    )
    await told(
        service, "PUT", f"/pools/{site.pool_id}/autoscale",
        {"vendor": "sandbox", "area_code": "602", "mode": "automatic"},
    )  # fmt: skip
    await market.look()
    for at in range(6):
        await site.ask(f"v{at}")
    await market.look()
    await market.round(after_s=61)
    await market.round()

    assert (ended["state"], ended["attached"]) == ("done", 2)
    (decision,) = (await market.read(f"/autoscale?pool={site.pool_id}"))["decisions"]
    assert (decision["action"], decision["state"]) == ("grow", "applied")
    assert len(await market.numbers(site.pool_id)) > 2
    assert (await market.read("/purchases"))["purchases"]


async def test_events_reach_a_receiver_from_every_shard(
    service: Service, receiver: Receiver
) -> None:
    """Locks, cursors, parking and trimming of each shard; a failed event is sent again."""
    made = await told(service, "POST", "/webhooks", {"url": receiver.url})
    receiver.answer = lambda _: 503 if len(receiver.came) == 1 else 204
    for site, number in zip(await on_every_shard(service), fictional(SHARDS), strict=True):
        await told(service, "POST", f"/pools/{site.pool_id}/numbers", {"numbers": [number]})
        await site.number("ann")

    async with Connection(service.redis_url) as connection, HttpTransport(
        allowed=LOOPBACK
    ) as transport, running(forwarder(connection, transport, shards=SHARDS)):  # fmt: skip
        await wait_until_async(lambda: len(set(receiver.ids())) >= SHARDS - 1)
        dead = f"/webhooks/{made['id']}"
        await told(service, "GET", f"{dead}/dead-letters")
        assert (await told(service, "GET", f"{dead}/deliveries"))["deliveries"]
        replayed = await told(service, "POST", f"{dead}/replay", {"since": "2020-01-01T00:00:00Z"})
        assert replayed
        await wait_until_async(lambda: len(set(receiver.ids())) == SHARDS)

    shards = {one.split("_")[1] for delivery in receiver.taken for one in event_ids(delivery)}
    assert len(shards) == SHARDS
    assert len((await told(service, "GET", "/events?limit=100"))["events"]) >= SHARDS  # type: ignore[arg-type]
    await told(service, "PATCH", f"/webhooks/{made['id']}", {"description": "CRM"})
    await told(service, "DELETE", f"/webhooks/{made['id']}")


async def test_keys_sessions_audit_and_pages_of_the_dashboard(service: Service) -> None:
    """The records without a hash tag, and every page that reads over all shards."""
    site = await service.pool(ONE)
    await site.number("ann")
    key = await told(service, "POST", "/keys", {"name": "CRM", "scopes": ["read"]})
    await told(service, "POST", f"/keys/{key['id']}/rotate", {"overlap_s": 60})
    await told(service, "POST", f"/pools/{site.pool_id}/rotate-key", {"overlap_s": 60})
    await told(service, "POST", "/traffic-sources", {"kind": "google", "name": "Google"})

    desk = await sign_in(service)
    pages = [*PAGES, f"/dashboard/pools/{site.pool_id}"]

    assert {page: (await desk.get(page)).status_code for page in pages} == dict.fromkeys(pages, 200)
    assert len((await told(service, "GET", "/audit"))["changes"]) >= 4  # type: ignore[arg-type]
    assert (await service.http.get("/readyz")).status_code == 200
    for path in ("/metrics", "/keys", "/pools", "/traffic-sources"):
        assert (await service.admin("GET", path)).status_code == 200, path
    await told(service, "DELETE", f"/keys/{key['id']}")


async def test_a_visitor_is_erased_from_every_node(
    service: Service, valkey_cluster: Cluster
) -> None:
    """The scan for histories and callers goes over all nodes."""
    for site, number in zip(await on_every_shard(service), fictional(SHARDS), strict=True):
        await told(service, "POST", f"/pools/{site.pool_id}/numbers", {"numbers": [number]})
        await site.number("Ann-to-forget", fields={"gclid": "private"})
        await told(service, "POST", "/calls", {"number": number, "caller": CALLER})
        service.clock.advance(seconds=4000)
        await service.app.sweeper().sweep_once()
        await site.number("bob")

    counted = await told(service, "DELETE", "/visitors/Ann-to-forget")

    assert counted["copies_left"] == 0
    with redis.RedisCluster.from_url(valkey_cluster.plain_url) as client:
        held = invariants.contents(client)
    assert not [name for name, value in held.items() if "Ann-to-forget" in f"{name}{value}"]
    assert [name for name, value in held.items() if "bob" in f"{name}{value}"]


async def test_the_doctor_looks_at_every_primary(cluster_url: str) -> None:
    """A setting that is well on one node and wrong on another is not well."""
    async with Connection(cluster_url) as connection:
        examination = Examination(Shards(connection.execute, SHARDS), scan=connection.scan)

        assert len(await examination.nodes()) == 3
        assert await examination.setting("appendfsync") == "everysec"


async def test_a_cluster_that_is_away_is_a_503() -> None:
    """What redis-py raises when no node answers is none of its usual errors."""
    url = f"redis+cluster://127.0.0.1:{free_ports(1)[0]}"
    async with serving(url) as service:
        answer = await service.admin("GET", "/pools")

    assert answer.status_code == 503
    assert answer.json()["code"] == "store-unavailable"


@pytest.mark.parametrize("times", [1, 2])
async def test_a_connection_closed_in_the_middle_of_a_call(
    times: int, cluster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What redis-py does to others when one call meets a change of the cluster: once is mended."""
    answered, left = RedisCluster.execute_command, [RuntimeError("closed")] * times

    async def closing(client: RedisCluster, *command: str) -> object:
        if left:
            raise left.pop()
        return await answered(client, *command)

    monkeypatch.setattr(RedisCluster, "execute_command", closing)
    async with Connection(cluster_url) as connection:
        if times == 1:
            assert await connection.execute("SET", "dni:x", "1")
        else:
            with pytest.raises(StoreUnavailable):
                await connection.execute("SET", "dni:x", "1")
