"""Send a kind of request to a server for a while: by wrk where it is installed, else ourselves."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from loadtests.bench.results import Sample
from loadtests.bench.traffic import Traffic

CONNECTIONS = 64
_SCRIPT = Path(__file__).with_name("wrk.lua")
_GRACE_S = 120.0


def wrk_is_here() -> bool:
    """Whether this machine has wrk."""
    return shutil.which("wrk") is not None


def at_capacity(
    port: int, request: Traffic, *, seconds: float, connections: int = CONNECTIONS, wrk: bool
) -> "Load":
    """Begin to send as fast as the answers come."""
    if wrk:
        return Load(_wrk_command(port, request, seconds=seconds, connections=connections))
    return _own(port, request, seconds=seconds, connections=connections, rate=0.0)


def at_rate(port: int, request: Traffic, *, seconds: float, rate: float) -> "Load":
    """Begin to send `rate` requests a second, latency counted from when each was due."""
    return _own(port, request, seconds=seconds, connections=CONNECTIONS, rate=rate)


def so_many(port: int, request: Traffic, *, count: int) -> "Load":
    """Begin to send this many requests as fast as the answers come."""
    return _own(port, request, seconds=0, connections=CONNECTIONS, rate=0.0, count=count)


class Load:
    """A client process at work."""

    def __init__(self, command: list[str], *, orders: str = "") -> None:
        self._process = subprocess.Popen(  # noqa: S603 -- wrk, or this interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._process.stdin is not None:
            self._process.stdin.write(orders)
            self._process.stdin.flush()
        # `communicate` closes the input; the client begins when it has read its one line.

    def result(self) -> Sample:
        """Wait for the end. Raises `RuntimeError` when the client failed."""
        out, _ = self._process.communicate(timeout=_GRACE_S)
        lines = [line for line in out.splitlines() if line.startswith(("result {", "{"))]
        if self._process.returncode or not lines:
            raise RuntimeError(f"the load client failed ({self._process.returncode}): {out}")
        seen = json.loads(lines[-1].removeprefix("result "))
        return Sample(**seen)


def _own(
    port: int, request: Traffic, *, seconds: float, connections: int, rate: float, count: int = 0
) -> Load:
    orders = {
        "host": "127.0.0.1",
        "port": port,
        "seconds": seconds,
        "connections": connections,
        "rate": rate,
        "count": count,
        "request": asdict(request),
    }
    command = [sys.executable, "-m", "loadtests.bench.client"]
    return Load(command, orders=json.dumps(orders) + "\n")


def _wrk_command(port: int, request: Traffic, *, seconds: float, connections: int) -> list[str]:
    # wrk knows whole seconds only.
    duration = f"{max(1, round(seconds))}s"
    return [
        "wrk", "-t1", f"-c{connections}", "-d", duration, "--timeout", "5s",
        "-s", str(_SCRIPT), f"http://127.0.0.1:{port}", "--", _lua_table(asdict(request)),
    ]  # fmt: skip


def _lua_table(value: object) -> str:
    match value:
        case dict():
            return (
                "{" + ",".join(f"[{_lua_table(k)}]={_lua_table(v)}" for k, v in value.items()) + "}"
            )
        case str():
            return json.dumps(value)
        case _:
            return str(value)
