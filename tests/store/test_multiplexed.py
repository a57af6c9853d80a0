"""One connection for all calls: replies find their calls, and trouble ends in answers."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from dni_allocator.domain.errors import ScriptContractError, StoreUnavailable
from dni_allocator.domain.lease import Leased, PageRequest
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.store.leases import LeaseStore
from dni_allocator.store.multiplexed import Multiplexed
from dni_allocator.store.scripts import NoScript, Value, load
from dni_allocator.store.shards import Shards
from tests.support.rig import Rig, fictional
from tests.support.waiting import wait_until_async

DESTINATION = "+16023133897"


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    """A connection to the empty server."""
    async with Connection(redis_url) as made:
        yield made


def connections_of(redis_url: str) -> list[str]:
    """The ids of all connections of others."""
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        own = str(client.client_id())
        return [each["id"] for each in client.client_list() if each["id"] != own]


def cut(redis_url: str) -> int:
    """Cut every connection of others, as a failing network does."""
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        return int(client.client_kill_filter(skipme=True))


async def test_each_of_many_calls_at_once_gets_its_own_reply(connection: Connection) -> None:
    """Redis answers in order, so a reply belongs to the oldest call."""
    replies = await asyncio.gather(
        *(connection.pipelined("ECHO", f"call {at}") for at in range(2_000))
    )

    assert replies == [f"call {at}".encode() for at in range(2_000)]


async def test_all_calls_share_one_connection(connection: Connection, redis_url: str) -> None:
    """However many are under way."""
    before = len(connections_of(redis_url))

    await asyncio.gather(*(connection.pipelined("PING") for _ in range(500)))

    assert len(connections_of(redis_url)) == before + 1


async def test_a_caller_who_leaves_shifts_nobodys_reply(connection: Connection) -> None:
    """A cancelled call keeps its place in the line."""
    first = asyncio.ensure_future(connection.pipelined("ECHO", "first"))
    second = asyncio.ensure_future(connection.pipelined("ECHO", "second"))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == b"second"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_error_is_the_error_of_its_own_call(connection: Connection) -> None:
    """The calls before and behind it get their replies."""
    good, bad, missing, better = await asyncio.gather(
        connection.pipelined("ECHO", "good"),
        connection.pipelined("NO-SUCH-COMMAND"),
        connection.pipelined("EVALSHA", "0" * 40, 0),
        connection.pipelined("ECHO", "better"),
        return_exceptions=True,
    )

    assert (good, better) == (b"good", b"better")
    assert isinstance(bad, ScriptContractError)
    assert isinstance(missing, NoScript)


async def test_a_script_survives_a_flush_of_the_servers_cache(connection: Connection) -> None:
    """EVALSHA, and on NOSCRIPT the source with the same keys."""
    script = load("due_pools")
    values: dict[str, Value] = {"due": "dni:{s0}:due", "given_now": "5", "limit": 1}
    await script.run(connection.pipelined, values)

    await connection.execute("SCRIPT", "FLUSH")

    assert await script.run(connection.pipelined, values) == [b"OK", b"5"]


async def test_scripts_are_timed_by_their_names(connection: Connection) -> None:
    """A sample of those over the shared connection, all of the others; no other command."""
    script = load("due_pools")
    values: dict[str, Value] = {"due": "dni:{s0}:due", "given_now": "5", "limit": 1}
    await connection.execute("PING")
    for _ in range(3):
        await script.run(connection.execute, values)
    (all_of_them,) = [sum(each.counts) for each in connection.script_times.by_script.values()]

    for _ in range(40):
        await script.run(connection.pipelined, values)

    assert list(connection.script_times.by_script) == ["due_pools"]
    sampled = sum(connection.script_times.by_script["due_pools"].counts) - all_of_them
    assert 2 <= all_of_them <= 3, "the first is refused where the server has no such script yet"
    assert 1 <= sampled <= 20
    assert 0 < connection.script_times.by_script["due_pools"].total_s < 60


async def test_more_calls_than_allowed_are_refused_at_once(redis_url: str) -> None:
    """A queue would only make them late: the caller hears it and answers 503."""
    async with Connection(redis_url) as connection:
        await connection.pipelined("PING")
        shared = connection.pipelined.__self__  # type: ignore[attr-defined]  # the bound method's
        assert isinstance(shared, Multiplexed)
        shared.most_in_flight = 10

        replies = await asyncio.gather(
            *(connection.pipelined("ECHO", str(at)) for at in range(12)), return_exceptions=True
        )

        assert replies[:10] == [str(at).encode() for at in range(10)]
        assert [type(reply) for reply in replies[10:]] == [StoreUnavailable, StoreUnavailable]
        assert await connection.pipelined("ECHO", "later") == b"later"


async def test_a_cut_connection_is_made_anew(connection: Connection, redis_url: str) -> None:
    """Idle or not, the next call does not notice."""
    await connection.pipelined("PING")

    assert cut(redis_url) >= 1

    assert await connection.pipelined("ECHO", "still here") == b"still here"


async def test_connections_cut_under_load_lose_no_reply_and_lease_nothing_twice(
    rig: Rig, redis_url: str
) -> None:
    """10,000 pages of 200 visitors on 150 numbers, while the connection is cut again and again."""
    pool = await rig.pool(numbers=fictional(150))
    async with Connection(redis_url, timeout_s=20) as connection:
        leases = LeaseStore(Shards(connection.pipelined, rig.shards.count, rig.clock))

        async def visit(at: int) -> tuple[str, str | None]:
            visitor = f"visitor-{at % 200}"
            page = PageRequest(visitor, f"page-{at}", (DESTINATION,), {}, "")
            answers = await leases.assign(pool, page)
            assert isinstance(answers, list)
            answer = answers[0]
            return visitor, answer.formats.e164 if isinstance(answer, Leased) else None

        cuts = 0
        seen: list[tuple[str, str | None]] = []
        for start in range(0, 10_000, 500):
            under_way = [asyncio.create_task(visit(at)) for at in range(start, start + 500)]
            cuts += await asyncio.to_thread(cut, redis_url)
            seen += await asyncio.gather(*under_way)

    assert cuts >= 20
    assert len(seen) == 10_000
    number_of: dict[str, set[str | None]] = {}
    for visitor, number in seen:
        number_of.setdefault(visitor, set()).add(number)
    held = [numbers for numbers in number_of.values() if numbers != {None}]
    assert len(held) == 150
    assert all(len(numbers) == 1 for numbers in held)
    assert len(set.union(*held)) == 150
    assert (await rig.pools.occupancy(pool.id)).leased == 150


async def test_a_frozen_server_is_refused_while_frozen_and_used_when_it_wakes(
    tmp_path: Path,
) -> None:
    """Calls fail while the server stands still, later ones at once, and recover by themselves."""
    with EmbeddedServer.start(tmp_path, durable=False) as server:
        async with Connection(server.url, timeout_s=0.2) as connection:
            await connection.pipelined("PING")
            os.kill(server.pid, signal.SIGSTOP)
            try:
                under_way = await asyncio.gather(
                    *(connection.pipelined("PING") for _ in range(50)), return_exceptions=True
                )
                afterwards = await asyncio.gather(
                    *(connection.pipelined("PING") for _ in range(50)), return_exceptions=True
                )
            finally:
                os.kill(server.pid, signal.SIGCONT)

            assert {type(reply) for reply in under_way} == {StoreUnavailable}
            assert {type(reply) for reply in afterwards} == {StoreUnavailable}
            assert sum("is away" in str(reply) for reply in afterwards) == 49

            async def answers() -> bool:
                try:
                    return await connection.pipelined("ECHO", "back") == b"back"
                except StoreUnavailable:
                    return False

            assert await wait_until_async(answers)


async def test_a_server_that_became_a_replica_is_left(tmp_path: Path) -> None:
    """After a failover the old primary refuses writes; dialling again finds the new one."""
    with EmbeddedServer.start(tmp_path, durable=False) as server:
        async with Connection(server.url) as connection:
            await connection.pipelined("SET", "key", "before")
            before = connections_of(server.url)
            await connection.execute("REPLICAOF", "127.0.0.1", "1")

            with pytest.raises(StoreUnavailable):
                await connection.pipelined("SET", "key", "meanwhile")

            await connection.execute("REPLICAOF", "NO", "ONE")
            assert await connection.pipelined("SET", "key", "after") == b"OK"
            assert set(connections_of(server.url)) - set(before)
            assert connection.failovers[()] == 1


async def test_a_password_is_redis_pys_business(tmp_path: Path) -> None:
    """The shared connection is set up by redis-py, so AUTH and SELECT come with the address."""
    with EmbeddedServer.start(tmp_path, durable=False) as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", "a-long-password")
        try:
            address = f"{server.url}?password=a-long-password&db=3"
            async with Connection(address) as connection:
                await connection.pipelined("SET", "key", "kept")

                assert await connection.execute("GET", "key") == b"kept"
            async with Connection(server.url) as connection:
                with pytest.raises(StoreUnavailable):
                    await connection.pipelined("GET", "key")
        finally:
            with redis.Redis.from_url(server.url, password="a-long-password") as client:
                client.config_set("requirepass", "")


async def test_a_closed_connection_serves_nobody(redis_url: str) -> None:
    """Closing ends what is under way and is safe to repeat."""
    connection = Connection(redis_url)
    await connection.pipelined("PING")
    waiting = asyncio.ensure_future(connection.pipelined("BLPOP", "nothing", 5))
    await asyncio.sleep(0)

    await connection.close()
    await connection.close()

    with pytest.raises(StoreUnavailable):
        await waiting
    with pytest.raises(StoreUnavailable):
        await connection.pipelined("PING")


async def test_closing_while_it_dials_refuses_those_who_wait() -> None:
    """A node that left a cluster is closed under its callers: they are told, not cancelled."""

    async def never() -> asyncio.Transport:
        await asyncio.Event().wait()
        raise AssertionError

    shared = Multiplexed(never, timeout_s=20)
    waiting = asyncio.ensure_future(shared.execute("PING"))
    await asyncio.sleep(0)

    await shared.close()

    with pytest.raises(StoreUnavailable):
        await waiting
