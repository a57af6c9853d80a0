"""A balancer of TCP connections as stands before several processes: it asks /readyz, and obeys."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

import httpx

_ASK_EVERY_S: Final = 0.05
_CHUNK: Final = 65_536


class Balancer:
    """Sends each new connection to the next process that says it is ready.

    A connection stays with its process, as with any balancer that does not look into requests.
    """

    def __init__(self) -> None:
        self.port = 0
        self.ready: tuple[int, ...] = ()
        self.served: dict[int, int] = {}
        """Connections by the port of the process they went to."""
        self._behind: set[int] = set()
        self._turn = count()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, port: int) -> None:
        """Ask one more process."""
        self._behind.add(port)

    def remove(self, port: int) -> None:
        """Forget a process."""
        self._behind.discard(port)

    async def watch(self) -> None:
        """Ask every process again and again, until cancelled."""
        async with httpx.AsyncClient(timeout=2) as http:
            while True:
                asked = sorted(self._behind)
                answers = await asyncio.gather(*(self._is_ready(http, port) for port in asked))
                self.ready = tuple(
                    port for port, ready in zip(asked, answers, strict=True) if ready
                )
                await asyncio.sleep(_ASK_EVERY_S)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one connection with one to a process."""
        ready = self.ready
        if not ready:
            writer.close()
            return
        port = ready[next(self._turn) % len(ready)]
        self.served[port] = self.served.get(port, 0) + 1
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass(reader, there_writer), _pass(there_reader, writer))

    @staticmethod
    async def _is_ready(http: httpx.AsyncClient, port: int) -> bool:
        try:
            answer = await http.get(
                f"http://127.0.0.1:{port}/readyz", headers={"Connection": "close"}
            )
        except httpx.TransportError:
            return False
        return answer.is_success


@asynccontextmanager
async def balancing() -> AsyncIterator[Balancer]:
    """A balancer on a port of its own, with nothing behind it yet."""
    balancer = Balancer()
    server = await asyncio.start_server(balancer.connected, "127.0.0.1", 0)
    balancer.port = server.sockets[0].getsockname()[1]
    watching = asyncio.create_task(balancer.watch())
    try:
        yield balancer
    finally:
        watching.cancel()
        server.close()
        await asyncio.gather(watching, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Whoever is cut off has nothing to send any more.
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        writer.close()
