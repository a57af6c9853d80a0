"""Scripts sent to Redis as fast as it takes them: hiredis and sockets, nothing in between.

The commands are those of the store itself: it is asked to send them, and they are kept instead.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import hiredis

from dni_allocator.domain.lease import PageRequest
from dni_allocator.domain.pool import Pool
from dni_allocator.store.leases import LeaseStore
from dni_allocator.store.shards import Shards
from loadtests.bench import traffic
from loadtests.bench.results import Sample
from loadtests.bench.servers import SHARDS, cpu_seconds
from loadtests.bench.traffic import DESTINATION, ORIGIN

CONNECTIONS = 50
DEPTH = 16
DATA = (
    f'{{"url":"{ORIGIN}/spring?utm_source=mail","fields":{{"utm_source":"mail",'
    '"utm_medium":"newsletter"}}'
)
"""What is kept of the request body of the HTTP rows, of about 200 bytes, with a lease."""


class Recorder:
    """A store without Redis: what it would send is kept, packed for the wire."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._leases = LeaseStore(Shards(self._keep, SHARDS))

    async def _keep(self, *command: str | bytes | int) -> object:
        self._kept.append(_packed(command))
        return [b"STALE"]

    async def assigns(self, asked: Iterable[tuple[Pool, str]]) -> list[bytes]:
        """One `assign` for each pool and visitor."""
        self._kept = []
        for at, (pool, visitor_id) in enumerate(asked):
            await self._leases.assign(pool, page_request(visitor_id, page_id=traffic.page(at)))
        return self._kept

    async def heartbeats(self, asked: Iterable[tuple[Pool, str]]) -> list[bytes]:
        """One `heartbeat` for each pool and visitor."""
        self._kept = []
        for at, (pool, visitor_id) in enumerate(asked):
            await self._leases.heartbeat(pool, visitor_id=visitor_id, page_id=traffic.page(at))
        return self._kept


def page_request(visitor_id: str, *, page_id: str) -> PageRequest:
    """A page view with one number on it."""
    return PageRequest(
        visitor_id=visitor_id,
        page_id=page_id,
        destinations=(DESTINATION,),
        previous={},
        data=DATA,
    )


async def load_scripts(execute: Callable[..., object], pool: Pool) -> None:
    """Let the server know the scripts, by using them once."""
    store = LeaseStore(Shards(execute, SHARDS))  # type: ignore[arg-type]
    visitor_id = "visitor-of-the-first-call"
    await store.assign(pool, page_request(visitor_id, page_id="page"))
    await store.heartbeat(pool, visitor_id=visitor_id, page_id="page")


def sets(count: int, *, run: str) -> list[bytes]:
    """Plain `SET` of what a lease keeps: a key and a value of the same lengths."""
    value = f"{traffic.visitor(0)}\t{DESTINATION}\t1790000000000\t1\t{DATA}"
    return [
        _packed(("SET", f"dni:{{s0}}:pool_{run:0>16}:v:{traffic.visitor(at)}", value))
        for at in range(count)
    ]


def _packed(command: tuple[str | bytes | int, ...]) -> bytes:
    # hiredis declares a tuple of one; it takes any length.
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed


@dataclass(slots=True)
class _Work:
    """The batches that are still to be sent, and what came back."""

    batches: list[tuple[bytes, int]]
    errors: int = 0


async def send(
    socket_path: Path,
    commands: Sequence[bytes],
    *,
    pid: int,
    connections: int = CONNECTIONS,
    depth: int = DEPTH,
) -> Sample:
    """Send all commands, `depth` at a time on each connection; CPU is that of the server."""
    batches = [
        (b"".join(part), len(part))
        for start in range(0, len(commands), depth)
        if (part := commands[start : start + depth])
    ]
    batches.reverse()
    work = _Work(batches)
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_unix_connection(lambda: _Client(work, loop), str(socket_path))
        clients.append(client)
    cpu, began = cpu_seconds(pid), time.perf_counter()
    for client in clients:
        client.proceed()
    await asyncio.gather(*(client.finished for client in clients))
    seconds = time.perf_counter() - began
    sample = Sample(
        done=len(commands),
        seconds=seconds,
        store_cpu_s=cpu_seconds(pid) - cpu,
        errors=work.errors,
    )
    for client in clients:
        client.close()
    await asyncio.gather(*(client.closed for client in clients))
    return sample


def of_server(sample: Sample) -> Sample:
    """The same with Redis as the measured server."""
    return replace(sample, cpu_s=sample.store_cpu_s, store_cpu_s=0.0)


class _Client(asyncio.Protocol):
    def __init__(self, work: _Work, loop: asyncio.AbstractEventLoop) -> None:
        self.finished: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._work = work
        self._waiting = 0
        self._reader = hiredis.Reader()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
        if not self.finished.done():
            self.finished.set_exception(exc or ConnectionError("the server hung up"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def proceed(self) -> None:
        if not self._work.batches:
            self.finished.set_result(None)
            return
        data, self._waiting = self._work.batches.pop()
        if self._transport is not None:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            answer = reply[0] if isinstance(reply, list) and reply else reply
            self._work.errors += answer != b"OK"
            self._waiting -= 1
        if self._waiting == 0:
            self.proceed()
