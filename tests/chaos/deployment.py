"""What a chaos run breaks: a store, services, forwarders and a receiver, as real processes.

Everything listens on loopback, so that whatever can be put between two of them may be: see `Link`.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import httpx

from dni_allocator.store.connection import Connection
from dni_allocator.store.keys import ShardKeys
from tests.support.cluster import LOOPBACK, Node, free_ports
from tests.support.faketime import JumpingClock
from tests.support.program import answers
from tests.support.receiver import Receiver, receiving
from tests.support.service import ADMIN_KEY
from tests.support.waiting import wait_until_async

ROOT: Final = Path(__file__).parents[2]
SHARDS: Final = 4
PATIENCE_S: Final = 120.0
"""Only ends a run that hangs."""


class Link(Protocol):
    """A port of loopback that leads to another one."""

    @property
    def port(self) -> int:
        """Where to connect to."""
        ...


Linking = Callable[[int], AbstractAsyncContextManager[Link]]
"""Puts a link in front of a port."""


@dataclass(slots=True)
class Program:
    """One process of the product: can be killed, frozen, and started again as it was."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    port: int = 0
    """Where it listens; 0: nowhere."""
    link: Link | None = None
    """Stands before `port`."""
    source: Path = ROOT / "src"
    """Of which version it is."""
    wrapped: tuple[str, ...] = ()
    """A command that starts the command."""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def front(self) -> int:
        """The port at which visitors reach it."""
        return self.port if self.link is None else self.link.port

    @property
    def url(self) -> str:
        """Where an operator reaches it, whatever stands before it."""
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start it; it may take seconds until it answers."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith("DNI_")}
        path = os.pathsep.join([str(ROOT), str(self.source)])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapped, sys.executable, "-m", *self.command],
                cwd=ROOT,
                env=clean | {"PYTHONPATH": path} | self.environment,
                stdout=log,
                stderr=log,
            )

    def signal(self, how: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT lets it go on."""
        assert self.process is not None, "not started"
        self.process.send_signal(how)

    def kill(self) -> None:
        """SIGKILL; safe to repeat."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A store that was started elsewhere: `url` as DNI_REDIS_URL takes it; `valkey`, one node."""

    url: str
    valkey: Node


@dataclass(slots=True)
class Deployment:
    """All parts of one run. `http` asks any URL; `answered` counts what the visitors were told."""

    room: Path
    valkey: Node
    store_url: str
    receiver: Receiver
    http: httpx.AsyncClient
    services: list[Program] = field(default_factory=list)
    forwarders: list[Program] = field(default_factory=list)
    store_links: list[Link] = field(default_factory=list)
    """Between services or forwarders and the store: that of `services[n]` is the n-th one."""
    store_clock: JumpingClock | None = None
    clocks: list[JumpingClock] = field(default_factory=list)
    """Of services and forwarders, where they can be moved."""

    @property
    def headers(self) -> dict[str, str]:
        """What opens everything."""
        return {"Authorization": f"Bearer {ADMIN_KEY}"}

    async def ready(self) -> None:
        """Wait until every service says that it is."""
        for service in self.services:

            async def ready(service: Program = service) -> bool:
                return await answers(self.http, f"{service.url}/readyz", 200)

            await wait_until_async(ready, timeout_s=PATIENCE_S, what=f"{service.name} is ready")

    async def administer(self, method: str, path: str, **more: object) -> httpx.Response:
        """One call of an operator, on the first service; fails if it is refused."""
        url = f"{self.services[0].url}{path}"
        answer = await self.http.request(method, url, headers=self.headers, json=more or None)
        assert answer.status_code < 300, answer.text
        return answer

    async def written(self) -> set[str]:
        """The ids of all events that are in the outboxes: none is old enough to be trimmed."""
        found: set[str] = set()
        async with Connection(self.store_url) as connection:
            for shard in range(SHARDS):
                entries = await connection.execute("XRANGE", ShardKeys(shard).events, "-", "+")
                assert isinstance(entries, list)
                found |= {f"evt_s{shard}_{bytes(entry[0]).decode()}" for entry in entries}
        return found


def store(room: Path, *, fsync: str = "always", **options: str) -> Node:
    """A store with a log of writes, as the embedded one, but on a port.

    With `fsync` "always" nothing is answered before it is in the log, whenever the process dies.
    With "everysec", the default of the product, a write may wait in memory for a slow disk.
    """
    (port,) = free_ports(1)
    known = {
        "port": str(port), "bind": LOOPBACK, "save": '""', "appendonly": "yes",
        "appendfsync": fsync, "aof-load-truncated": "yes", "maxmemory-policy": "noeviction",
    }  # fmt: skip
    return Node(port, room, known | options)


@asynccontextmanager
async def deployed(
    room: Path,
    *,
    services: int = 2,
    forwarders: int = 2,
    linking: Linking | None = None,
    fsync: str = "always",
    clocks: bool = False,
    standing: Standing | None = None,
) -> AsyncIterator[Deployment]:
    """Everything started and ready, and everything ended whatever happens.

    `clocks`: each process has one that can be moved (libfaketime). `standing`: this store, in the
    place of one of its own; nothing can be put before it.
    """
    async with AsyncExitStack() as stack:
        store_clock = JumpingClock(room / "clock") if clocks else None
        if standing is None:
            valkey = store(room / "valkey", fsync=fsync)
            if store_clock is not None:
                valkey.environment = store_clock.environment
            stack.callback(valkey.kill)
            await asyncio.to_thread(valkey.start)
            standing = Standing(f"redis://{LOOPBACK}:{valkey.port}", valkey)
        valkey = standing.valkey
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
        deployment = Deployment(
            room=room,
            valkey=valkey,
            store_url=standing.url,
            receiver=await stack.enter_async_context(receiving()),
            store_clock=store_clock,
            http=await stack.enter_async_context(httpx.AsyncClient(limits=limits, timeout=4)),
        )
        ports = free_ports(services)
        for at in range(services + forwarders):
            url = standing.url
            if linking is not None:
                link = await stack.enter_async_context(linking(valkey.port))
                deployment.store_links.append(link)
                url = f"redis://{LOOPBACK}:{link.port}"
            environment = {
                "DNI_REDIS_URL": url, "DNI_SHARDS": str(SHARDS),
                "DNI_ADMIN_KEY": ADMIN_KEY, "DNI_DRAIN_S": "0",
                "DNI_WEBHOOK_ALLOW": "127.0.0.0/8", "DNI_LOG_FORMAT": "json",
            }  # fmt: skip
            if at < services:
                name, command = f"service{at}", ["dni_allocator", "serve", "--no-forwarder"]
                environment["DNI_PORT"] = str(ports[at])
            else:
                name, command = f"forwarder{at - services}", ["dni_allocator", "forward"]
            if clocks:
                clock = JumpingClock(room / f"{name}-clock")
                deployment.clocks.append(clock)
                environment |= clock.environment
            program = Program(name, command, environment, log=room / f"{name}.log")
            if at < services:
                program.port = ports[at]
                if linking is not None:
                    program.link = await stack.enter_async_context(linking(ports[at]))
                deployment.services.append(program)
            else:
                deployment.forwarders.append(program)
            stack.callback(program.kill)
            program.start()
        await deployment.ready()
        yield deployment
