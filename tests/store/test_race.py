"""Many visitors at once, over several connections: nothing is given twice, nothing is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.lease import Leased, Original
from dni_allocator.store.connection import Connection
from tests.chaos.proxy import proxied, to_socket
from tests.support.rig import Rig, fictional
from tests.support.waiting import wait_until_async

NUMBERS, VISITORS, CONNECTIONS = 50, 200, 8


@pytest.fixture
async def fleet(rig: Rig, redis_url: str) -> AsyncIterator[list[Rig]]:
    """Several processes' worth of stores, under one clock."""
    async with AsyncExitStack() as stack:
        fleet = []
        for _ in range(CONNECTIONS):
            connection = await stack.enter_async_context(Connection(redis_url))
            fleet.append(Rig(connection.execute, rig.clock))
        yield fleet


async def test_two_hundred_visitors_share_fifty_numbers(rig: Rig, fleet: list[Rig]) -> None:
    """However the requests interleave, each number goes to one visitor and the rest go without."""
    pool = await rig.pool(NUMBERS)

    answers = await asyncio.gather(
        *(fleet[at % CONNECTIONS].assign(pool, f"visitor-{at}") for at in range(VISITORS))
    )

    leased = [answer.formats.e164 for (answer,) in answers if isinstance(answer, Leased)]
    assert sorted(leased) == sorted(fictional(NUMBERS))
    assert sum(isinstance(answer, Original) for (answer,) in answers) == VISITORS - NUMBERS
    assert (await rig.pools.occupancy(pool.id)).totals["turned_away"] == VISITORS - NUMBERS


async def test_no_two_leases_overlap_while_numbers_change_hands(rig: Rig, fleet: list[Rig]) -> None:
    """Round after round of leases ending and others beginning: each fence is given once."""
    pool = await rig.pool(NUMBERS)
    given: Counter[str] = Counter()

    for turn in range(5):
        visitors = [f"turn-{turn}-visitor-{at}" for at in range(VISITORS)]
        answers = await asyncio.gather(
            *(fleet[at % CONNECTIONS].assign(pool, visitor) for at, visitor in enumerate(visitors)),
            *(each.leases.sweep(pool.id, window_ms=pool.window_ms) for each in fleet),
        )
        leases = [row[0] for row in answers if isinstance(row, list)]
        mine = [answer for answer in leases if isinstance(answer, Leased)]
        assert len({answer.formats.e164 for answer in mine}) == len(mine) == NUMBERS
        given.update(answer.lease_id for answer in mine)
        rig.clock.advance(seconds=300)

    assert set(given.values()) == {1}
    assert len(given) == 5 * NUMBERS


async def test_one_visitor_racing_with_themselves_gets_one_number(
    rig: Rig, fleet: list[Rig]
) -> None:
    """Fifty tabs restored at once are still one visitor with one number."""
    pool = await rig.pool(NUMBERS)

    answers = await asyncio.gather(
        *(fleet[at % CONNECTIONS].assign(pool, "ann", page_id=f"page-{at}") for at in range(50))
    )

    assert len({(each.formats.e164, each.lease_id) for (each,) in answers
                if isinstance(each, Leased)}) == 1  # fmt: skip
    assert (await rig.pools.occupancy(pool.id)).leased == 1
    assert [event["t"] for event in await rig.events(pool)] == ["number.assigned"]


async def test_lost_replies_leak_no_number(rig: Rig, redis_url: str) -> None:
    """A script whose reply is lost has run; sent again it changes nothing, so nothing leaks."""
    pool = await rig.pool(10)
    async with (
        proxied(to_socket(redis_url.removeprefix("unix://"))) as proxy,
        Connection(proxy.url, timeout_s=5) as connection,
    ):
        losing = Rig(connection.execute, rig.clock)
        await losing.assign(pool, "ann")
        for turn in range(15):
            proxy.lose_reply(after=turn % 3)
            for visitor in ("ann", "bob", "cyd"):

                async def taken(visitor: str = visitor) -> bool:
                    try:
                        await losing.assign(pool, visitor)
                    except StoreUnavailable:
                        return False
                    return True

                await wait_until_async(taken, what="an answer")

    assert proxy.lost == 15
    assert (await rig.pools.occupancy(pool.id)).leased == 3
    assert len(await rig.events(pool)) == 3


async def test_a_flushed_script_cache_is_nobodys_problem(
    rig: Rig, redis_client: redis.asyncio.Redis
) -> None:
    """After SCRIPT FLUSH, a restart or a failover the script is sent along once."""
    pool = await rig.pool(1)
    number = await rig.lease(pool, "ann")

    await redis_client.script_flush()

    assert await rig.lease(pool, "ann") == number
    info = await redis_client.info("commandstats")
    assert info["cmdstat_eval"]["calls"] > 0
    evals = info["cmdstat_eval"]["calls"]
    assert await rig.lease(pool, "ann") == number
    assert (await redis_client.info("commandstats"))["cmdstat_eval"]["calls"] == evals
