"""What visitors notice of a bad network between their browser and the service, a real process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
import redis

from dni_allocator.store.embedded import EmbeddedServer
from tests.chaos.proxy import Proxy, proxied, to_port
from tests.support import invariants
from tests.support.program import answers, free_port, started
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, POOL
from tests.support.waiting import wait_until_async

BODY: Final = b'{"key":"%s","visitor_id":"ann","page_id":"page"}'
_POOLS: Final = count()


@pytest.fixture(scope="module")
def port(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where one service for all these tests listens."""
    room: Path = tmp_path_factory.mktemp("service")
    with redis.Redis.from_url(valkey_server.url) as store:
        store.flushall()
        found = free_port()
        with started(room, found, DNI_REDIS_URL=valkey_server.url, DNI_DRAIN_S="0"):
            yield found
        invariants.check(store)


@dataclass(frozen=True, slots=True)
class Shop:
    """A pool with two numbers, and the road to its service."""

    proxy: Proxy
    direct: httpx.AsyncClient
    """Around the road."""
    browser: httpx.AsyncClient
    """Over it."""
    pool_id: str
    key: str

    async def view(self, visitor: str = "ann") -> dict[str, Any]:
        """What a page shows."""
        body = {"key": self.key, "visitor_id": visitor, "page_id": "page"}
        answer = await self.browser.post("/assign", json=body, headers={"Origin": ORIGIN})
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()["numbers"][0]
        return shown

    async def leased(self) -> int:
        """How many numbers are held."""
        answer = await self.direct.get(f"/pools/{self.pool_id}")
        return int(answer.json()["occupancy"]["leased"])


@pytest_asyncio.fixture
async def shop(port: int) -> AsyncIterator[Shop]:
    """A shop whose road is good so far."""
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    direct = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=admin, timeout=30)
    async with direct, proxied(to_port(port)) as proxy:
        await wait_until_async(lambda: answers(direct, "/readyz", 200), what="ready")
        made = (await direct.post("/pools", json=POOL)).json()
        pair = fictional(2, start=2 * next(_POOLS))
        attached = await direct.post(f"/pools/{made['id']}/numbers", json={"numbers": pair})
        assert attached.is_success
        async with httpx.AsyncClient(base_url=proxy.base_url, timeout=30) as browser:
            yield Shop(proxy, direct, browser, made["id"], made["key"])


async def test_a_page_whose_answer_was_lost_gets_the_same_number_when_it_asks_again(
    shop: Shop,
) -> None:
    """The lease was made, the visitor never heard of it; it is theirs, and nobody's second."""
    shop.proxy.lose_reply()

    with pytest.raises(httpx.TransportError):
        await shop.view()
    again, once_more = await shop.view(), await shop.view()

    assert again["reason"] == once_more["reason"] == "renewed"
    assert again["number"] == once_more["number"]
    assert await shop.leased() == 1


async def test_a_request_that_is_cut_in_the_middle_leases_nothing(shop: Shop) -> None:
    """Half a body is no page view."""
    body = BODY % shop.key.encode()
    head = b"POST /assign HTTP/1.1\r\nhost: dni\r\ncontent-length: %d\r\n\r\n" % len(body)
    _, writer = await asyncio.open_connection("127.0.0.1", shop.proxy.port)
    writer.write(head + body[:-9])
    await writer.drain()
    await wait_until_async(lambda: shop.proxy.passed >= len(head + body[:-9]))

    shop.proxy.cut()
    writer.close()

    assert (await shop.view("bob"))["reason"] == "new"
    assert await shop.leased() == 1


async def test_a_visitor_who_vanished_leaves_the_service_to_the_others(shop: Shop) -> None:
    """Their connection is half-open; their number is theirs until the idle limit."""
    ann = await shop.view("ann")
    shop.proxy.vanish()
    asking = asyncio.ensure_future(shop.view("ann"))
    await wait_until_async(lambda: shop.proxy.open > 0)
    shop.proxy.come_back()

    async with httpx.AsyncClient(base_url=shop.proxy.base_url, timeout=30) as other:
        body = {"key": shop.key, "visitor_id": "bob", "page_id": "page"}
        answer = await other.post("/assign", json=body, headers={"Origin": ORIGIN})

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert answer.json()["numbers"][0]["number"] != ann["number"]
    assert await shop.leased() == 2


async def test_requests_and_answers_that_trickle_are_whole(shop: Shop) -> None:
    """A slow telephone on a bad line gets its number, too."""
    before = await shop.view()
    shop.proxy.piece = 1

    assert (await shop.view())["number"] == before["number"]


async def test_a_beacon_that_comes_late_closes_nothing_for_a_newer_page(shop: Shop) -> None:
    """The farewell of an old page was held up; the visitor is on the next page long since."""
    await shop.view()
    shop.proxy.hold()
    page = {"key": shop.key, "visitor_id": "ann", "page_id": "page"}
    beacon = asyncio.ensure_future(shop.browser.post("/close", json=page))
    newer = await shop.direct.post("/assign", json={**page, "page_id": "newer"})
    shop.proxy.let_go()
    closed = await beacon

    alive = await shop.direct.post("/heartbeat", json={**page, "page_id": "newer"})

    assert closed.status_code == 204
    assert newer.json()["numbers"][0]["reason"] == "renewed"
    assert alive.json()["expires_in_s"] > 30
