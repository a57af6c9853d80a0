"""What does not depend on the hour: instructions of the hot path, counted by valgrind's callgrind.

The same code and the same requests execute the same instructions, whatever else the machine does,
within a percent. So "no slower than before" can be shown, where CPU time of two runs cannot show
it. Only user space is counted, and no cache or branch is modelled: this is for comparing two
versions of the code, not for budgets. Where valgrind is not installed, the rows say so.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from redis import Redis

from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import find_executable
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

_START_S = 120.0
_VISITORS = 100
_TOTALS = re.compile(r"^totals: (\d+)", re.MULTILINE)


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
        with _counted(command, Path(room)) as counter:
            _wait_until_answers(socket)
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
        with _counted(command, Path(room)) as counter:
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


class _Counter:
    """A process under callgrind: its instructions since the last reset, in user space."""

    def __init__(self, process: "subprocess.Popen[str]", out: Path) -> None:
        self._process = process
        self._out = out
        self._dumps = 0
        self._counting = False

    @property
    def pid(self) -> int:
        """Of the process that is counted."""
        return self._process.pid

    def ask(self, line: str) -> None:
        """Say something to a process that reads orders, and wait until it has done so."""
        told, heard = self._pipes()
        told.write(f"{line}\n")
        told.flush()
        heard.readline()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        return self._process.stdin, self._process.stdout

    def reset(self) -> None:
        """Count from here on. Before the first time nothing is, which makes starting quick."""
        if not self._counting:
            self._control("--instr=on")
            self._counting = True
        self._control("--zero")

    def read(self) -> int:
        """The instructions since the last reset."""
        self._dumps += 1
        self._control("--dump")
        dump = self._out.with_name(f"{self._out.name}.{self._dumps}")
        found = _TOTALS.search(dump.read_text("utf-8", errors="replace"))
        if found is None:
            raise RuntimeError(f"{dump} has no totals")
        return int(found[1])

    def _control(self, order: str) -> None:
        subprocess.run(  # noqa: S603 -- a program of valgrind's, on a process of ours
            ["callgrind_control", order, str(self.pid)],  # noqa: S607
            check=True,
            capture_output=True,
            timeout=_START_S,
        )


@contextmanager
def _counted(command: Sequence[object], room: Path) -> Iterator[_Counter]:
    out = room / "counted"
    under = ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"]
    process = subprocess.Popen(  # noqa: S603 -- valgrind, on this interpreter or our server
        [*under, f"--callgrind-out-file={out}", *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _Counter(process, out)
    finally:
        process.kill()
        process.communicate()


def _wait_until_answers(socket: Path) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            with Redis(unix_socket_path=str(socket)) as client:
                client.ping()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
