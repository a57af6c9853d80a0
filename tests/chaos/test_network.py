"""What pages, backends and receivers notice of a bad network between the service and its store."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import pytest
import redis

from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.webhooks.transport import HttpTransport
from tests.chaos.proxy import Ending, Proxy, proxied, to_socket
from tests.support import invariants
from tests.support.delivery import LOOPBACK, assigned, endpoint, forwarder, publish, running
from tests.support.receiver import receiving
from tests.support.rig import fictional
from tests.support.service import Service, Site, serving
from tests.support.waiting import wait_until_async

TIMEOUT_S: Final = 0.25
VISITORS: Final = 20


@dataclass(frozen=True, slots=True)
class Shop:
    """A pool whose service reaches the store through a proxy."""

    site: Site
    proxy: Proxy

    @property
    def service(self) -> Service:
        """The service."""
        return self.site.service

    async def everybody(self) -> list[httpx.Response]:
        """A page view of each visitor, all at once."""
        return await asyncio.gather(*(self.site.ask(f"visitor-{at}") for at in range(VISITORS)))

    async def attribution(self) -> httpx.Response:
        """A question of a backend: over the pool of connections, not the shared one."""
        return await self.service.admin("GET", f"/attribution/{fictional(1)[0]}")

    async def recovered(self) -> None:
        """Wait until a page and a backend are served again; nobody restarts anything."""

        async def well() -> bool:
            answers = (await self.site.ask("visitor-0"), await self.attribution())
            return all(answer.is_success for answer in answers)

        await wait_until_async(well, what="service again")


@pytest.fixture
async def proxy(valkey_server: EmbeddedServer, redis_url: str) -> AsyncIterator[Proxy]:
    """A road to the empty store; the invariants are checked at its end."""
    async with proxied(to_socket(str(valkey_server.socket_path))) as made:
        yield made
    with redis.Redis.from_url(redis_url) as client:
        invariants.check(client)


@asynccontextmanager
async def open_shop(proxy: Proxy, *, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Shop]:
    """A number for each visitor and one more; the store is asked over every kind of connection."""
    async with serving(proxy.url, redis_timeout_s=timeout_s) as service:
        made = Shop(await service.pool(*fictional(VISITORS + 1)), proxy)
        assert (await made.attribution()).is_success
        assert {answer.status_code for answer in await made.everybody()} == {200}
        yield made


@pytest.fixture
async def shop(proxy: Proxy) -> AsyncIterator[Shop]:
    """The shop, before anything is wrong."""
    async with open_shop(proxy) as opened:
        yield opened


def numbers(answers: list[httpx.Response]) -> list[str]:
    """What each page shows."""
    return [str(answer.json()["numbers"][0]["number"]) for answer in answers]


def refused(answer: httpx.Response) -> bool:
    """Whether it says that the store is away, and when to come back."""
    return (
        answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        and answer.json()["code"] == "store-unavailable"
        and int(answer.headers["retry-after"]) >= 1
    )


@pytest.mark.parametrize("ending", list(Ending))
async def test_a_cut_connection_is_noticed_by_nobody(shop: Shop, ending: Ending) -> None:
    """Idle or in use, by farewell or by slam: the command is sent again on a new one."""
    before = numbers(await shop.everybody())

    assert shop.proxy.cut(ending) >= 2
    idle = await shop.everybody()
    backend = await shop.attribution()
    asking = asyncio.ensure_future(shop.everybody())
    await wait_until_async(lambda: shop.proxy.open > 0)
    shop.proxy.cut(ending)
    in_use = await asking

    assert backend.is_success
    assert numbers(idle) == numbers(in_use) == before


async def test_a_store_that_refuses_connections_is_away_until_it_takes_them(shop: Shop) -> None:
    """As while a server restarts, or a firewall says no."""
    before = numbers(await shop.everybody())
    shop.proxy.refuses = True
    shop.proxy.cut()

    pages, backend = await shop.everybody(), await shop.attribution()

    assert all(map(refused, [*pages, backend]))
    shop.proxy.refuses = False
    await shop.recovered()
    assert numbers(await shop.everybody()) == before


async def test_a_store_that_vanished_is_503_within_the_time_limit_and_then_at_once(
    shop: Shop,
) -> None:
    """Half-open: what is under way waits for the time limit, what follows is told at once.

    Nothing is closed, nothing comes back; a new connection is silent, too. When the road is open
    again the service finds it by itself, and the old connections never answer any more.
    """
    before = numbers(await shop.everybody())
    shop.proxy.vanish()

    under_way = await shop.everybody()
    at_once = await shop.everybody()
    backend = await shop.attribution()
    ready = await shop.service.http.get("/readyz")

    assert all(map(refused, [*under_way, *at_once, backend, ready]))
    assert sum("is away" in answer.text for answer in at_once) >= VISITORS - 1
    shop.proxy.come_back()
    await shop.recovered()
    assert numbers(await shop.everybody()) == before


async def test_an_idle_connection_that_died_silently_costs_the_calls_of_one_time_limit(
    shop: Shop,
) -> None:
    """A NAT or a firewall forgot it: the pages that meet it are refused, the next ones served.

    A backend's call waits for the limit and is then served on a new connection.
    """
    before = numbers(await shop.everybody())
    shop.proxy.vanish()
    shop.proxy.come_back()

    met, backend = await shop.everybody(), await shop.attribution()
    following = await shop.everybody()

    assert all(map(refused, met))
    assert backend.is_success
    assert numbers(following) == before


async def test_commands_that_arrive_late_change_nothing_for_anybody(shop: Shop) -> None:
    """A road that was closed delivers what its senders gave up long ago.

    The page of a visitor who was refused asks again, and has one lease: that of the late command,
    or its own, which the late command finds.
    """
    before = numbers(await shop.everybody())
    shop.proxy.hold()
    late = await shop.site.ask("somebody")
    shop.proxy.let_go()
    await shop.recovered()

    again = [await shop.site.ask("somebody") for _ in range(2)]

    assert refused(late)
    assert len(set(numbers(again))) == 1
    assert numbers(await shop.everybody()) == before
    pool = (await shop.service.admin("GET", f"/pools/{shop.site.pool_id}")).json()
    assert pool["occupancy"]["leased"] == VISITORS + 1


@pytest.mark.parametrize(
    "weather",
    [lambda _: 0.02, lambda chance: chance.uniform(0, 0.04)],
    ids=["fixed", "jitter"],
)
async def test_a_slow_road_is_only_slow(
    shop: Shop, weather: Callable[[random.Random], float]
) -> None:
    """Below the time limit nobody is refused, and replies find their calls."""
    before = numbers(await shop.everybody())
    chance = random.Random(7)
    shop.proxy.delay_s = lambda: weather(chance)

    assert numbers(await shop.everybody()) == before
    assert (await shop.attribution()).is_success


async def test_a_road_slower_than_the_time_limit_is_a_store_that_is_away(shop: Shop) -> None:
    """Better a page with its own number now than one with another in a while."""
    before = numbers(await shop.everybody())
    shop.proxy.delay_s = lambda: 4 * TIMEOUT_S

    pages = await shop.everybody()

    assert all(map(refused, pages))
    shop.proxy.delay_s = lambda: 0.0
    await shop.recovered()
    assert numbers(await shop.everybody()) == before


async def test_replies_that_trickle_byte_by_byte_are_whole(proxy: Proxy) -> None:
    """Wherever the pieces of a command or a reply end; with time enough for so many."""
    async with open_shop(proxy, timeout_s=20) as shop:
        before = numbers(await shop.everybody())
        proxy.piece = 1

        assert numbers(await shop.everybody()) == before
        assert (await shop.attribution()).is_success


async def _cuts(proxy: Proxy) -> None:
    proxy.cut()


async def _vanishes(proxy: Proxy) -> None:
    proxy.vanish()
    await wait_until_async(_more_connections(proxy))
    proxy.come_back()


async def _dies_while_idle(proxy: Proxy) -> None:
    proxy.vanish()
    proxy.come_back()


async def _loses_replies(proxy: Proxy) -> None:
    for after in range(4):
        lost = proxy.lost
        proxy.lose_reply(after=after)
        await wait_until_async(lambda lost=lost: proxy.lost > lost)  # type: ignore[misc]


async def _is_held(proxy: Proxy) -> None:
    proxy.hold()
    await wait_until_async(_more_connections(proxy))
    proxy.let_go()


def _more_connections(proxy: Proxy) -> Callable[[], bool]:
    """Whether the client gave its connections up, and tries new ones."""
    before = proxy.taken
    return lambda: proxy.taken > before + 1


@pytest.mark.parametrize("fault", [_cuts, _vanishes, _dies_while_idle, _loses_replies, _is_held])
async def test_the_forwarder_goes_on_and_every_event_arrives(
    proxy: Proxy, redis_url: str, fault: Callable[[Proxy], Coroutine[None, None, None]]
) -> None:
    """Its own connections have the same troubles: it waits, finds its place, and loses nothing."""
    async with (
        receiving() as receiver,
        Connection(redis_url) as direct,
        Connection(proxy.url, timeout_s=TIMEOUT_S) as connection,
        HttpTransport(allowed=LOOPBACK) as transport,
    ):
        await Endpoints(direct.execute, shards=1).create(endpoint(receiver.url))
        written: list[str] = []

        async def arrived() -> None:
            written.extend(await publish(direct, [assigned(n) for n in fictional(10)]))
            await wait_until_async(
                lambda: set(receiver.ids()) == set(written),
                what=f"all {len(written)} events; {Counter(map(len, receiver.ids()))}",
            )

        async with running(forwarder(connection, transport)):
            await arrived()
            await fault(proxy)
            await arrived()
            await fault(proxy)
            await arrived()
