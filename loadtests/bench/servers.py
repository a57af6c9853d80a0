"""The processes that are measured: start them on free ports, read their CPU, end them."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from dni_allocator.store.embedded import EmbeddedServer
from loadtests.bench.traffic import ADMIN_KEY

SHARDS = 8
_START_S = 120.0
"""Longer than anything takes that is not under valgrind."""
_STOP_S = 30.0
_REAPED_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers HTTP on a port of this machine."""

    pid: int
    port: int


@contextmanager
def peer(name: str, *, under: Sequence[str] = ()) -> Iterator[Server]:
    """One of `loadtests.bench.peers`; `under`: the command that runs it, for a look inside."""
    port = free_port()
    command = [*under, sys.executable, "-m", "loadtests.bench.peers", name, str(port)]
    with _started(command, {}) as process:
        _wait_until_served(process, port, path="/assign")
        yield Server(process.pid, port)


@contextmanager
def service(redis_url: str, *, alone: bool = True, port: int = 0) -> Iterator[Server]:
    """Our service, one process, without the forwarder; started as operators start it.

    `alone`: it gets the measured core; several of them share all cores instead. `port` 0: any.
    """
    port = port or free_port()
    environment = {**settings(redis_url), "DNI_HOST": "127.0.0.1", "DNI_PORT": str(port)}
    command = [sys.executable, "-m", "dni_allocator", "serve", "--no-forwarder"]
    with _started(command, environment, alone=alone) as process:
        _wait_until_served(process, port, path="/readyz")
        yield Server(process.pid, port)


@contextmanager
def service_alone(redis_url: str, *, under: Sequence[str]) -> Iterator[Server]:
    """Our service without its background work, so that only requests are counted."""
    port = free_port()
    environment = {**settings(redis_url), "DNI_HOST": "127.0.0.1", "DNI_PORT": str(port)}
    command = [*under, sys.executable, "-m", "loadtests.bench.service_alone"]
    with _started(command, environment) as process:
        _wait_until_served(process, port, path="/readyz")
        yield Server(process.pid, port)


@contextmanager
def forwarder(redis_url: str) -> Iterator[int]:
    """One forwarder process; gives its pid."""
    environment = {**settings(redis_url), "DNI_WEBHOOK_ALLOW": "127.0.0.0/8"}
    with _started([sys.executable, "-m", "dni_allocator", "forward"], environment) as process:
        yield process.pid


def settings(redis_url: str) -> dict[str, str]:
    """What all our processes of a bench run with."""
    return {
        "DNI_REDIS_URL": redis_url,
        "DNI_ADMIN_KEY": ADMIN_KEY,
        "DNI_SHARDS": str(SHARDS),
        "DNI_DRAIN_S": "0",
        "DNI_LOG_LEVEL": "warning",
    }


@contextmanager
def redis_server(*, durable: bool = True, measured: bool = False) -> Iterator[EmbeddedServer]:
    """A server of the embedded kind with no data; `durable` as in production.

    `measured`: it is the subject itself, so it gets the core of its own. `DNI_EMBEDDED_SERVER`
    names another program, as for the service.
    """
    program = os.environ.get("DNI_EMBEDDED_SERVER")
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dni-bench-")))
        server = stack.enter_context(
            EmbeddedServer.start(
                room, durable=durable, executable=Path(program) if program else None
            )
        )
        if measured:
            pin(server.pid, measured=True)
        with Redis.from_url(server.url) as client:
            # A rewrite of the log is set off by filling the pools: it must not fall into a window.
            client.config_set("auto-aof-rewrite-percentage", 0)
        yield server


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str], *, alone: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 -- this interpreter
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    if alone:
        pin(process.pid, measured=True)
    else:
        unpin(process.pid)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_served(process: subprocess.Popen[bytes], port: int, *, path: str) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with code {process.returncode}")
        try:
            url = f"http://127.0.0.1:{port}{path}"
            with urllib.request.urlopen(url, timeout=5):  # nosec B310 -- our own server
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:  # noqa: PLR2004 -- it answers, if only "not this method"
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not answer on port {port}")


# --- CPU -----------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """User and system CPU of a process so far, without its children.

    On Linux the scheduler's own account, in nanoseconds: the usual one counts in ticks of 10 ms,
    too coarse for the short mode.
    """
    threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if threads:
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
    shown = subprocess.run(  # noqa: S603 -- ps of the system
        ["ps", "-o", "time=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    seconds = 0.0
    for part in shown.strip().replace("-", ":").split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def family_cpu_seconds(pid: int) -> float:
    """CPU of a process and of its children that ended; 0 where the system does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    # Behind the name, which may hold spaces: utime, stime, cutime, cstime are 14 to 17.
    fields = stat.read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def wait_for_children(pid: int, *, at_most: int) -> int:
    """Wait until a process has no more than so many children; how many it has, 0 if unknown."""
    known = Path(f"/proc/{pid}/task/{pid}/children")
    until = time.monotonic() + _REAPED_WITHIN_S
    while known.exists():
        living = len(known.read_text().split())
        if living <= at_most or time.monotonic() > until:
            return living
        time.sleep(0.01)
    return 0


CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The cores this process was given at its start; none where the system does not tell."""


def pin(pid: int, *, measured: bool) -> None:
    """Give a measured process the last core to itself, and everything else the others.

    `pid` 0 is this process; what it starts inherits its cores. Does nothing where the system
    cannot do it or has but one core.
    """
    if len(CORES) > 1:
        os.sched_setaffinity(pid, CORES[-1:] if measured else CORES[:-1])


def unpin(pid: int) -> None:
    """Let a process use every core, whatever its parent may use."""
    if len(CORES) > 1:
        os.sched_setaffinity(pid, CORES)
