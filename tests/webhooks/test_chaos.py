"""Killing what delivers: forwarder processes and the store, with SIGKILL."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from dni_allocator.sink.tables import EVENTS
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.keys import ShardKeys
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.delivery import LOOPBACK, assigned, endpoint, forwarder, publish, running
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until, wait_until_async

pytestmark = pytest.mark.chaos
ROOT = Path(__file__).parents[2]


@contextmanager
def program(*arguments: str, keep: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """One of the programs of `tests.support.delivery`, killed at the end if it still runs."""
    command = [sys.executable, "-m", "tests.support.delivery", *arguments]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        pass_fds=keep,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def sink_process(database_url: str) -> Iterator[str]:
    """The reference sink as a process of its own; gives the URL it takes events at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        descriptor = listener.fileno()
        with program("sink", database_url, str(descriptor), keep=(descriptor,)):
            yield f"http://127.0.0.1:{port}/"


def stored(database_url: str) -> tuple[int, int]:
    """Distinct events and deliveries so far."""
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            totals = select(func.count(), func.coalesce(func.sum(EVENTS.c.deliveries), 0))
            rows, deliveries = connection.execute(totals).one()
            return int(rows), int(deliveries)
    except SQLAlchemyError:
        return 0, 0
    finally:
        engine.dispose()


def at_least(database_url: str, events: int) -> bool:
    """Whether so many distinct events are stored."""
    return stored(database_url)[0] >= events


@pytest.mark.timeout(120)
def test_killing_the_forwarder_while_5000_events_flow_loses_none(
    redis_url: str, tmp_path: Path
) -> None:
    """Three forwarders die one after the other; the sink ends with exactly 5,000 distinct ids."""
    database_url = f"sqlite:///{tmp_path / 'sink.db'}"

    async def prepare(url: str) -> list[str]:
        async with Connection(redis_url) as connection:
            await Endpoints(connection.execute, shards=2).create(endpoint(url))
            sent = []
            for shard in range(2):
                events = [assigned(f"+1415{n:07}") for n in range(2500)]
                sent += await publish(connection, events, shard=shard)
            return sent

    with sink_process(database_url) as url, ExitStack() as stack:
        sent = asyncio.run(prepare(url))
        for goal in (300, 1500, 3000):
            victim = stack.enter_context(program("forward", redis_url, "--shards", "2"))
            wait_until(partial(at_least, database_url, goal), timeout_s=40)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            assert stored(database_url)[0] < 5000, "all was delivered before the last kill"
        stack.enter_context(program("forward", redis_url, "--shards", "2"))
        wait_until(partial(at_least, database_url, 5000), timeout_s=40)

    engine = create_engine(database_url)
    with engine.connect() as connection:
        ids = set(connection.scalars(select(EVENTS.c.id)))
    engine.dispose()
    assert len(sent) == 5000
    assert ids == set(sent)


async def test_a_living_forwarder_takes_over_from_a_dead_one(
    redis_url: str, receiver: Receiver
) -> None:
    """The lock of the dead runs out; the living one goes on behind what was settled."""
    async with Connection(redis_url) as connection, HttpTransport(allowed=LOOPBACK) as transport:
        await Endpoints(connection.execute, shards=1).create(endpoint(receiver.url))
        with program("forward", redis_url) as victim:
            first = await publish(connection, [assigned("+14155550101")])
            await wait_until_async(lambda: receiver.taken)
            victim.send_signal(signal.SIGSTOP)
            second = await publish(connection, [assigned("+14155550102")])
            async with running(forwarder(connection, transport)):
                await wait_until_async(lambda: len(receiver.taken) >= 2)
                # The first one wakes up and believes that it still has the lock.
                victim.send_signal(signal.SIGCONT)
                third = await publish(connection, [assigned("+14155550103")])
                await wait_until_async(lambda: set(third) <= set(receiver.ids()))

    assert set(receiver.ids()) == {*first, *second, *third}


async def test_a_killed_store_is_waited_for(tmp_path: Path, receiver: Receiver) -> None:
    """SIGKILL to Valkey while events flow: it comes back from its log, and none is missing."""
    first_life = EmbeddedServer.start(tmp_path)
    connection = Connection(first_life.url)
    transport = HttpTransport(allowed=LOOPBACK)
    second_life: EmbeddedServer | None = None
    try:
        await Endpoints(connection.execute, shards=1).create(endpoint(receiver.url))
        sent = await publish(connection, [assigned(f"+1415555{n:04}") for n in range(600)])
        async with running(forwarder(connection, transport)):
            await wait_until_async(lambda: len(receiver.taken) >= 100)
            os.kill(first_life.pid, signal.SIGKILL)
            await asyncio.to_thread(first_life.stop)
            second_life = await asyncio.to_thread(EmbeddedServer.start, tmp_path)
            assert second_life.url == first_life.url
            await wait_until_async(lambda: len(set(receiver.ids())) == 600)
            later = await publish(connection, [assigned("+16285550101")])
            await wait_until_async(lambda: set(later) <= set(receiver.ids()))
            cursors = ShardKeys(0).cursors

            async def settled() -> bool:
                position = await connection.execute("HGET", cursors, "whe_one")
                return f"evt_s0_{bytes(position or b'').decode()}" == later[0]  # type: ignore[call-overload]  # a bulk string or None

            await wait_until_async(settled)
    finally:
        await transport.close()
        await connection.close()
        await asyncio.to_thread(first_life.stop)
        if second_life is not None:
            await asyncio.to_thread(second_life.stop)

    assert set(receiver.ids()) == {*sent, *later}
