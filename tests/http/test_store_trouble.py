"""A real `serve` under load, while its connection is cut or its server stands still."""

import asyncio
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import redis

from tests.support.program import answers
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, POOL
from tests.support.waiting import wait_until_async

PAGES = 10_000
VISITORS = 120
NUMBERS = 100
BROWSERS = 40


class Shop:
    """A pool on the running service, and browsers that visit its pages."""

    def __init__(self, http: httpx.AsyncClient, *, key: str) -> None:
        self.http = http
        self._key = key
        self.statuses: Counter[int] = Counter()
        self.numbers: dict[str, set[str]] = {}

    async def visit(self, at: int) -> httpx.Response:
        """One page view; what it shows is remembered by visitor."""
        visitor = f"visitor-{at % VISITORS}"
        body = {"key": self._key, "visitor_id": visitor, "page_id": f"page-{at % 7}"}
        answer = await self.http.post("/assign", json=body)
        self.statuses[answer.status_code] += 1
        if answer.status_code == httpx.codes.OK:
            (shown,) = answer.json()["numbers"]
            if shown["status"] == "leased":
                self.numbers.setdefault(visitor, set()).add(shown["number"])
        return answer

    async def visit_all(self, pages: int) -> None:
        """So many page views, from 40 browsers at once."""
        following = iter(range(pages))

        async def browse() -> None:
            for at in following:
                await self.visit(at)

        await asyncio.gather(*(browse() for _ in range(BROWSERS)))


@asynccontextmanager
async def open_shop(port: int) -> AsyncIterator[Shop]:
    """A pool of 100 numbers on the service that is starting."""
    limits = httpx.Limits(max_connections=BROWSERS)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=30, limits=limits
    ) as http:
        await wait_until_async(lambda: answers(http, "/readyz", 200), what="ready")
        admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
        pool = (await http.post("/pools", json=POOL, headers=admin)).json()
        await http.post(
            f"/pools/{pool['id']}/numbers",
            json={"numbers": fictional(NUMBERS)},
            headers=admin,
        )
        shop = Shop(http, key=pool["key"])
        yield shop
        occupancy = (await http.get(f"/pools/{pool['id']}", headers=admin)).json()["occupancy"]

    held = list(shop.numbers.values())
    assert all(len(numbers) == 1 for numbers in held), "a visitor saw two numbers"
    assert len(set.union(*held)) == len(held), "a number was shown to two visitors"
    assert occupancy["leased"] == len(held), "a lease leaked"


@pytest.mark.timeout(240)  # 10,000 page views, on a slow machine too
async def test_a_connection_cut_again_and_again_loses_no_request(
    serve: "subprocess.Popen[bytes]", port: int, tmp_path: Path
) -> None:
    """10,000 page views while every connection to the store is cut about once in 500 of them."""
    assert serve.poll() is None
    socket = tmp_path / "data" / "valkey" / "valkey.sock"
    async with open_shop(port) as shop:
        loading = asyncio.create_task(shop.visit_all(PAGES))
        cuts = 0

        def reached(goal: int) -> bool:
            return loading.done() or shop.statuses.total() >= goal

        with redis.Redis(unix_socket_path=str(socket), protocol=2) as admin:
            while not loading.done():
                goal = shop.statuses.total() + 500
                await wait_until_async(partial(reached, goal))
                cuts += await asyncio.to_thread(admin.client_kill_filter, skipme=True) > 0
        await loading

        assert cuts >= 10
        assert shop.statuses == {200: PAGES}
        assert len(shop.numbers) == NUMBERS


async def test_a_frozen_store_is_answered_with_503_until_it_wakes(
    serve: "subprocess.Popen[bytes]", port: int, tmp_path: Path
) -> None:
    """Pages get their refusal while the store stands still, and their numbers when it goes on."""
    assert serve.poll() is None
    async with open_shop(port) as shop:
        await shop.visit_all(500)
        socket = tmp_path / "data" / "valkey" / "valkey.sock"
        with redis.Redis(unix_socket_path=str(socket)) as admin:
            pid = int(admin.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            under_way = await asyncio.gather(*(shop.visit(at) for at in range(BROWSERS)))
            # The store is known to be away now: one call at a time tries it, which takes a second,
            # and all others are told at once. A busy machine may see several of those seconds.
            refused = await asyncio.gather(*(shop.visit(at) for at in range(BROWSERS)))
        finally:
            os.kill(pid, signal.SIGCONT)

        for answer in (*under_way, *refused):
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert answer.json()["code"] == "store-unavailable"
            assert int(answer.headers["retry-after"]) >= 1
        assert sum("is away" in answer.text for answer in refused) > BROWSERS // 2

        async def serves_again() -> bool:
            return (await shop.visit(0)).status_code == httpx.codes.OK

        await wait_until_async(serves_again)
        before = Counter(shop.statuses)
        await shop.visit_all(1_000)

        assert shop.statuses - before == {200: 1_000}
