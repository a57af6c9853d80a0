"""Our hot path without server and network: what `loadtests.bench.instructions` counts.

`python -m loadtests.bench.page_views REDIS_URL` reads lines `<echo|assign|heartbeat> <times>`,
calls the application that often, and answers each line with `done`. A reply of Redis is asked for
once and then given again: what is counted is one page view's Python, packing of the command
included, and nothing that waits.
"""

import asyncio
import sys
from itertools import cycle, islice

from starlette.types import ASGIApp, Message, Scope

from dni_allocator.api.caller import NO_PROXIES
from dni_allocator.api.edge import Edge
from dni_allocator.metrics import Metrics
from dni_allocator.services.allocation import Allocation
from dni_allocator.services.shelving import Shelving
from dni_allocator.services.sites import Sites
from dni_allocator.services.suggestions import Suggestions
from dni_allocator.store.connection import Connection
from dni_allocator.store.directory import Directory
from dni_allocator.store.leases import LeaseStore
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.shards import Shards
from dni_allocator.store.shelves import ShelfStore
from dni_allocator.store.suggestions import SuggestionStore
from loadtests.bench import traffic
from loadtests.bench.peers import raw_asgi
from loadtests.bench.servers import SHARDS
from loadtests.bench.traffic import HEADERS, Traffic

_VISITORS = 50
_HEAD = slice(0, 64)
"""Of a packed command: what names its script is in here."""
_USER_AGENT = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Replayed:
    """Scripts of the hot path: each is run once, and its reply is given again and again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._replies: dict[bytes, object] = {}

    async def execute(self, *command: str | bytes | int) -> object:
        """Run a script."""
        return await self._connection.execute(*command)

    async def send_packed(self, packed: bytes) -> object:
        """Return what was replied to the first command of its script."""
        script = packed[_HEAD]
        if script not in self._replies:
            send = self._connection.send_packed
            if send is None:
                raise RuntimeError("a cluster takes no packed commands")
            self._replies[script] = await send(packed)
        return self._replies[script]


def _application(connection: Connection) -> ASGIApp:
    stored = Shards(connection.execute, SHARDS)
    pools = PoolStore(stored)
    replayed = Replayed(connection)
    return Edge(
        allocation=Allocation(
            sites=Sites(directory=Directory(connection.execute), pools=pools),
            leases=LeaseStore(Shards(replayed.execute, SHARDS, send_packed=replayed.send_packed)),
            shelving=Shelving(shelves=ShelfStore(stored), pools=pools),
            suggestions=Suggestions(SuggestionStore(stored)),
        ),
        metrics=Metrics(version="0"),
        rest=raw_asgi(),
        proxies=NO_PROXIES,
    )


def _bodies(asked: Traffic) -> list[bytes]:
    """One request of each of some visitors."""
    return [
        asked.body.replace("{v}", traffic.visitor(at)).replace("{p}", traffic.page(at)).encode()
        for at in range(_VISITORS)
    ]


async def _call(app: ASGIApp, path: str, body: bytes) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "client": ("127.0.0.1", 1),
        "headers": [
            *headers,
            (b"user-agent", _USER_AGENT),
            (b"content-length", b"%d" % len(body)),
        ],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message.get("status", 200) != 200:  # noqa: PLR2004 -- OK
            raise RuntimeError(f"{path} answered {message['status']}")

    await app(scope, receive, send)


async def _serve(redis_url: str) -> None:
    async with Connection(redis_url) as connection:
        ours, echo = _application(connection), raw_asgi()
        calls = {
            "echo": (echo, traffic.assign("counted")),
            "assign": (ours, traffic.assign("counted")),
            "heartbeat": (ours, traffic.heartbeat("counted")),
        }
        for order in sys.stdin:
            kind, times = order.split()
            app, asked = calls[kind]
            for body in islice(cycle(_bodies(asked)), int(times)):
                await _call(app, asked.path, body)
            sys.stdout.write("done\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
