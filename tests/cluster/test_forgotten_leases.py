"""A primary dies with what its replica never got: what is forgotten, and how it heals.

Provoked for real: the replica is kept from copying, pages are answered, their events are delivered,
then the primary is killed. What docs/scale.md promises of that window is looked at, point by point.
"""

import asyncio
import re
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from redis.crc import key_slot

from dni_allocator.store.connection import Connection
from dni_allocator.store.keys import ShardKeys, shard_of
from tests.chaos.deployment import SHARDS
from tests.cluster.test_chaos_failover import write_down
from tests.support.cluster import LOOPBACK, Cluster, Node, clustered, free_ports, role
from tests.support.delivery import SECRET
from tests.support.program import answers, started
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, SHOP
from tests.support.waiting import wait_until, wait_until_async
from tests.webhooks.test_chaos import sink_process

pytestmark = [pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(300)]

NUMBERS = 60
KEPT, FORGOTTEN, NEWCOMERS = 10, 20, 8
SINK_PAGE = Path(__file__).parents[2] / "docs" / "sink.md"


@dataclass(frozen=True, slots=True)
class Held:
    """What a browser was told."""

    number: str
    reason: str
    lease_id: str

    @property
    def fence(self) -> int:
        """The pool's count of leases."""
        return int(self.lease_id.rpartition("_")[2])


@dataclass(slots=True)
class Shop:
    """The program and one pool on it."""

    http: httpx.AsyncClient
    pool_id: str
    key: str

    async def call(self, path: str, visitor: str, **more: object) -> httpx.Response:
        """As the tag calls."""
        body = {"key": self.key, "visitor_id": visitor, "page_id": "page", **more}
        return await self.http.post(path, json=body, headers={"Origin": ORIGIN})

    async def assign(self, visitor: str, previous: str | None = None) -> Held:
        """A page view that is answered with a lease."""
        told = {} if previous is None else {"previous": {SHOP: previous}}
        answer = await self.call("/assign", visitor, fields={"gclid": visitor}, **told)
        assert answer.status_code == 200, answer.text
        (shown,) = answer.json()["numbers"]
        assert shown["status"] == "leased", shown
        return Held(shown["number"], shown["reason"], shown["lease_id"])

    async def gone(self, visitor: str) -> bool:
        """What a heartbeat says."""
        answer = await self.call("/heartbeat", visitor)
        assert answer.status_code == 200, answer.text
        return bool(answer.json().get("gone", False))

    async def serves(self) -> bool:
        """Whether heartbeats of this pool are answered."""
        return (await self.call("/heartbeat", "kept0")).status_code == 200

    async def attribution(self, number: str, at: datetime | None = None) -> dict[str, object]:
        """Whose number it was."""
        query = {} if at is None else {"at": at.isoformat()}
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        answer = await self.http.get(f"/attribution/{number}", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found


@asynccontextmanager
async def shop(url: str, room: Path, sink: str) -> AsyncIterator[Shop]:
    """The program on this store, a pool with numbers, and a sink that gets its events."""
    (port,) = free_ports(1)
    settings = {
        "DNI_REDIS_URL": url, "DNI_SHARDS": str(SHARDS), "DNI_REDIS_TIMEOUT_S": "1",
        "DNI_DRAIN_S": "0", "DNI_WEBHOOK_ALLOW": "127.0.0.0/8",
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with started(room, port, **settings):
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=30) as http:
            await wait_until_async(lambda: answers(http, "/readyz", 200))
            hook = {"url": sink, "secret": SECRET}
            assert (await http.post("/webhooks", json=hook, headers=headers)).status_code == 201
            body = {"name": "Shop", "destinations": [SHOP], "allowed_origins": [ORIGIN]}
            made = (await http.post("/pools", json=body, headers=headers)).json()
            numbers = {"numbers": fictional(NUMBERS)}
            await http.post(f"/pools/{made['id']}/numbers", json=numbers, headers=headers)
            yield Shop(http, made["id"], made["key"])


class Journal:
    """The sink's database, asked as docs/sink.md says."""

    def __init__(self, path: Path) -> None:
        self._path = path
        page = SINK_PAGE.read_text("utf-8")
        found = re.search(r"## Whose number it was.*?```sql\n(?P<query>.*?)```", page, re.DOTALL)
        assert found is not None, "docs/sink.md has no such query"
        self._query = found["query"]

    def holders(self, number: str, at: datetime) -> list[tuple[str, str, str | None]]:
        """Visitor, lease and end of it: who was shown the number before that instant."""
        told = {"number": number, "at": at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")}
        with sqlite3.connect(self._path) as database:
            rows = database.execute(self._query, told).fetchall()
        return [(row[0], row[1], row[3]) for row in rows]

    def ids(self) -> set[str]:
        """Of all events."""
        with sqlite3.connect(self._path) as database:
            return {row[0] for row in database.execute("SELECT id FROM events")}

    def assigned(self) -> set[tuple[str, str]]:
        """Leases and their visitors that are told of."""
        query = "SELECT lease_id, visitor_id FROM events WHERE type = 'number.assigned'"
        with sqlite3.connect(self._path) as database:
            return set(database.execute(query).fetchall())


@contextmanager
def not_copied(primary: Node, replica: Node) -> Iterator[None]:
    """The link between them is cut, as by a network; the cluster's own links are not."""
    primary.ask("ACL", "SETUSER", "default", "-psync", "-sync")
    primary.ask("CLIENT", "KILL", "TYPE", "replica")
    wait_until(lambda: not in_step(replica), what="the replica is cut off")
    yield


def in_step(replica: Node) -> bool:
    """Whether it copies now."""
    told = replica.ask("ROLE")
    assert isinstance(told, (list, tuple))
    return told[0] == "slave" and str(told[3]) == "connected"


async def written(cluster: Cluster) -> set[str]:
    """The ids of all events that the cluster has; asked of a node that lives."""
    url = f"redis+cluster://{LOOPBACK}:{cluster.primaries()[0].port}"
    found = set()
    async with Connection(url) as connection:
        for shard in range(SHARDS):
            entries = await connection.execute("XRANGE", ShardKeys(shard).events, "-", "+")
            assert isinstance(entries, list)
            found |= {f"evt_s{shard}_{bytes(entry[0]).decode()}" for entry in entries}
    return found


def on_record(shop: Shop, node: Node) -> bool:
    """Whether the shard has noted which server it is on, and its replica knows."""
    shard = ShardKeys(shard_of(shop.pool_id, shards=SHARDS))
    return bool(node.ask("HGET", shard.server, "id"))


async def test_what_a_failover_forgot_is_found_again(tmp_path: Path) -> None:
    """Leases whose copies never left: gone at the next heartbeat, adopted anew, in the journal."""
    journal_path = tmp_path / "journal.db"
    with (
        clustered(tmp_path / "cluster", durable=True) as cluster,
        sink_process(f"sqlite:///{journal_path}") as sink,
    ):
        async with shop(cluster.url, tmp_path, sink) as page:
            journal = Journal(journal_path)
            slot = key_slot(ShardKeys(shard_of(page.pool_id, shards=SHARDS)).tag.encode())
            primary = cluster.owner(slot)
            (replica,) = cluster.replicas(primary)
            await wait_until_async(lambda: on_record(page, primary))
            kept = {f"kept{at}": await page.assign(f"kept{at}") for at in range(KEPT)}
            assert primary.ask("WAIT", 1, 5_000) == 1
            before = await written(cluster)

            with not_copied(primary, replica):
                lost = {f"lost{at}": await page.assign(f"lost{at}") for at in range(FORGOTTEN)}
                told_at = datetime.now(UTC)
                assert not any([await page.gone(visitor) for visitor in kept])
                for visitor, held in lost.items():
                    assert (await page.attribution(held.number))["visitor_id"] == visitor
                pairs = {(held.lease_id, visitor) for visitor, held in (lost | kept).items()}
                await wait_until_async(lambda: pairs <= journal.assigned())
                forgotten_events = await written(cluster) - before
                began = time.monotonic()
                primary.kill()
            await wait_until_async(page.serves, timeout_s=60)
            window_s = time.monotonic() - began

            # What was forgotten: all that was answered while nothing was copied, and no more.
            gone = {visitor for visitor in (*lost, *kept) if await page.gone(visitor)}
            assert gone == set(lost)
            assert not await written(cluster) & forgotten_events

            # Meanwhile others come, and get numbers that somebody believes to have.
            await wait_until_async(lambda: _after_another_server(cluster, page, slot))
            came = {f"new{at}": await page.assign(f"new{at}") for at in range(NEWCOMERS)}
            taken = {held.number for held in came.values()}
            shared = [visitor for visitor, held in lost.items() if held.number in taken]

            again = await _come_back(page, lost, taken)
            same = [visitor for visitor in lost if again[visitor].number == lost[visitor].number]
            assert len(same) >= FORGOTTEN - NEWCOMERS
            everybody = [*kept.values(), *came.values(), *again.values()]
            assert len({held.number for held in everybody}) == len(everybody)
            assert not any([await page.gone(visitor) for visitor in (*kept, *came, *again)])

            # Fences: given once more to others, after which they only grow.
            twice = {held.lease_id for held in lost.values()} & {
                held.lease_id for held in (*came.values(), *again.values())
            }
            in_order = [held.fence for held in (*kept.values(), *came.values(), *again.values())]
            assert all(one < other for one, other in pairwise(in_order))

            await _ask_whose(page, journal, lost, told_at)
            for visitor, held in again.items():
                assert (await page.attribution(held.number))["visitor_id"] == visitor

            # Events: each of what survived comes, at least once; the forgotten ones came before.
            await wait_until_async(lambda: _all_came(cluster, journal), timeout_s=60)
            assert forgotten_events <= journal.ids()
            assert journal.ids() - await written(cluster) == forgotten_events

            # The dead comes back with what nobody else has, and obeys.
            await asyncio.to_thread(primary.start)
            await asyncio.to_thread(wait_until, cluster.settled, timeout_s=60)
            assert role(primary) == "slave"
            assert not any([await page.gone(visitor) for visitor in (*kept, *came, *again)])

    write_down({
        "fault": "cluster, primary killed while nothing was copied",
        "served_again_s": round(window_s, 2), "acknowledged_and_forgotten": len(gone),
        "shared_meanwhile": len(shared), "same_number_again": len(same),
        "another_number": len(lost) - len(same), "ids_given_twice": len(twice),
        "forgotten_events": len(forgotten_events),
    })  # fmt: skip


async def _come_back(page: Shop, lost: dict[str, Held], taken: set[str]) -> dict[str, Held]:
    """As the tag does after `gone`: the same number, unless somebody has it now."""
    again: dict[str, Held] = {}
    for visitor in reversed(lost):
        had = lost[visitor].number
        found = again[visitor] = await page.assign(visitor, previous=had)
        assert (found.number == had) == (had not in taken), visitor
        assert found.reason == ("new" if had in taken else "returned")
        taken.add(found.number)
    return again


async def _ask_whose(page: Shop, journal: Journal, lost: dict[str, Held], then: datetime) -> None:
    """Calls of then: Redis knows nothing of the forgotten holder, the journal does."""
    for visitor, held in lost.items():
        assert (await page.attribution(held.number, then))["visitor_id"] is None
        assert journal.holders(held.number, then)[0][:2] == (visitor, held.lease_id)


def _after_another_server(cluster: Cluster, page: Shop, slot: int) -> bool:
    shard = ShardKeys(shard_of(page.pool_id, shards=SHARDS))
    return str(cluster.owner(slot).ask("HGET", shard.server, "since")) not in {"0", "None"}


async def _all_came(cluster: Cluster, journal: Journal) -> bool:
    return await written(cluster) <= journal.ids()


class Believer:
    """A client that goes on asking a primary which stood still: what it would be told."""

    def __init__(self, node: Node) -> None:
        self._socket = socket.create_connection((LOOPBACK, node.port), timeout=10)
        self.send()
        self._socket.recv(100)

    def send(self) -> None:
        """One write."""
        self._socket.sendall(b"SET {s0}:x believed\r\n")

    def ask_on(self) -> tuple[str, float]:
        """The answer to what was sent; and for how long what is sent now is answered OK, ms."""
        began = until = time.monotonic()
        with self._socket:
            first = self._socket.recv(200).partition(b"\r")[0].decode()
            while True:
                self.send()
                if self._socket.recv(200) != b"+OK\r\n":
                    return first, round((until - began) * 1000, 2)
                until = time.monotonic()


async def test_a_primary_that_wakes_up_believes_in_vain_that_it_still_is_one(
    tmp_path: Path,
) -> None:
    """What was sent to it while it stood still reaches nobody, whatever it does when it wakes."""
    with clustered(tmp_path / "cluster", durable=True) as cluster:
        slot = key_slot(b"{s0}")
        primary = cluster.owner(slot)
        async with Connection(cluster.url, timeout_s=1) as connection:
            await connection.pipelined("SET", "{s0}:x", "before")
            believer = Believer(primary)
            primary.signal(signal.SIGSTOP)
            believer.send()
            try:
                refused = await asyncio.gather(
                    *(connection.pipelined("SET", "{s0}:x", f"lost{at}") for at in range(50)),
                    return_exceptions=True,
                )

                async def taken_over() -> bool:
                    try:
                        return await connection.pipelined("SET", "{s0}:x", "after") == b"OK"
                    except Exception:  # noqa: BLE001 -- refused until there is another primary
                        return False

                await wait_until_async(taken_over, timeout_s=60)
            finally:
                primary.signal(signal.SIGCONT)
            queued, believed_ms = await asyncio.to_thread(believer.ask_on)
            seen = {await connection.pipelined("GET", "{s0}:x") for _ in range(2_000)}
            await asyncio.to_thread(wait_until, cluster.settled, timeout_s=60)

            assert all(isinstance(answer, Exception) for answer in refused)
            assert seen == {b"after"}
            assert role(primary) == "slave"
            assert primary.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
            assert await connection.pipelined("GET", "{s0}:x") == b"after"
    write_down({
        "fault": "cluster, a frozen primary woken after its replica took over",
        "answer_to_what_was_queued": queued, "answered_ok_for_ms": believed_ms,
    })  # fmt: skip
