"""Instructions of whole servers, HTTP included: ours beside the peers, by callgrind.

The same requests over the same 64 connections as in `http_rows`. The kernel's part is not counted,
so these ratios do not replace those of CPU time; but they are the same at any hour.
"""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from dni_allocator.store.connection import Connection
from loadtests.bench import load, traffic
from loadtests.bench.counted import Counter, under_valgrind
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, at_most
from loadtests.bench.seeding import AREA_CODES, Seeder, numbers, pool
from loadtests.bench.servers import Server, peer, redis_server, service_alone
from loadtests.bench.traffic import KNOWN_VISITORS, Traffic

NAMES = ("instructions-http",)

PEERS = {"raw-asgi": "raw ASGI echo (uvicorn)", "fastapi": "FastAPI, typed empty endpoint"}
OURS: Mapping[str, tuple[str, Callable[[], Traffic]]] = {
    "renewal": ("`/assign`, renewal", lambda: traffic.assign("known")),
    "new": (
        "`/assign`, new lease",
        lambda: traffic.assign("fresh", new_every=1, run=secrets.token_hex(4)),
    ),
    "heartbeat": ("`/heartbeat`", lambda: traffic.heartbeat("known")),
}
_BUDGETS = (("raw-asgi", 1.4), ("fastapi", 0.5))
_OF_PAGES = ("renewal", "new")


async def measure(plan: Plan) -> list[Row]:
    """A row for each server and call, then the ratios. Nothing in the short mode: it is slow."""
    if plan.short:
        return []
    if shutil.which("valgrind") is None or shutil.which("callgrind_control") is None:
        return [Row(name=NAMES[0], what="instructions a request", value="valgrind is missing")]
    seen: dict[str, float] = {}
    for name in PEERS:
        with tempfile.TemporaryDirectory(prefix="dni-bench-") as room:
            out = Path(room) / "counted"
            with peer(name, under=under_valgrind(out)) as server:
                counter = Counter(server.pid, out)
                seen[name] = _counted(counter, server, lambda: traffic.assign("known"))
    seen |= await _of_ours()
    titles = {**PEERS, **{name: title for name, (title, _) in OURS.items()}}
    rows = [
        Row(
            name=f"{NAMES[0]}-{name}",
            what=f"server, user space: {titles[name]}",
            value=f"{instructions:,.0f} instructions",
        )
        for name, instructions in seen.items()
    ]
    return [
        *rows,
        *(
            at_most(
                f"budget-{NAMES[0]}-{name}-{other}",
                f"instructions, {titles[name]} ÷ {titles[other]}",
                value=seen[name] / seen[other],
                limit=limit,
            )
            for name in _OF_PAGES
            for other, limit in _BUDGETS
        ),
    ]


async def _of_ours() -> dict[str, float]:
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dni-bench-")))
        redis = stack.enter_context(redis_server())
        async with Connection(redis.url) as connection:
            seeder = Seeder(connection)
            await seeder.prepare()
            for name, size, area in (("known", KNOWN_VISITORS, 0), ("fresh", 2 * _COUNT, 1)):
                await seeder.make_pool(pool(name), numbers(size, area=AREA_CODES[area]))
        out = room / "counted"
        server = stack.enter_context(service_alone(redis.url, under=under_valgrind(out)))
        counter = Counter(server.pid, out)
        return {name: _counted(counter, server, request) for name, (_, request) in OURS.items()}


_COUNT = 2_000


def _counted(counter: Counter, server: Server, request: Callable[[], Traffic]) -> float:
    """Instructions a request. The first ones fill caches, and let the interpreter specialise."""
    _send(server, request(), count=_COUNT // 2)
    counter.reset()
    _send(server, request(), count=_COUNT)
    return counter.read() / _COUNT


def _send(server: Server, request: Traffic, *, count: int) -> None:
    sent = load.so_many(server.port, request, count=count).result()
    if sent.errors or sent.done != count:
        raise RuntimeError(f"{sent.done} of {count} were answered, {sent.errors} with an error")
