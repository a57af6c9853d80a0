"""The proxy does to connections what it says, so that what the product makes of it is true."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from tests.chaos.proxy import Ending, Ends, Proxy, proxied, to_port
from tests.support.waiting import wait_until_async


class Stand:
    """A far side that answers with what it hears, a proxy before it, and clients."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = 0
        self.clients: list[asyncio.StreamWriter] = []
        self.proxy: Proxy

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The far side, until the connection ends."""
        with suppress(ConnectionError):
            while chunk := await reader.read(1024):
                self.heard += chunk
                writer.write(chunk)
        self.ended += 1
        writer.close()

    async def connect(self) -> Ends:
        """A client's connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        self.clients.append(writer)
        return reader, writer

    async def connected(self) -> Ends:
        """A client's connection that has been answered once."""
        reader, writer = await self.connect()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        return reader, writer


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    """An echo behind a proxy."""
    made = Stand()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with proxied(to_port(server.sockets[0].getsockname()[1])) as made.proxy:
        yield made
        for writer in made.clients:
            writer.transport.abort()
    server.close()
    await asyncio.sleep(0)


async def is_silent(reader: asyncio.StreamReader) -> bool:
    """Whether nothing comes, not even an end: the loop turns many times meanwhile."""
    waiting = asyncio.ensure_future(reader.read(1))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    if not done:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    return not done


@pytest.mark.parametrize("ending", list(Ending))
async def test_connections_are_cut_with_a_farewell_or_with_a_slam(
    stand: Stand, ending: Ending
) -> None:
    """FIN is read as the end; RST is an error. The far side hears of both."""
    reader, _ = await stand.connected()

    assert stand.proxy.cut(ending) == 1

    if ending is Ending.FIN:
        assert await reader.read(1) == b""
    else:
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
    await wait_until_async(lambda: stand.ended == 1)
    assert stand.proxy.open == 0


async def test_refused_connections_are_slammed_until_they_are_taken_again(stand: Stand) -> None:
    """As by a host whose port nobody listens on."""
    stand.proxy.refuses = True
    reader, writer = await stand.connect()
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    writer.close()

    stand.proxy.refuses = False

    await stand.connected()


async def test_what_is_held_comes_late_and_whole(stand: Stand) -> None:
    """A road that is closed for a while loses nothing."""
    reader, writer = await stand.connected()
    stand.proxy.hold()
    writer.write(b" world")

    assert await is_silent(reader)
    assert stand.heard == b"hello"
    stand.proxy.let_go()

    assert await reader.readexactly(6) == b" world"


async def test_a_far_side_that_vanished_is_missed_by_nobody_but_itself(stand: Stand) -> None:
    """The client's connection stays open, takes everything and gives nothing; so does a new one."""
    reader, writer = await stand.connected()
    stand.proxy.vanish()
    other, other_writer = await stand.connect()
    for each in (writer, other_writer):
        each.write(b"anybody?")

    assert await is_silent(reader)
    assert await is_silent(other)
    assert stand.heard == b"hello"
    await wait_until_async(lambda: stand.ended == 1)
    stand.proxy.come_back()

    await stand.connected()
    assert await is_silent(reader), "a half-open connection stays one"


async def test_a_reply_is_lost_after_its_request_was_carried_out(stand: Stand) -> None:
    """The one that is meant, and its connection with it."""
    stand.proxy.lose_reply(after=1)
    reader, writer = await stand.connected()
    writer.write(b" again")

    with pytest.raises(ConnectionResetError):
        await reader.read(1)

    assert stand.heard == b"hello again"
    assert stand.proxy.lost == 1
    await stand.connected()


@pytest.mark.parametrize("jitter", [lambda: 0.02, iter((0.03, 0.0, 0.02, 0.01)).__next__])
async def test_delays_are_fixed_or_drawn_for_each_piece(
    stand: Stand, jitter: Callable[[], float]
) -> None:
    """What comes is late, and in order."""
    stand.proxy.delay_s = jitter
    began = time.monotonic()

    reader, writer = await stand.connected()

    assert time.monotonic() - began >= 0.02
    stand.proxy.delay_s = lambda: 0.0
    writer.write(b"123")
    assert await reader.readexactly(3) == b"123"


async def test_a_trickle_is_byte_by_byte_and_whole(stand: Stand) -> None:
    """A reader sees every boundary there can be."""
    reader, writer = await stand.connected()
    pieces = iter(range(100))
    stand.proxy.piece = 1
    stand.proxy.delay_s = lambda: next(pieces) * 0.0
    writer.write(b"0123456789")

    assert await reader.readexactly(10) == b"0123456789"

    assert next(pieces) == 20, "ten there, ten back"
