"""An HTTP protocol of uvicorn that writes once per turn of the loop instead of twice per answer.

uvicorn sends the head of an answer and its body each in a system call of its own. Those two were a
third of the CPU time of `/assign` here (py-spy, 64 connections); put together they are one, and
the client is woken once.

The tag's calls hand over their whole answer at once, which skips uvicorn's own work on it (ADR 46).

It also bounds what a client may send before we answer: httptools keeps headers of any size, and
uvicorn a record of every request in a packet.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from dni_allocator.api.edge import WHOLE

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a request line and headers, beyond what their first packet brings."""

LARGEST_REQUEST: Final = 6 * 1024 * 1024
"""Bytes on the wire of one request. Bodies have smaller limits of their own (413); chunk marks and
trailers, which the application never sees, have this one."""

MOST_AHEAD: Final = 32
"""Requests sent before the answer to an earlier one. Browsers and proxies send none; a packet of
small ones would be kept at a hundred times its size."""

_NO_CONTENT: Final = 204

_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class CorkedHttpProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol over a corked transport."""

    _counted: HTTPScope | None = None
    _received: int = 0
    relieved: int = 0
    """How often the client read so much of what we had to wait with that we went on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the cork in."""
        corked: Any = _Corked(transport, self.loop)
        self._whole_to = corked.write_whole
        self._extensions: dict[str, dict[object, object]] = {WHOLE: {"send": self.send_whole}}
        super().connection_made(corked)

    def on_message_begin(self) -> None:
        """Offer the short way."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def send_whole(self, scope: object, status: int, head: bytes, body: bytes) -> bool:
        """Send an answer in one write, if nothing about its request is unusual; else false.

        What uvicorn's `RequestResponseCycle.send` does for a head and its only body. `head` are
        headers as they are written, checked by whoever made them; not the length of the body.
        """
        cycle = self.cycle
        if (
            cycle.scope is not scope  # others were pipelined behind it
            or cycle.response_started
            or cycle.disconnected
            or not cycle.keep_alive
            or cycle.access_log
            or self.flow.write_paused
        ):
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        always = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
        length = b"" if status == _NO_CONTENT else b"content-length: %d\r\n" % len(body)
        self._whole_to(b"".join((STATUS_LINE[status], always, head, length, b"\r\n", body)))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def data_received(self, data: bytes) -> None:
        """Parse; count what is more of the same request. Nearly all come in one packet."""
        request = self.scope
        super().data_received(data)
        if self.scope is request:
            self._count(len(data))
        elif self.pipeline and len(self.pipeline) > MOST_AHEAD:
            self.transport.abort()

    def resume_writing(self) -> None:
        """The client has taken enough to be sent more."""
        self.relieved += 1
        super().resume_writing()

    @property
    def last(self) -> RequestResponseCycle | None:
        """The last request whose head is whole. uvicorn says that there always is one."""
        return cast("RequestResponseCycle | None", self.cycle)

    @property
    def reads_head(self) -> bool:
        """The head of a request is not whole: of the first one, or of one more that has begun."""
        last = self.last
        return last is None or last.scope is not self.scope

    def _count(self, size: int) -> None:
        if self._counted is not self.scope:
            self._counted, self._received = self.scope, 0
        self._received += size
        if self._received <= LARGEST_HEAD or self.transport.is_closing():
            return
        if self.reads_head:
            last = self.last
            if last is None or last.response_complete:
                self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()
        elif self._received > LARGEST_REQUEST:
            self.transport.abort()


class _Corked:
    """A transport whose writes of one turn of the loop go out together, in order.

    Everything uvicorn asks of a transport beyond that is passed on.
    """

    __slots__ = ("_loop", "_transport", "_unsent", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._unsent: list[bytes] = []
        self.is_closing = transport.is_closing  # uvicorn asks after each answer

    def write(self, data: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def write_whole(self, data: bytes) -> None:
        """Write an answer that nothing will be added to: at once, but not before what waits."""
        if self._unsent:
            self._unsent.append(data)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close after what is written: asyncio promises that buffered data are sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._unsent:
            data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
            self._unsent.clear()
            try:
                self._transport.write(data)
            except RuntimeError:
                # The client cut the connection within this turn: uvloop refuses, asyncio warns.
                return

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a transport has many faces
        return getattr(self._transport, name)
