"""The own load client, a process of its own: where wrk is missing, and for a steady rate.

Without `rate` every connection sends again as soon as it is answered. With it, requests are due by
the clock whether or not earlier ones were answered, and latency counts from when a request was
due, so a stalled server cannot hide behind requests that were never sent (no coordinated
omission). Reads its orders as JSON on standard input, writes the result as JSON.
"""

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import cast

import httptools
import uvloop

from loadtests.bench import traffic
from loadtests.bench.traffic import Traffic

_TICK_S = 0.001
_DRAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What to do. `rate`: requests a second, 0 for as fast as they are answered.

    `count`: so many requests, however long they take; 0: until the time is over.
    """

    host: str
    port: int
    seconds: float
    connections: int
    rate: float
    request: Traffic
    count: int = 0


class _Requests:
    """The requests one after the other, as bytes."""

    def __init__(self, request: Traffic, *, host: str) -> None:
        self._request = request
        headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        self._head = f" HTTP/1.1\r\nHost: {host}\r\n{headers}"
        self._counter = 0
        self._fresh = 0

    def next(self) -> bytes:
        request = self._request
        self._counter += 1
        at = self._counter
        if request.new_every and at % request.new_every == 0:
            self._fresh += 1
            visitor = traffic.visitor(self._fresh, run=request.run)
        else:
            visitor = traffic.visitor(at % request.known)
        body = self._fill(request.body, visitor)
        head = f"{request.method} {self._fill(request.path, visitor)}{self._head}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def _fill(self, template: str, visitor: str) -> str:
        at, request = self._counter, self._request
        return (
            template.replace("{v}", visitor)
            .replace("{p}", traffic.page(at))
            .replace("{n}", f"{2_000_000 + at % request.known:07d}")
            .replace("{k}", f"{at % request.spread:07d}")
        )


class _Load:
    """What all connections share: orders, what is due, what came back."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.requests = _Requests(orders.request, host=f"{orders.host}:{orders.port}")
        self.idle: list[_Connection] = []
        self.due: deque[float] = deque()
        self.latencies: list[float] = []
        self.errors = 0
        self.sending = True
        self.unsent = orders.count
        self.finished = asyncio.Event()

    def answered(self, connection: "_Connection", *, due: float, status: int) -> None:
        self.latencies.append(time.perf_counter() - due)
        self.errors += not 200 <= status < 300  # noqa: PLR2004 -- the class of success codes
        if self.orders.rate:
            if self.due:
                connection.send(self.due.popleft())
            else:
                self.idle.append(connection)
        elif self.orders.count:
            self._send_another(connection)
        elif self.sending:
            connection.send(time.perf_counter())

    def _send_another(self, connection: "_Connection") -> None:
        if self.unsent:
            self.unsent -= 1
            connection.send(time.perf_counter())
        elif len(self.latencies) == self.orders.count:
            self.finished.set()

    async def run(self) -> dict[str, float]:
        loop = asyncio.get_running_loop()
        for _ in range(self.orders.connections):
            _, made = await loop.create_connection(
                lambda: _Connection(self), self.orders.host, self.orders.port
            )
            self.idle.append(made)
        began = time.perf_counter()
        if self.orders.rate:
            await self._keep_rate(began)
        elif self.orders.count:
            for each in self.idle:
                self._send_another(each)
            await self.finished.wait()
        else:
            while self.idle:
                self.idle.pop().send(time.perf_counter())
            await asyncio.sleep(self.orders.seconds)
        seconds = time.perf_counter() - began
        done = len(self.latencies)
        self.sending = False
        await self._drain()
        ordered = sorted(self.latencies)
        lost = len(self.due)
        return {
            "done": done,
            "seconds": seconds,
            "errors": self.errors + lost,
            "p50_ms": 1000 * _percentile(ordered, 0.5),
            "p99_ms": 1000 * _percentile(ordered, 0.99),
        }

    async def _keep_rate(self, began: float) -> None:
        sent, rate, seconds = 0, self.orders.rate, self.orders.seconds
        while (now := time.perf_counter()) - began < seconds:
            while (at := began + sent / rate) <= now:
                sent += 1
                if self.idle:
                    self.idle.pop().send(at)
                else:
                    self.due.append(at)
            await asyncio.sleep(_TICK_S)

    async def _drain(self) -> None:
        """Late answers count too: they are the long latencies."""
        until = time.perf_counter() + _DRAIN_S
        wanted = self.orders.connections if self.orders.rate else 0
        while len(self.idle) < wanted and time.perf_counter() < until:  # noqa: ASYNC110 -- no event an answer
            await asyncio.sleep(_TICK_S)


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._due = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio's do, without being of their class.
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        if self._load.sending:
            self._load.errors += 1

    def send(self, due: float) -> None:
        self._due = due
        if self._transport is not None:
            self._transport.write(self._load.requests.next())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._load.answered(self, due=self._due, status=status)


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main() -> None:
    """Read the orders, carry them out, write what was seen."""
    read = json.loads(sys.stdin.readline())
    orders = Orders(**{**read, "request": Traffic(**read["request"])})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_Load(orders).run())
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
