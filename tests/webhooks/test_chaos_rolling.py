"""Everything is restarted or killed in turn while pages are viewed: sent = received."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from dni_allocator.sink.tables import EVENTS
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.store.keys import ShardKeys
from tests.support.delivery import SECRET
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, SHOP
from tests.support.waiting import POLL_S, wait_until_async

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).parents[2]
SHARDS = 4
BROWSERS = 8


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass(slots=True)
class Program:
    """One process that can be ended and started again as it was."""

    command: list[str]
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith("DNI_")}
        path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", *self.command],
            cwd=ROOT,
            env=clean | {"PYTHONPATH": path} | self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self, how: signal.Signals) -> None:
        """End it, and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def again(self, how: signal.Signals) -> None:
        """End it and start it again."""
        self.end(how)
        self.start()


@dataclass(slots=True)
class Stage:
    """All parts: two services, two forwarders, a sink, a store."""

    room: Path
    store: EmbeddedServer
    services: list[Program] = field(default_factory=list)
    forwarders: list[Program] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    sink: Program | None = None
    sink_port: int = 0

    @property
    def database_url(self) -> str:
        """Where the sink keeps what it got."""
        return f"sqlite:///{self.room / 'sink.db'}"

    def received(self) -> set[str]:
        """The ids of all events in the sink."""
        engine = create_engine(self.database_url)
        try:
            with engine.connect() as connection:
                return set(connection.scalars(select(EVENTS.c.id)))
        except SQLAlchemyError:
            return set()
        finally:
            engine.dispose()

    def count(self) -> int:
        """How many events are in the sink."""
        engine = create_engine(self.database_url)
        try:
            with engine.connect() as connection:
                return int(connection.scalar(select(func.count()).select_from(EVENTS)) or 0)
        except SQLAlchemyError:
            return 0
        finally:
            engine.dispose()

    def everything(self) -> list[Program]:
        """All programs but the store."""
        return [*self.services, *self.forwarders, *([self.sink] if self.sink else [])]

    def restart_store(self) -> None:
        """Kill the store and start it on its log."""
        os.kill(self.store.pid, signal.SIGKILL)
        self.store.stop()
        self.store = EmbeddedServer.start(self.room / "data")


@asynccontextmanager
async def staged(room: Path) -> AsyncIterator[Stage]:
    """Everything started, and everything ended whatever happens."""
    stage = Stage(room=room, store=EmbeddedServer.start(room / "data"))
    environment = {
        "DNI_REDIS_URL": stage.store.url, "DNI_SHARDS": str(SHARDS), "DNI_ADMIN_KEY": ADMIN_KEY,
        "DNI_DRAIN_S": "0", "DNI_WEBHOOK_ALLOW": "127.0.0.0/8",
    }  # fmt: skip
    try:
        for _ in range(2):
            port = free_port()
            stage.ports.append(port)
            serve = ["dni_allocator", "serve", "--no-forwarder"]
            stage.services.append(Program(serve, environment | {"DNI_PORT": str(port)}))
            stage.forwarders.append(Program(["dni_allocator", "forward"], environment))
        stage.sink_port = free_port()
        options = ["--secret", SECRET, "--database", stage.database_url]
        command = ["dni_allocator", "sink", *options, "--port", str(stage.sink_port)]
        stage.sink = Program(command, {})
        for program in stage.everything():
            program.start()
        yield stage
    finally:
        for program in stage.everything():
            program.end(signal.SIGKILL)
        stage.store.stop()


async def call(http: httpx.AsyncClient, stage: Stage, path: str, body: object) -> httpx.Response:
    """Ask one service, else the other, as a load balancer does; until one answers."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Origin": ORIGIN}
    for attempt in count():
        port = stage.ports[attempt % 2]
        with suppress(httpx.TransportError):
            answer = await http.post(f"http://127.0.0.1:{port}{path}", json=body, headers=headers)
            if answer.status_code < 500:
                return answer
        await asyncio.sleep(POLL_S)
    raise AssertionError("never")


async def browse(
    http: httpx.AsyncClient, stage: Stage, key: str, *, name: str, stop: asyncio.Event
) -> int:
    """Visitors who come, get a number and leave, one after the other; how many leases it were."""
    leases = 0
    for at in count():
        if stop.is_set():
            return leases
        page = {"key": key, "visitor_id": f"{name}-{at}", "page_id": "page"}
        answer = (await call(http, stage, "/assign", page)).json()
        leases += answer["numbers"][0]["reason"] == "new"
        await call(http, stage, "/close", page)
    return leases


async def in_the_outbox(url: str) -> set[str]:
    """The ids of all events that were ever written: nothing is old enough to be trimmed."""
    async with Connection(url) as connection:
        found = set()
        for shard in range(SHARDS):
            entries = await connection.execute("XRANGE", ShardKeys(shard).events, "-", "+")
            assert isinstance(entries, list)
            found |= {f"evt_s{shard}_{bytes(entry[0]).decode()}" for entry in entries}
        return found


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("events", "step"), [(5_000, 400)])
async def test_a_rolling_restart_of_everything_loses_no_event(
    events: int, step: int, tmp_path: Path
) -> None:
    """Services end gently, a forwarder, the sink and the store by SIGKILL, always under load."""
    async with staged(tmp_path) as stage, httpx.AsyncClient(timeout=10) as http:
        pool = await call(
            http, stage, "/pools",
            {"name": "Shop", "destinations": [SHOP], "allowed_origins": [ORIGIN],
             "closed_browser_delay_s": 0},
        )  # fmt: skip
        pool_id, key = pool.json()["id"], pool.json()["key"]
        await call(http, stage, f"/pools/{pool_id}/numbers", {"numbers": fictional(1000)})
        url = f"http://127.0.0.1:{stage.sink_port}/events"
        await call(http, stage, "/webhooks", {"url": url, "body": "json", "secret": SECRET})

        stop = asyncio.Event()
        browsers = [
            asyncio.create_task(browse(http, stage, key, name=f"browser{n}", stop=stop))
            for n in range(BROWSERS)
        ]
        assert stage.sink is not None
        steps: list[Callable[[], None]] = [
            partial(stage.services[0].again, signal.SIGTERM),
            partial(stage.forwarders[0].again, signal.SIGKILL),
            partial(stage.services[1].again, signal.SIGTERM),
            stage.restart_store,
            partial(stage.sink.again, signal.SIGKILL),
            partial(stage.forwarders[1].again, signal.SIGTERM),
        ]
        goal = 0
        while goal < events:
            for restart in steps:
                goal += step
                await asyncio.to_thread(restart)
                await reached(stage, goal)
        await reached(stage, events)
        stop.set()
        leases = sum(await asyncio.gather(*browsers))
        written = await in_the_outbox(stage.store.url)

        async def all_arrived() -> bool:
            return await in_the_outbox(stage.store.url) <= await asyncio.to_thread(stage.received)

        await wait_until_async(all_arrived, timeout_s=60, what="the last events")
        received = stage.received()

    assert len(written) >= events
    assert written <= received
    assert len(received) - len(written) <= BROWSERS * 2, "ends of the last leases, swept later"
    assert leases > 0


async def reached(stage: Stage, goal: int) -> None:
    """So many events are in the sink."""

    async def there() -> bool:
        return await asyncio.to_thread(stage.count) >= goal

    await wait_until_async(there, timeout_s=90, what=f"{goal} events in the sink")
