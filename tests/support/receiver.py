"""A webhook receiver that does what a test tells it to, on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

HANG, RESET = -1, -2
"""Instead of a status: never answer; cut the connection."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"

    @property
    def id(self) -> str:
        """The id of the event."""
        return self.headers["webhook-id"]

    @property
    def number(self) -> str:
        """The number the event is about."""
        return str(json.loads(self.body)["data"]["number"])


@dataclass(slots=True)
class Receiver:
    """What came, and how to answer: `answer` gives the status of each delivery.

    `headers` and `body` go with every answer. `most_at_once` is the most requests that were being
    answered at one time.
    """

    url: str
    answer: Callable[[Delivery], int] = lambda _: 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    came: list[Delivery] = field(default_factory=list)
    taken: list[Delivery] = field(default_factory=list)
    in_hand: int = 0
    most_at_once: int = 0
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def die(self) -> None:
        """Stop listening and cut what is under way, as a killed process does. Safe to repeat."""
        if self.server is None:
            return
        server, self.server = self.server, None
        server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await server.wait_closed()
        # An aborted connection is closed in the next turn of the loop.
        await asyncio.sleep(0)

    def ids(self) -> list[str]:
        """The events that were taken, in the order in which they were."""
        return [one.id for one in self.taken]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._answer_all(reader, writer)
        finally:
            writer.transport.abort()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                delivery = await _read(reader)
                self.came.append(delivery)
                self.in_hand += 1
                self.most_at_once = max(self.most_at_once, self.in_hand)
                # Lets further requests come in before this one is answered.
                await asyncio.sleep(0)
                status = self.answer(delivery)
                if status == HANG:
                    await reader.read()
                self.in_hand -= 1
                if status in {HANG, RESET}:
                    break
                if status in {200, 204}:
                    self.taken.append(delivery)
                body = b"" if status == HTTPStatus.NO_CONTENT else self.body
                lines = [f"HTTP/1.1 {status} X", *(f"{n}: {v}" for n, v in self.headers.items())]
                if status != HTTPStatus.NO_CONTENT:
                    lines.append(f"content-length: {len(body)}")
                writer.write("\r\n".join([*lines, "", ""]).encode() + body)
                await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Delivery:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = head[0].split(" ")
    return Delivery(path, headers, body, method)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver that listens; with its port given, one that comes back."""
    receiver = Receiver(url="")

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(receiver._serve(reader, writer))  # noqa: SLF001 -- one module
        receiver.tasks.add(task)
        task.add_done_callback(receiver.tasks.discard)

    server = receiver.server = await asyncio.start_server(accept, "127.0.0.1", port)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        await receiver.die()
