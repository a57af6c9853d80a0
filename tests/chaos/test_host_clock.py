"""The clock of a machine that serves jumps by days: leases and events do not notice."""

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.faketime import JumpingClock
from tests.support.program import answers, free_port, started
from tests.support.receiver import Receiver, receiving
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, POOL
from tests.support.waiting import wait_until_async

DAY: Final = 86_400
_SKEW: Final = re.compile(r"^dni_redis_clock_skew_seconds (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Machine:
    """A service with its forwarder, under a clock that is not the store's."""

    http: httpx.AsyncClient
    clock: JumpingClock
    receiver: Receiver
    pool: dict[str, Any]

    async def call(self, path: str, visitor: str) -> dict[str, Any]:
        """One call of the tag."""
        body = {"key": self.pool["key"], "visitor_id": visitor, "page_id": "page"}
        answer = await self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def shown(self, visitor: str) -> dict[str, Any]:
        """What a page shows."""
        row: dict[str, Any] = (await self.call("/assign", visitor))["numbers"][0]
        return row

    async def jump(self, seconds: float) -> None:
        """Put the clock forward or back, and wait until the service itself says so."""
        self.clock.jump(seconds)

        async def says_so() -> bool:
            found = _SKEW.search((await self.http.get("/metrics")).text)
            return found is not None and abs(float(found[1]) + self.clock.ahead_s) < 60

        await wait_until_async(says_so, timeout_s=40, what="the skew in the metrics")

    async def heard(self, visitor: str) -> tuple[float, float]:
        """When a visitor's lease began, by the event, and by the header of its delivery."""

        def events() -> list[tuple[dict[str, Any], str]]:
            return [
                (event, one.headers["webhook-timestamp"])
                for one in self.receiver.taken
                if (event := json.loads(one.body))["data"]["visitor_id"] == visitor
            ]

        await wait_until_async(lambda: bool(events()), what="the event")
        event, sent = events()[0]
        return datetime.fromisoformat(event["timestamp"]).timestamp(), float(sent)


@pytest.fixture
async def machine(redis_url: str, tmp_path: Path) -> AsyncIterator[Machine]:
    """The program as it is started, except for the library before it."""
    clock = JumpingClock(tmp_path / "clock")
    port = free_port()
    more = {
        "DNI_REDIS_URL": redis_url, "DNI_WEBHOOK_ALLOW": "127.0.0.0/8", "DNI_DRAIN_S": "0",
        **clock.environment,
    }  # fmt: skip
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    base = f"http://127.0.0.1:{port}"
    with started(tmp_path, port, **more):
        async with (
            receiving() as receiver,
            httpx.AsyncClient(base_url=base, headers=admin, timeout=30) as http,
        ):
            await wait_until_async(lambda: answers(http, "/readyz", 200), timeout_s=40)
            pool = (await http.post("/pools", json=POOL)).json()
            numbers = {"numbers": fictional(5)}
            assert (await http.post(f"/pools/{pool['id']}/numbers", json=numbers)).is_success
            made = await http.post("/webhooks", json={"url": receiver.url})
            assert made.is_success, made.text
            yield Machine(http, clock, receiver, pool)


async def test_nothing_but_signatures_goes_by_the_clock_of_the_machine(machine: Machine) -> None:
    """A day ahead, then a day behind: leases are renewed, made and told of as if nothing were.

    What tells that the clock is wrong: the metric, and the time in the header of each delivery,
    which a receiver may refuse; it is sent again later, as any other failure.
    """
    ann = await machine.shown("ann")

    for days, visitor in ((1, "bob"), (-2, "cyd")):
        await machine.jump(days * DAY)
        again, alive = await machine.shown("ann"), await machine.call("/heartbeat", "ann")
        new = await machine.shown(visitor)
        began, sent = await machine.heard(visitor)
        asked = await machine.http.get(f"/attribution/{new['number']}")

        assert (again["number"], again["reason"]) == (ann["number"], "renewed")
        assert 290 < alive["expires_in_s"] <= 300
        assert (new["reason"], new["expires_in_s"]) == ("new", 300)
        assert abs(began - time.time()) < 60
        assert abs(sent - time.time() - machine.clock.ahead_s) < 60
        assert asked.json()["basis"] == "live"
        assert asked.json()["visitor_id"] == visitor
