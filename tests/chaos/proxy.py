"""A TCP proxy that does to connections what networks do to them.

It stands between service and store, or between tag and service. What it does is set while it runs,
and holds for connections that are open as for those to come. toxiproxy does the same; its server is
in no package registry, and this is short.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Final

_CHUNK: Final = 65_536
_RESETS: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close an RST."""

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Ending(Enum):
    """How a connection ends: with a farewell, or with a slam."""

    FIN = "FIN"
    RST = "RST"


class Proxy:
    """Passes on what comes, unless told otherwise. Made by `proxied`.

    `delay_s` is asked before each piece, either way; `piece` is the most bytes passed on at once.
    """

    def __init__(self, dial: Callable[[], Awaitable[Ends]]) -> None:
        self.port = 0
        self.delay_s: Callable[[], float] = lambda: 0.0
        self.piece = _CHUNK
        self.refuses = False
        """Whether connections are refused: taken, and slammed at once."""
        self.taken = 0
        """Connections so far, refused ones too."""
        self.passed = 0
        """Bytes passed on so far, either way."""
        self.lost = 0
        """Replies that never came."""
        self._passing_before_loss = -1
        self._swallows = False
        self._open_road = asyncio.Event()
        self._open_road.set()
        self._dial = dial
        self._links: dict[_Link, asyncio.Task[None]] = {}

    @property
    def url(self) -> str:
        """The store behind it, as DNI_REDIS_URL takes it."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The service behind it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._links)

    def cut(self, ending: Ending = Ending.RST) -> int:
        """End every connection on both sides; how many."""
        cut = [link for link in self._links if not link.forgotten]
        for link in cut:
            link.end(ending)
        return len(cut)

    def hold(self) -> None:
        """Let nothing through in either direction, and nothing be lost: it comes late."""
        self._open_road.clear()

    def let_go(self) -> None:
        """Pass on what was held, and what comes."""
        self._open_road.set()

    def vanish(self) -> None:
        """The far side is gone without a word: half-open connections, and new ones are the same.

        What is sent to it is taken and goes nowhere, ends of connections too.
        """
        self._swallows = True
        for link in self._links:
            link.forget()

    def come_back(self) -> None:
        """New connections reach the far side again. Those that are half-open stay so."""
        self._swallows = False

    def lose_reply(self, *, after: int = 0) -> None:
        """Lose one reply with its connection; its request was carried out. `after` others pass."""
        self._passing_before_loss = after

    def keep_replies(self) -> None:
        """Lose none, if none has been lost yet."""
        self._passing_before_loss = -1

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection from now on."""
        self.taken += 1
        link = _Link(reader, writer)
        if self.refuses:
            link.end(Ending.RST)
            return
        # Not asyncio's own task of a coroutine: it complains when it is cancelled.
        task = asyncio.create_task(self._serve(link))
        self._links[link] = task
        task.add_done_callback(lambda _: self._links.pop(link))

    async def _serve(self, link: "_Link") -> None:
        try:
            if self._swallows:
                link.forget()
                await link.swallow()
            else:
                with suppress(OSError):
                    link.far = await self._dial()
                    await self._join(link)
        finally:
            link.end(Ending.FIN)

    async def close(self) -> None:
        """End everything."""
        tasks = list(self._links.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _join(self, link: "_Link") -> None:
        assert link.far is not None
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass(link, link.near[0], link.far[1], replies=False))
            both.create_task(self._pass(link, link.far[0], link.near[1], replies=True))

    async def _pass(
        self, link: "_Link", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *,
        replies: bool,
    ) -> None:  # fmt: skip
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK):
                size = self.piece  # of this chunk, whatever is set meanwhile
                for at in range(0, len(chunk), size):
                    await asyncio.sleep(self.delay_s())
                    await self._open_road.wait()
                    if link.forgotten:
                        break
                    if replies and self._loses():
                        link.end(Ending.RST)
                        return
                    piece = chunk[at : at + size]
                    writer.write(piece)
                    await writer.drain()
                    self.passed += len(piece)
            await self._open_road.wait()
        if not link.forgotten:
            link.end(Ending.FIN)

    def _loses(self) -> bool:
        if self._passing_before_loss < 0:
            return False
        self._passing_before_loss -= 1
        self.lost += self._passing_before_loss < 0
        return self._passing_before_loss < 0


class _Link:
    """One connection: the near end is the client's, the far end ours to the other side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.near: Ends = (reader, writer)
        self.far: Ends | None = None
        self.forgotten = False

    def forget(self) -> None:
        """The far side is gone, and the client is not told."""
        self.forgotten = True
        if self.far is not None:
            self.far[1].transport.abort()

    def end(self, ending: Ending) -> None:
        """Both ends. Safe to repeat."""
        for _, writer in (self.near, *([self.far] if self.far else [])):
            if ending is Ending.RST:
                raw: socket.socket = writer.get_extra_info("socket")
                # A socket of the file system knows no RST; its abort says as much.
                with suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
                writer.transport.abort()
            else:
                writer.close()

    async def swallow(self) -> None:
        """Take what comes until the client gives up."""
        with suppress(ConnectionError):
            while await self.near[0].read(_CHUNK):
                pass


@asynccontextmanager
async def proxied(dial: Callable[[], Awaitable[Ends]]) -> AsyncIterator[Proxy]:
    """A proxy on a port of its own, on this loop."""
    proxy = Proxy(dial)
    server = await asyncio.start_server(proxy.take, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
        # An aborted connection is closed in the next turn of the loop.
        await asyncio.sleep(0)


def to_socket(path: str) -> Callable[[], Awaitable[Ends]]:
    """A far side at a socket of the file system, as the embedded store's."""
    return lambda: asyncio.open_unix_connection(path)


def to_port(port: int) -> Callable[[], Awaitable[Ends]]:
    """A far side on loopback."""
    return lambda: asyncio.open_connection("127.0.0.1", port)
