"""Two versions side by side on one store, while visitors are there: an upgrade, and its middle."""

import asyncio
import json
import signal
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.chaos.versions import OLDEST, source_of
from tests.deploy.test_rolling_upgrade import VISITORS, Traffic, a_pool, ended, ready
from tests.support import invariants
from tests.support.balancer import balancing
from tests.support.program import free_port, started
from tests.support.receiver import Receiver, receiving
from tests.support.service import ADMIN_KEY
from tests.support.waiting import wait_until_async

pytestmark = [pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(300)]


def told(receiver: Receiver, event_type: str) -> dict[str, dict[str, Any]]:
    """Events of a type that were taken, by lease."""
    events = [json.loads(one.body) for one in receiver.taken]
    return {
        str(event["data"]["lease_id"]): event["data"]
        for event in events
        if event["type"] == event_type
    }


async def has_a_dashboard(port: int) -> bool:
    """Whether the process is of today's version: the oldest had none."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{port}/dashboard", timeout=10)
        return answer.status_code != httpx.codes.NOT_FOUND


async def close_all(base: str, key: str) -> None:
    """Every visitor leaves."""
    async with httpx.AsyncClient(base_url=base, timeout=10) as browser:
        for visitor in range(VISITORS):
            for page in range(3):
                body = {"key": key, "visitor_id": f"v{visitor}", "page_id": f"p{page}"}
                assert (await browser.post("/close", json=body)).status_code == 204


async def test_an_upgrade_from_the_oldest_version_with_this_schema(
    tmp_path: Path, redis_url: str
) -> None:
    """The old version serves and writes, new ones start beside it, the old ones are stopped.

    No request fails, no visitor's number changes or is shared, and every lease is told of by one
    forwarder or another, whichever version wrote it. Then back again: what the new version wrote,
    the old one serves.
    """
    old = source_of(OLDEST, tmp_path)
    traffic = Traffic()
    with ExitStack() as programs:

        def start(source: Path | None) -> tuple[int, "subprocess.Popen[bytes]"]:
            port = free_port()
            folder = tmp_path / str(port)
            folder.mkdir()
            more = {"DNI_REDIS_URL": redis_url, "DNI_WEBHOOK_ALLOW": "127.0.0.0/8"}
            if source is not None:
                more["PYTHONPATH"] = str(source)
            return port, programs.enter_context(started(folder, port, **more))

        async with balancing() as balancer, receiving() as receiver:
            base = f"http://127.0.0.1:{balancer.port}"
            admin = httpx.AsyncClient(
                base_url=base, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=10
            )
            generations = [start(old), start(old)]
            for port, _ in generations:
                balancer.add(port)
            await ready(balancer, *(port for port, _ in generations))
            key = await a_pool(base)
            async with admin:
                made = await admin.post("/webhooks", json={"url": receiver.url})
                assert made.is_success, made.text
            visitors = [
                asyncio.create_task(traffic.visit(base, key, f"v{each}"))
                for each in range(VISITORS)
            ]
            await traffic.more()

            for source in (None, old):
                following = [start(source), start(source)]
                both = [*generations, *following]
                for port, _ in following:
                    balancer.add(port)
                await ready(balancer, *(port for port, _ in both))
                await traffic.more()  # on both versions, side by side
                kinds = {port: await has_a_dashboard(port) for port, _ in both}
                assert set(kinds.values()) == {True, False}, "one version only"
                for stopping, process in generations:
                    process.send_signal(signal.SIGTERM)
                    assert await wait_until_async(partial(ended, process), timeout_s=60)
                    balancer.remove(stopping)
                    await traffic.more()
                generations = following
            traffic.over = True
            await asyncio.gather(*visitors)
            await close_all(base, key)
            await wait_until_async(
                lambda: told(receiver, "lease.ended").keys()
                == told(receiver, "number.assigned").keys(),
                timeout_s=90, what="every lease ends, and is told of",
            )  # fmt: skip

    assert traffic.failed == []
    assert all(len(numbers) == 1 for numbers in traffic.numbers.values()), "a number changed"
    assert len(set.union(*traffic.numbers.values())) == VISITORS, "a number was shared"
    begun = told(receiver, "number.assigned")
    assert {data["visitor_id"] for data in begun.values()} == traffic.numbers.keys()
    with redis.Redis.from_url(redis_url) as store:
        invariants.check(store)
