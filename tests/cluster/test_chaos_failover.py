"""A primary is killed or frozen, slots move, Sentinels elect: while pages are viewed.

Every answer is recorded with the interval in which it was given, and compared afterwards: nobody
shares a number, nothing but 200 and 503 is answered, and the 503s stop by themselves. What a
failover may forget is checked against its stated window, and nothing beyond it.
"""

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path

import httpx
import pytest
from redis.crc import key_slot

from tests.support.cluster import (
    LOOPBACK,
    Cluster,
    Node,
    atomically,
    clustered,
    free_ports,
    watched,
)
from tests.support.program import started
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, SHOP
from tests.support.waiting import POLL_S, wait_until, wait_until_async

pytestmark = [pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(300)]

SHARDS = 4
BROWSERS = 3
ENOUGH = 60
LOST_S = 1.0
"""What was answered in so many seconds before a failover may be forgotten: replication lags."""


@dataclass(slots=True)
class Visit:
    """One visitor's hold of a number, as the browser knows it: surely theirs in between."""

    pool: str
    number: str
    begin: float
    end: float = float("inf")


@dataclass(slots=True)
class Records:
    """All that was answered."""

    visits: list[Visit] = field(default_factory=list)
    answers: list[tuple[str, float, float, int]] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)
    """When a visitor was shown another number than before, though they had not left."""

    def good(self, pool: str) -> int:
        """How many calls for this pool were served."""
        return sum(1 for name, _, _, status in self.answers if name == pool and status < 300)

    def statuses(self) -> Counter[int]:
        """What was answered, how often."""
        return Counter(status for *_, status in self.answers)

    def gap_s(self, pool: str) -> float:
        """The longest time in which the pool served nobody."""
        served = sorted(
            end for name, _, end, status in self.answers if name == pool and status < 300
        )
        return max(after - before for before, after in pairwise(served))

    def slowest_s(self) -> float:
        """The longest that a page waited."""
        return max(end - begin for _, begin, end, _ in self.answers)

    def shared(self) -> list[tuple[Visit, Visit]]:
        """Pairs of visits that surely overlapped on one number."""
        found = []
        by_number: dict[str, list[Visit]] = {}
        for visit in sorted(self.visits, key=lambda each: each.begin):
            earlier = by_number.setdefault(visit.number, [])
            found += [(other, visit) for other in earlier if visit.begin < other.end]
            earlier.append(visit)
        return found


@dataclass(slots=True)
class Stage:
    """The program, pools on every shard, and the browsers."""

    http: httpx.AsyncClient
    keys: dict[str, str]
    """Publishable key by pool."""
    records: Records = field(default_factory=Records)

    async def call(self, pool: str, path: str, **body: str) -> httpx.Response:
        """One call of the tag, recorded."""
        begin = time.monotonic()
        answer = await self.http.post(
            path, json={"key": self.keys[pool], **body}, headers={"Origin": ORIGIN}
        )
        self.records.answers.append((pool, begin, time.monotonic(), answer.status_code))
        return answer

    async def browse(self, pool: str, name: str, stop: asyncio.Event) -> None:
        """Visitors who come, read two pages and leave, one after the other."""
        for at in count():
            if stop.is_set():
                return
            await self.visit(pool, f"{name}-{at}")

    async def visit(self, pool: str, visitor: str) -> None:
        """One visitor. Like the tag's, their page asks again after a 503."""
        who = {"visitor_id": visitor, "page_id": "page"}
        held: Visit | None = None
        for _ in range(3):
            began = time.monotonic()
            answer = await self.call(pool, "/assign", **who)
            if answer.status_code != 200:
                await asyncio.sleep(POLL_S)
                continue
            (shown,) = answer.json()["numbers"]
            if held is not None and shown["number"] != held.number:
                self.records.changed.append(began)
                held.end = min(held.end, began)
                held = None
            if held is None and shown["status"] == "leased":
                held = Visit(pool, shown["number"], time.monotonic())
                self.records.visits.append(held)
        left = time.monotonic()
        await self.call(pool, "/close", **who)
        if held is not None:
            held.end = min(held.end, left)

    async def failovers(self) -> float:
        """How many the program has met, as it tells Prometheus; -1 while it does not answer."""
        answer = await self.http.get("/metrics", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
        found = re.search(r"^dni_redis_failovers_total (\S+)$", answer.text, re.MULTILINE)
        return float(found[1]) if found else -1.0

    async def more(self, *, of: int = ENOUGH) -> None:
        """Wait until every pool served so many calls more."""
        goals = {pool: self.records.good(pool) + of for pool in self.keys}
        await wait_until_async(
            lambda: all(self.records.good(pool) >= goal for pool, goal in goals.items()),
            timeout_s=60, what=f"service again; {self.records.statuses()}",
        )  # fmt: skip


@asynccontextmanager
async def staged(url: str, room: Path) -> AsyncIterator[Stage]:
    """The program on this store, one pool on each shard, browsers at work; then the check."""
    (port,) = free_ports(1)
    settings = {
        "DNI_REDIS_URL": url, "DNI_SHARDS": str(SHARDS), "DNI_REDIS_TIMEOUT_S": "1",
        "DNI_DRAIN_S": "0",
    }  # fmt: skip
    with started(room, port, **settings):
        limits = httpx.Limits(max_connections=None)
        base = f"http://{LOOPBACK}:{port}"
        async with httpx.AsyncClient(base_url=base, limits=limits, timeout=30) as http:
            await wait_until_async(lambda: ready(http))
            stage = Stage(http, await _pools(http))
            stop = asyncio.Event()
            tasks = [
                asyncio.create_task(stage.browse(pool, f"browser{at}", stop))
                for pool in stage.keys
                for at in range(BROWSERS)
            ]
            await stage.more()
            yield stage
            stop.set()
            await asyncio.gather(*tasks)


async def ready(http: httpx.AsyncClient) -> bool:
    """Whether the program says that it is."""
    with suppress(httpx.TransportError):
        return (await http.get("/readyz")).status_code == 200
    return False


async def _pools(http: httpx.AsyncClient) -> dict[str, str]:
    keys = {}
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    for at in range(12):
        body = {
            "name": "Shop", "destinations": [SHOP], "allowed_origins": [ORIGIN],
            "closed_browser_delay_s": 0,
        }  # fmt: skip
        made = (await http.post("/pools", json=body, headers=headers)).json()
        numbers = {"numbers": fictional(20, start=at * 20)}
        answer = await http.post(f"/pools/{made['id']}/numbers", json=numbers, headers=headers)
        assert answer.status_code == 200, answer.text
        keys[made["id"]] = made["key"]
    return keys


def judge(stage: Stage, name: str, *, lost: tuple[float, float] | None) -> None:
    """Fail for anything outside of the stated window; write down what was measured."""
    records = stage.records
    shared = records.shared()
    told = {
        "fault": name,
        "answers": len(records.answers),
        "statuses": dict(records.statuses()),
        "longest_gap_s": round(max(map(records.gap_s, stage.keys)), 2),
        "slowest_answer_s": round(records.slowest_s(), 2),
        "visits": len(records.visits),
        "shared_numbers": len(shared),
        "numbers_changed_under_a_visitor": len(records.changed),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    if results := os.environ.get("CHAOS_RESULTS"):
        with Path(results).open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")
    assert set(records.statuses()) <= {200, 204, 503}, records.statuses()
    if lost is None:
        assert shared == []
        assert records.changed == []
        return
    begin, end = lost
    outside = [pair for pair in shared if not begin - LOST_S <= pair[0].begin <= end]
    assert outside == []
    assert [at for at in records.changed if not begin - LOST_S <= at <= end + LOST_S] == []


def a_primary(cluster: Cluster) -> Node:
    """One that serves a shard."""
    return cluster.owner(key_slot(b"{s0}"))


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_primary_fails(how: str, tmp_path: Path) -> None:
    """Its replica takes over; what comes back, or wakes up, is told so and obeys."""
    with clustered(tmp_path / "cluster", durable=True) as cluster:
        async with staged(cluster.url, tmp_path) as stage:
            victim = a_primary(cluster)
            assert await stage.failovers() == 0
            begin = time.monotonic()
            if how == "killed":
                victim.kill()
            else:
                victim.signal(signal.SIGSTOP)
            await stage.more()
            end = time.monotonic()
            if how == "killed":
                await asyncio.to_thread(victim.start)
            else:
                victim.signal(signal.SIGCONT)
            await asyncio.to_thread(wait_until, cluster.settled, timeout_s=60)
            await stage.more()
            assert a_primary(cluster) is not victim
            assert await stage.failovers() >= 1

        judge(stage, f"cluster, primary {how}", lost=(begin, end))


def key_by_key(cluster: Cluster, slot: int, source: Node, target: Node) -> None:
    """As every Redis does it: the slot is on two nodes for a while."""
    here, there = str(source.ask("CLUSTER", "MYID")), str(target.ask("CLUSTER", "MYID"))
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
    while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10):
        assert isinstance(keys, list)
        source.ask("MIGRATE", LOOPBACK, target.port, "", 0, 5000, "KEYS", *keys)
    for node in (target, source, *cluster.primaries()):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", there)
    wait_until(lambda: cluster.owner(slot) is target, timeout_s=60, what="the slot moves")


@pytest.mark.parametrize("move", [atomically, key_by_key])
async def test_slots_move_under_load(
    move: Callable[[Cluster, int, Node, Node], None], tmp_path: Path
) -> None:
    """Every shard goes to another node and back: nothing is forgotten, not even for a moment."""
    with clustered(tmp_path / "cluster") as cluster:
        async with staged(cluster.url, tmp_path) as stage:
            for _ in range(2):
                for shard in range(SHARDS):
                    slot = key_slot(b"{s%d}" % shard)
                    source = cluster.owner(slot)
                    others = [node for node in cluster.primaries() if node is not source]
                    await asyncio.to_thread(move, cluster, slot, source, others[0])
                    await stage.more(of=20)

        judge(stage, f"cluster, slots moved {move.__name__}", lost=None)


async def test_sentinels_elect_another_primary(tmp_path: Path) -> None:
    """The program asks the Sentinels anew, and finds the one they chose."""
    with watched(tmp_path / "watched", durable=True) as trio:
        async with staged(trio.url, tmp_path) as stage:
            begin = time.monotonic()
            trio.primary.kill()
            await stage.more()
            end = time.monotonic()
            assert await stage.failovers() == 1

        judge(stage, "sentinel, primary killed", lost=(begin, end))
