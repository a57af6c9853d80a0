"""What does not depend on the hour: instructions of the hot path, counted by valgrind's callgrind.

The same code and the same requests execute the same instructions, whatever else the machine does,
within a percent. So "no slower than before" can be shown, where CPU time of two runs cannot show
it. Only user space is counted, and no cache or branch is modelled: this is for comparing two
versions of the code, not for budgets. Where valgrind is not installed, the rows say so.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import find_executable
from loadtests.bench.counted import counted, wait_until_answers
from loadtests.bench.pipelining import Recorder, load_scripts, send, sets
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row
from loadtests.bench.seeding import AREA_CODES, Seeder, numbers, pool
from loadtests.bench.servers import redis_server
from loadtests.bench.traffic import visitor

NAMES = ("instructions",)

REDIS = {
    "set": "plain `SET`",
    "new": "new lease",
    "renewal": "renewal",
    "heartbeat": "heartbeat",
}
PYTHON = {"echo": "raw ASGI echo", "assign": "`/assign`", "heartbeat": "`/heartbeat`"}

_VISITORS = 100


async def measure(plan: Plan) -> list[Row]:
    """A row for each kind of call, in Redis and in our own Python.

    The short mode leaves Python out: starting an interpreter under valgrind takes most of a minute.
    """
    if shutil.which("valgrind") is None or shutil.which("callgrind_control") is None:
        return [Row(name=NAMES[0], what="instructions a call", value="valgrind is not installed")]
    count = plan.scaled(2_000, short=100)
    rows = await _in_redis(count)
    return rows if plan.short else [*rows, *await _in_python(count)]


async def _in_redis(count: int) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="dni-bench-") as room:
        socket = Path(room) / "valkey.sock"
        command = [str(find_executable(None)), "--port", "0", "--save", "", "--unixsocket", socket]
        with counted(command, Path(room)) as counter:
            wait_until_answers(socket)
            async with Connection(f"unix://{socket}") as connection:
                made = await Seeder(connection).make_pool(
                    pool("counted"), numbers(2 * count + _VISITORS + 1, area=AREA_CODES[0])
                )
                await load_scripts(connection.execute, made)
                known = [(made, visitor(at % _VISITORS)) for at in range(count)]
                new = [(made, visitor(at, run="counted0")) for at in range(2 * count)]
                for kind, what in REDIS.items():
                    commands = {
                        "set": sets(2 * count, run="set"),
                        "new": await Recorder().assigns(new),
                        "renewal": await Recorder().assigns(known + known),
                        "heartbeat": await Recorder().heartbeats(known + known),
                    }[kind]
                    # The first half warms up: scripts are loaded, visitors have their pages.
                    await send(socket, commands[:count], pid=counter.pid, connections=1)
                    counter.reset()
                    await send(socket, commands[count:], pid=counter.pid, connections=1)
                    seen = counter.read() / count
                    rows.append(_row(f"redis-{kind}", f"Redis: {what}, pipelined", seen))
    return rows


async def _in_python(count: int) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="dni-bench-") as room, redis_server() as redis:
        async with Connection(redis.url) as connection:
            seeder = Seeder(connection)
            await seeder.prepare()
            await seeder.make_pool(pool("counted"), numbers(10, area=AREA_CODES[0]))
        command = [sys.executable, "-m", "loadtests.bench.page_views", redis.url]
        with counted(command, Path(room)) as counter:
            counter.ask("assign 1")  # it has started then
            for kind, what in PYTHON.items():
                # Twice: the first round fills caches, and lets the interpreter specialise.
                counter.ask(f"{kind} {count // 4}")
                counter.reset()
                counter.ask(f"{kind} {count}")
                seen = counter.read() / count
                rows.append(_row(f"python-{kind}", f"Python, without a network: {what}", seen))
    return rows


def _row(name: str, what: str, instructions: float) -> Row:
    return Row(name=f"instructions-{name}", what=what, value=f"{instructions:,.0f} instructions")
