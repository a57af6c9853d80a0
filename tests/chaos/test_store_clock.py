"""The clock of the store jumps: leases end earlier or later, by that clock, and none is shared."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import redis

from dni_allocator.domain.lease import Alive, Gone, Leased, Original, Reason
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer, find_executable
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.webhooks.transport import HttpTransport
from tests.support import invariants
from tests.support.clock import ManualClock
from tests.support.delivery import LOOPBACK, assigned, endpoint, forwarder, publish, running
from tests.support.faketime import JumpingClock
from tests.support.receiver import Receiver, receiving
from tests.support.rig import Rig, fictional
from tests.support.waiting import wait_until, wait_until_async

HOUR: Final = 3_600
IDLE: Final = 300
WITHIN_MS: Final = 5_000
"""What real time may pass meanwhile on a slow machine."""


@dataclass(slots=True)
class ServersClock(ManualClock):
    """Nothing is given, so the scripts ask the server; `now_ms` is never read."""

    def __call__(self) -> str:
        """As in production."""
        return ""


@dataclass(slots=True)
class Server:
    """A store whose clock can be put anywhere."""

    url: str
    clock: JumpingClock

    def now_ms(self) -> int:
        """What its clock says."""
        with redis.Redis.from_url(self.url) as client:
            seconds, micros = client.time()
            return int(seconds) * 1000 + int(micros) // 1000

    def jump(self, seconds: float) -> None:
        """Put its clock forward or back, and wait until it shows."""
        self.clock.jump(seconds)

        def shows() -> bool:
            off_s = self.now_ms() / 1000 - time.time() - self.clock.ahead_s
            return abs(off_s) < WITHIN_MS / 1000

        wait_until(shows, what="the clock jumps")


@contextmanager
def served(room: Path) -> Iterator[Server]:
    """A durable store under a clock of its own."""
    clock = JumpingClock(room / "clock")
    program = clock.wrapper(find_executable())
    with EmbeddedServer.start(room, executable=program) as store:
        yield Server(store.url, clock)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A store for this test; the invariants are checked at the end."""
    with served(tmp_path) as made:
        yield made
        with redis.Redis.from_url(made.url) as client:
            invariants.check(client)


@pytest.fixture
async def rig(server: Server) -> AsyncIterator[Rig]:
    """The services on it, who go by its clock."""
    async with Connection(server.url) as connection:
        yield Rig(connection.execute, ServersClock())


async def beat(rig: Rig, pool_id: str, visitor: str) -> Alive | Gone:
    """A sign of life of a page."""
    pool = await rig.pools.read(pool_id)
    answer = await rig.leases.heartbeat(pool, visitor_id=visitor, page_id="page")
    assert isinstance(answer, Alive | Gone)
    return answer


async def test_forward_ends_leases_as_the_clock_says_and_the_number_goes_on(
    rig: Rig, server: Server
) -> None:
    """The first visitor hears that theirs is gone, and is given none that somebody has."""
    pool = await rig.pool(1)
    number = await rig.lease(pool, "ann")

    server.jump(IDLE - 60)
    assert isinstance(await beat(rig, pool.id, "ann"), Alive)
    server.jump(IDLE + 60)

    assert isinstance(await beat(rig, pool.id, "ann"), Gone)
    assert await rig.lease(pool, "bob") == number
    (again,) = await rig.assign(pool, "ann")
    assert isinstance(again, Original)


async def test_back_lets_deadlines_last_longer_and_shares_nothing(rig: Rig, server: Server) -> None:
    """A visitor who went silent keeps the number for as long as the clock went back.

    One who beats is under the idle limit again with the first sign of life.
    """
    pool = await rig.pool(2)
    silent, alive = await rig.lease(pool, "silent"), await rig.lease(pool, "alive")

    server.jump(-HOUR)
    beating = await beat(rig, pool.id, "alive")
    (third,) = await rig.assign(pool, "third")
    server.jump(IDLE + 60)

    assert isinstance(beating, Alive)
    assert IDLE * 1000 - WITHIN_MS < beating.expires_in_ms <= IDLE * 1000
    assert isinstance(third, Original)
    assert await rig.lease(pool, "third") == alive
    assert await rig.lease(pool, "silent") == silent


async def test_back_and_forward_again_is_as_if_nothing_had_been(rig: Rig, server: Server) -> None:
    """A clock that was set wrong, and mended: numbers, deadlines and the order of ends are kept."""
    pool = await rig.pool(3)
    first = await rig.lease(pool, "ann")
    server.jump(-HOUR)
    assert await rig.lease(pool, "ann") == first
    second = await rig.lease(pool, "bob")
    server.jump(HOUR)
    assert await rig.lease(pool, "ann") == first
    (bobs,) = await rig.assign(pool, "bob")

    assert isinstance(bobs, Leased)
    assert bobs.reason is Reason.RETURNED, "it ended an hour ago"
    assert bobs.formats.e164 == second
    assert await rig.lease(pool, "cyd") not in {first, second}


async def test_events_keep_their_order_and_all_arrive(
    server: Server,
) -> None:
    """Entries of the outbox never get an id before the last one, whatever the clock does.

    A clock that is put forward ends the lock of whoever delivers: some events may come twice.
    """
    async with (
        receiving() as receiver,
        Connection(server.url) as connection,
        HttpTransport(allowed=LOOPBACK) as transport,
    ):
        await Endpoints(connection.execute, shards=1).create(endpoint(receiver.url))
        written: list[str] = []
        async with running(forwarder(connection, transport)):
            for seconds in (0, HOUR, -2 * HOUR, 25 * HOUR, -25 * HOUR):
                await asyncio.to_thread(server.jump, seconds)
                written += await publish(connection, [assigned(n) for n in fictional(5)])
                await _taken(receiver, written)

    assert list(dict.fromkeys(receiver.ids())) == written


async def _taken(receiver: Receiver, written: list[str]) -> None:
    await wait_until_async(lambda: set(receiver.ids()) >= set(written), what="all events")


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
async def test_a_dead_forwarders_work_is_taken_over_whatever_the_clock_does(
    server: Server, seconds: int
) -> None:
    """Its lock would last as long as the clock went back; nobody waits for that."""
    async with (
        receiving() as receiver,
        Connection(server.url) as connection,
        HttpTransport(allowed=LOOPBACK) as transport,
    ):
        await Endpoints(connection.execute, shards=1).create(endpoint(receiver.url))
        with redis.Redis.from_url(server.url) as client:
            client.set("dni:{s0}:fwd:whe_one:lock", "a forwarder that died", px=1_000)
        await asyncio.to_thread(server.jump, seconds)

        async with running(forwarder(connection, transport)):
            await _taken(receiver, await publish(connection, [assigned("+14155550101")]))


async def test_keys_that_expire_do_so_by_that_clock(rig: Rig, server: Server) -> None:
    """Everything that names a visitor goes at the latest when its clock says so."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    with redis.Redis.from_url(server.url) as client:
        (record,) = client.keys("*:v:ann")
        server.jump(-HOUR)
        assert client.exists(record)

        server.jump(pool.settings.attribution_window_s + 2 * HOUR)

        assert not client.exists(record)
    await rig.sweeper.sweep_once()


async def test_no_number_has_two_living_visitors_whatever_the_clock_does(
    rig: Rig, server: Server
) -> None:
    """Random visits and random jumps: whoever is given a number, nobody else has it by that clock.

    What is over once by that clock is over for good, though it may go back.
    """
    chance = random.Random(11)
    pool = await rig.pool(3)
    held: dict[str, tuple[str, int]] = {}
    """Number -> who was told last that it is theirs, and until when."""
    for _ in range(150):
        visitor = f"v{chance.randrange(6)}"
        match chance.randrange(8):
            case 0:
                seconds = chance.choice((-HOUR, -IDLE, -1, 1, IDLE, HOUR))
                await asyncio.to_thread(server.jump, seconds)
                # What is over by the clock is over, also if it goes back again.
                now_ms = server.now_ms()
                held = {number: each for number, each in held.items() if each[1] > now_ms}
            case 1:
                await rig.leases.close(pool, visitor_id=visitor, page_id="page")
                held = {number: each for number, each in held.items() if each[0] != visitor}
            case 2:
                await rig.sweeper.sweep_once()
            case _:
                (answer,) = await rig.assign(pool, visitor)
                if isinstance(answer, Leased):
                    now_ms, number = server.now_ms(), answer.formats.e164
                    owner, until = held.get(number, (visitor, 0))
                    assert owner == visitor or until <= now_ms, f"{number} is {owner}'s"
                    held[number] = (visitor, now_ms + answer.expires_in_ms - WITHIN_MS)
