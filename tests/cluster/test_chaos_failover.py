"""A primary is killed or frozen, slots move, Sentinels elect: while pages are viewed.

Played and judged as every chaos run (`tests.chaos`): each answer and each event is recorded with
its interval and checked afterwards. What a failover may forget is the one exception, within its
stated window; moving slots may forget nothing.
"""

import asyncio
import json
import os
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from redis.crc import key_slot

from dni_allocator.store.keys import ShardKeys, shard_of
from tests.chaos.checker import violations
from tests.chaos.deployment import SHARDS, Deployment, Standing
from tests.chaos.faults import Fault
from tests.chaos.history import History
from tests.chaos.report import explained
from tests.chaos.run import Plan, play
from tests.support.cluster import LOOPBACK, Cluster, Node, Watched, atomically, clustered, watched
from tests.support.waiting import wait_until, wait_until_async

pytestmark = [pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(300)]

LOST_S: Final = 1.0
"""What was answered in so many seconds before a failover may be forgotten: replication lags."""

VISITORS: Final = 16


async def judged(name: str, room: Path, standing: Standing, faults: Sequence[Fault]) -> None:
    """Play it, write down what was measured, and fail for anything outside of the window."""
    plan = Plan(seed=1, faults=tuple(faults), visitors=VISITORS, standing=standing)
    history = await play(plan, room)

    write_down({"fault": name, **measured(history)})
    found = violations(history)
    assert found == [], explained(found)


def write_down(told: dict[str, object]) -> None:
    """What was measured, for the pages that tell it."""
    text = json.dumps(told) + "\n"
    sys.stdout.write(text)
    if results := os.environ.get("CHAOS_RESULTS"):
        with Path(results).open("a", encoding="utf-8") as file:
            file.write(text)


def measured(history: History) -> dict[str, object]:
    """The figures of docs/scale.md."""
    answered = [each for each in history.operations if each.end is not None]
    gaps = [0.0]
    for pool in history.rules:
        served = sorted(
            each.end for each in answered if each.pool == pool and each.good and each.end
        )
        gaps += [after - before for before, after in pairwise(served)]
    return {
        "answers": len(answered),
        "statuses": dict(Counter(each.status for each in answered)),
        "unanswered": len(history.operations) - len(answered),
        "longest_gap_s": round(max(gaps), 2),
        "slowest_answer_s": round(max((each.end or 0) - each.begin for each in answered), 2),
        "leases": len({shown.lease_id for each in answered for shown in each.shown} - {None}),
        "events": len({each.id for each in history.events}),
        "deliveries": len(history.events),
    }


async def failovers(deployment: Deployment) -> int:
    """How many the first service has counted, as it tells Prometheus; -1: it does not tell."""
    text = (await deployment.administer("GET", "/metrics")).text
    found = re.search(r"^dni_redis_failovers_total (\S+)$", text, re.MULTILINE)
    return -1 if found is None else int(float(found[1]))


async def a_slot(deployment: Deployment) -> int:
    """The slot of a pool, hence one that visitors use."""
    pools = (await deployment.administer("GET", "/pools")).json()["pools"]
    shard = ShardKeys(shard_of(pools[0]["id"], shards=SHARDS))
    return key_slot(shard.tag.encode())


@asynccontextmanager
async def primary_fails(
    cluster: Cluster, how: str, deployment: Deployment, _: random.Random
) -> AsyncIterator[None]:
    """Until its replica has taken over; then it comes back, or wakes up, and obeys."""
    slot = await a_slot(deployment)
    victim = cluster.owner(slot)
    (replica,) = cluster.replicas(victim)
    assert await failovers(deployment) == 0
    if how == "killed":
        victim.kill()
    else:
        victim.signal(signal.SIGSTOP)
    try:
        await asyncio.to_thread(wait_until, partial(leads, replica), timeout_s=60)
        yield
    finally:
        if how == "killed":
            await asyncio.to_thread(victim.start)
        else:
            victim.signal(signal.SIGCONT)
    await asyncio.to_thread(wait_until, cluster.settled, timeout_s=60)
    assert cluster.owner(slot) is replica
    await wait_until_async(lambda: counted(deployment))


def leads(node: Node) -> bool:
    """Whether it is a primary."""
    told = node.ask("ROLE")
    return isinstance(told, (list, tuple)) and str(told[0]) == "master"


async def counted(deployment: Deployment) -> bool:
    """Whether the service knows of a failover."""
    return await failovers(deployment) >= 1


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_primary_fails(how: str, tmp_path: Path) -> None:
    """Its replica takes over; what comes back, or wakes up, is told so and obeys."""
    with clustered(tmp_path / "cluster", durable=True) as cluster:
        name = f"cluster, primary {how}"
        fault = Fault(name, partial(primary_fails, cluster, how), forgets_s=LOST_S)
        await judged(name, tmp_path, Standing(cluster.url, cluster.nodes[0]), [fault])


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


@asynccontextmanager
async def slots_move(
    cluster: Cluster,
    move: Callable[[Cluster, int, Node, Node], None],
    _: Deployment,
    __: random.Random,
) -> AsyncIterator[None]:
    """Every shard goes to another node, and to the next one when the fault is over."""

    def move_all() -> None:
        for shard in range(SHARDS):
            slot = key_slot(ShardKeys(shard).tag.encode())
            source = cluster.owner(slot)
            others = [node for node in cluster.primaries() if node is not source]
            move(cluster, slot, source, others[0])

    await asyncio.to_thread(move_all)
    yield
    await asyncio.to_thread(move_all)


@pytest.mark.parametrize("move", [atomically, key_by_key])
async def test_slots_move_under_load(
    move: Callable[[Cluster, int, Node, Node], None], tmp_path: Path
) -> None:
    """Every shard goes to another node and back: nothing is forgotten, not even for a moment."""
    with clustered(tmp_path / "cluster") as cluster:
        name = f"cluster, slots moved {move.__name__}"
        fault = Fault(name, partial(slots_move, cluster, move))
        await judged(name, tmp_path, Standing(cluster.url, cluster.nodes[0]), [fault])


@asynccontextmanager
async def elected(trio: Watched, deployment: Deployment, _: random.Random) -> AsyncIterator[None]:
    """Until another one leads; the dead one comes back as its replica."""
    assert await failovers(deployment) == 0
    trio.primary.kill()
    try:
        await asyncio.to_thread(wait_until, lambda: any(map(leads, trio.servers[1:])), timeout_s=60)
        yield
    finally:
        await asyncio.to_thread(trio.primary.start)
    await asyncio.to_thread(wait_until, lambda: not leads(trio.primary), timeout_s=60)
    await wait_until_async(lambda: counted(deployment))


async def test_sentinels_elect_another_primary(tmp_path: Path) -> None:
    """The program asks the Sentinels anew, and finds the one they chose."""
    with watched(tmp_path / "watched", durable=True) as trio:
        name = "sentinel, primary killed"
        fault = Fault(name, partial(elected, trio), forgets_s=LOST_S)
        await judged(name, tmp_path, Standing(trio.url, trio.primary), [fault])
