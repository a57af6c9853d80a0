"""One connection for all calls of a process; those of one turn of the loop go out together.

Why our own: a call over redis-py's pool of connections costs 39 µs of this process, over this
2.4 µs (64 under way, uvloop), and `/assign` is little else. It does nothing but that: connecting,
TLS, AUTH, SELECT, Sentinel stay redis-py's (`store.connection` dials and hands over the
transport), replies are parsed by hiredis, and everything but the hot path uses redis-py itself.

Redis answers in the order of asking, so a reply belongs to the oldest call that waits.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Final, cast

import hiredis

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.store.refusals import Redirected, Refused, refusal
from dni_allocator.store.script_times import ScriptTimes
from dni_allocator.store.scripts import NoScript

Dial = Callable[[], Awaitable[asyncio.Transport]]
"""Open a connection, authenticate, and return its transport for another protocol."""

_NOTHING_YET: Final = object()
_CHECKS_PER_TIMEOUT: Final = 4

_READS_A_SAMPLE: Final = 8
"""One call of every eighth read from the connection is measured: of every read it would be 1 % of
the time of an `/assign`."""

_ASKING: Final = hiredis.pack_command(("ASKING",))

_CLOSED: Final = "The connection to the store was closed."

_TRIES: Final = 3
"""A restart cuts old connections and may cut the first new one; a fourth cut is an outage."""


class _ConnectionLost(StoreUnavailable):
    """The connection ended while the call was under way: it may or may not have run."""


class Multiplexed:
    """Many calls over one connection, in order, with a limit and a time-out.

    A call whose connection is lost is sent again on a new one, so it may run more than once: send
    only what is safe to repeat. With more than `most_in_flight` calls waiting, further ones are
    refused at once: a queue would only make them late. When the store is away, one call at a time
    tries to reach it and all others are refused at once.
    """

    def __init__(
        self, dial: Dial, *, timeout_s: float, most_in_flight: int = 2_000,
        failures: Counter[tuple[str]] | None = None, times: ScriptTimes | None = None,
        demoted: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._dial = dial
        self._timeout_s = timeout_s
        self._failures: Counter[tuple[str]] = Counter() if failures is None else failures
        self._times = times or ScriptTimes()
        self._demoted = demoted
        self.most_in_flight = most_in_flight
        self._pipe: _Pipe | None = None
        self._dialling: asyncio.Task[_Pipe] | None = None
        self._away = False
        self._closed = False

    async def execute(self, *command: str | bytes | int) -> object:
        """Send one command and return its reply, strings as bytes.

        Raises `StoreUnavailable` (away, too slow, too busy), `NoScript`, `ScriptContractError`.
        """
        # hiredis' stub says a tuple of one.
        return await self.send_packed(hiredis.pack_command(command))  # type: ignore[arg-type]

    async def send_packed(self, packed: bytes) -> object:
        """The same for a command that is packed already."""
        for tries in range(1, _TRIES + 1):
            pipe = self._pipe
            if pipe is None or pipe.lost:
                pipe = await self._connected()
            if len(pipe.waiting) >= self.most_in_flight:
                self._failures[("busy",)] += 1
                message = "Too many calls wait for the store already."
                raise StoreUnavailable(message)
            try:
                reply = await pipe.send(packed)
            except _ConnectionLost:
                self._failures[("lost",)] += 1
                if tries == _TRIES:
                    raise
                continue
            if isinstance(reply, hiredis.ReplyError):
                error = self._error(reply, pipe)
                if tries == 1 and isinstance(error, Refused) and error.word == "READONLY":
                    continue
                raise error
            return reply
        raise AssertionError  # the last try returns or raises

    async def execute_asking(self, *command: str | bytes | int) -> object:
        """As `execute`, for a slot that this node of a cluster is only about to get. Sent once."""
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # as above
        pipe = self._pipe
        if pipe is None or pipe.lost:
            pipe = await self._connected()
        # Nothing can come between these two; the reply to the first is nobody's.
        pipe.send(_ASKING).cancel()
        reply = await pipe.send(packed)
        if isinstance(reply, hiredis.ReplyError):
            raise self._error(reply, pipe)
        return reply

    def _error(self, reply: hiredis.ReplyError, pipe: "_Pipe") -> Exception:
        error = refusal(str(reply))
        if isinstance(error, Refused) and error.word == "READONLY":
            # A failover: this server is a replica now. Dialling again finds the primary.
            # Not of one that never was a primary: that is a wrong address.
            if self._demoted is not None and pipe.reads > 1 and not pipe.lost:
                self._demoted()
            pipe.end("the server became a replica")
        if not isinstance(error, (NoScript, Redirected)):
            self._failures[("refused",)] += 1
        return error

    async def _connected(self) -> "_Pipe":
        if self._closed:
            raise StoreUnavailable(_CLOSED)
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._connect())
            # Its error is also ours when nobody stays to hear it.
            self._dialling.add_done_callback(lambda task: task.cancelled() or task.exception())
        elif self._away:
            self._failures[("away",)] += 1
            message = "The store is away."
            raise StoreUnavailable(message)
        dialling = self._dialling
        try:
            # Shielded: the dialling is for all who wait, and must survive one who leaves.
            return await asyncio.shield(dialling)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if not dialling.cancelled() or (task is not None and task.cancelling()):
                raise  # it was the caller who left
            raise StoreUnavailable(_CLOSED) from error

    async def _connect(self) -> "_Pipe":
        try:
            async with asyncio.timeout(self._timeout_s):
                transport = await self._dial()
        except TimeoutError as error:
            self._away = True
            self._failures[("unreachable",)] += 1
            message = "The store does not take connections in time."
            raise StoreUnavailable(message) from error
        except StoreUnavailable:
            self._away = True
            self._failures[("unreachable",)] += 1
            raise
        finally:
            self._dialling = None
        self._away = False
        self._pipe = _Pipe(
            transport,
            timeout_s=self._timeout_s,
            on_silence=self._on_silence,
            times=self._times,
        )
        return self._pipe

    def _on_silence(self) -> None:
        self._away = True
        self._failures[("silent",)] += 1

    async def close(self) -> None:
        """End the connection; calls under way fail. Safe to repeat."""
        self._closed = True
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        if self._pipe is not None:
            self._pipe.end("closed by us")
            await self._pipe.gone.wait()


class _Pipe(asyncio.Protocol):
    """One living connection: what waits to be written, who waits to be answered."""

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        timeout_s: float,
        on_silence: Callable[[], None],
        times: ScriptTimes,
    ) -> None:
        self.lost = False
        self.gone = asyncio.Event()
        self.waiting: deque[tuple[asyncio.Future[object], float, bytes]] = deque()
        self._transport = transport
        self._timeout_s = timeout_s
        self._on_silence = on_silence
        self._times = times
        self.reads = 0
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []
        self._reader = hiredis.Reader(notEnoughData=_NOTHING_YET)
        self._watching = False
        transport.set_protocol(self)

    def send(self, packed: bytes) -> asyncio.Future[object]:
        """Queue a command; the future is its reply, error replies included as values."""
        if not self._unsent:
            self._loop.call_soon(self._write)
        self._unsent.append(packed)
        future: asyncio.Future[object] = self._loop.create_future()
        self.waiting.append((future, self._loop.time(), packed))
        if not self._watching:
            self._watching = True
            self._loop.call_later(self._timeout_s / _CHECKS_PER_TIMEOUT, self._watch)
        return future

    def _write(self) -> None:
        if not self.lost:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        """Give each complete reply to the oldest call."""
        reader, waiting = self._reader, self.waiting
        reader.feed(data)
        answered = None
        while (reply := cast("object", reader.gets())) is not _NOTHING_YET:
            answered = waiting.popleft()
            if not answered[0].done():
                answered[0].set_result(reply)
        self.reads += 1
        if not self.reads % _READS_A_SAMPLE and answered is not None:
            self._times.observe_packed(answered[2], self._loop.time() - answered[1])

    def _watch(self) -> None:
        """End a connection whose oldest call waits too long: all behind it wait for it."""
        if self.lost or not self.waiting:
            self._watching = False
            return
        if self._loop.time() - self.waiting[0][1] > self._timeout_s:
            self._on_silence()
            self._fail(StoreUnavailable("The store does not answer in time."))
            self._transport.abort()
            return
        self._loop.call_later(self._timeout_s / _CHECKS_PER_TIMEOUT, self._watch)

    def end(self, why: str) -> None:
        """Close from our side."""
        self._fail(_ConnectionLost(f"The connection to the store ended: {why}."))
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        why = "closed" if exc is None else type(exc).__name__
        self._fail(_ConnectionLost(f"The connection to the store was lost ({why})."))
        self.gone.set()

    def _fail(self, error: StoreUnavailable) -> None:
        self.lost = True
        while self.waiting:
            future, *_ = self.waiting.popleft()
            if not future.done():
                future.set_exception(type(error)(error.detail))
