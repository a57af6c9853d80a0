"""Programs and parts for delivery tests: a forwarder process, a sink process, events to send.

`python -m tests.support.delivery forward|sink …` is what the tests start and kill.
"""

import argparse
import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import uvicorn
import uvloop

from dni_allocator.app.wiring import DIALECTS
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.sink.app import create_app
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.outbox import Outbox, Presence
from dni_allocator.store.shards import redis_time
from dni_allocator.webhooks.forwarder import Forwarder
from dni_allocator.webhooks.guard import parse_networks
from dni_allocator.webhooks.ports import Attempt, Pace
from dni_allocator.webhooks.signing import new_secret
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.receiver import Delivery

SECRET = new_secret(b"delivery tests: thirty-two bytes")
LOOPBACK = parse_networks("127.0.0.0/8")
QUICK = Pace(
    lock_ttl_ms=1_000,
    refresh_s=0.05,
    idle_s=0.1,
    first_pause_s=0.05,
    longest_pause_s=0.2,
    housekeeping_s=0.1,
)
"""As in production, only sooner."""


def endpoint(url: str, *, endpoint_id: str = "whe_one") -> Endpoint:
    """An endpoint that takes everything."""
    return Endpoint(id=endpoint_id, url=url, secret=SECRET, created_ms=1)


def assigned(number: str, *, fence: int = 1, at_ms: int = 1_795_344_299_544) -> dict[str, str]:
    """The fields of an entry, as `assign.lua` writes them."""
    return {
        "t": "number.assigned", "p": "pool_a", "n": number, "v": "visitor-1", "d": "+18005550100",
        "f": str(fence), "w": str(at_ms), "r": "new", "x": '{"url":"https://shop.example/","fields":{"utm_source":"mail"}}',
    }  # fmt: skip


async def publish(connection: Connection, events: Sequence[dict[str, str]], *, shard: int = 0) -> (
    list[str]
):  # fmt: skip
    """Write events to an outbox; their ids as receivers will see them."""
    ids = []
    for fields in events:
        pairs = [text for pair in fields.items() for text in pair]
        reply = await connection.execute("XADD", ShardKeys(shard).events, "*", *pairs)
        assert isinstance(reply, bytes)
        ids.append(f"evt_s{shard}_{reply.decode()}")
    return ids


def forwarder(
    connection: Connection,
    transport: HttpTransport,
    *,
    shards: int = 1,
    pace: Pace = QUICK,
    clock: Callable[[], str] = redis_time,
    monotonic: Callable[[], float] = time.monotonic,
    observe: Callable[[Attempt], None] = lambda _: None,
    disabled: Callable[[Endpoint], None] = lambda _: None,
) -> Forwarder:
    """A forwarder on a real store and a real network."""
    return Forwarder(
        outboxes=[Outbox(connection.execute, shard=n, clock=clock) for n in range(shards)],
        endpoints=Endpoints(connection.execute, shards=shards, clock=clock),
        presence=Presence(connection.execute),
        transport=transport,
        dialects=DIALECTS,
        pace=pace,
        clock=monotonic,
        observe=observe,
        disabled=disabled,
    )


class HasteClock:
    """The forwarder's own clock, so much faster than the wall's: its waits are over soon.

    Locks are the store's, and renewed by this clock, so they are renewed as often.
    """

    def __init__(self, times: float = 1_000.0) -> None:
        self._times = times
        self._began = time.monotonic()

    def __call__(self) -> float:
        """Seconds."""
        return (time.monotonic() - self._began) * self._times


def event_ids(delivery: Delivery) -> list[str]:
    """The ids of the events in a request: of one, of an array, of lines."""
    if delivery.headers["content-type"] == "application/x-ndjson":
        events = [json.loads(line) for line in delivery.body.splitlines()]
    else:
        parsed = json.loads(delivery.body)
        events = parsed if isinstance(parsed, list) else [parsed]
    return [str(event["data"]["event_id"]) for event in events]


@asynccontextmanager
async def running(made: Forwarder) -> AsyncIterator[None]:
    """The forwarder at work, and gracefully stopped at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(made.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def _forward(url: str, *, shards: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Connection(url) as connection, HttpTransport(allowed=LOOPBACK) as transport:
        await forwarder(connection, transport, shards=shards).run(stop)


def _sink(database_url: str, descriptor: int) -> None:
    app = create_app(database_url=database_url, secrets=[SECRET])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    with socket.socket(fileno=descriptor) as listener:
        server.run(sockets=[listener])


def main() -> None:
    """Run one of the programs in the foreground."""
    parser = argparse.ArgumentParser()
    programs = parser.add_subparsers(dest="program", required=True)
    forward = programs.add_parser("forward")
    forward.add_argument("url")
    forward.add_argument("--shards", type=int, default=1)
    sink = programs.add_parser("sink")
    sink.add_argument("database_url")
    sink.add_argument("descriptor", type=int)
    options = parser.parse_args()
    if options.program == "forward":
        uvloop_run(options.url, shards=options.shards)
    else:
        _sink(options.database_url, options.descriptor)


def uvloop_run(url: str, *, shards: int) -> None:
    """The forwarder on the loop the service runs it on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_forward(url, shards=shards))


if __name__ == "__main__":
    main()
