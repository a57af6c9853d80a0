"""An HTTP protocol of uvicorn that writes once per turn of the loop instead of twice per answer.

uvicorn sends the head of an answer and its body each in a system call of its own. Those two were a
third of the CPU time of `/assign` here (py-spy, 64 connections); put together they are one, and
the client is woken once.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class CorkedHttpProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol over a corked transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the cork in."""
        corked: Any = _Corked(transport, self.loop)
        super().connection_made(corked)


class _Corked:
    """A transport whose writes of one turn of the loop go out together, in order.

    Everything uvicorn asks of a transport beyond that is passed on.
    """

    __slots__ = ("_loop", "_transport", "_unsent")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._unsent: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def close(self) -> None:
        """Close after what is written: asyncio promises that buffered data are sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._unsent:
            data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
            self._unsent.clear()
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a transport has many faces
        return getattr(self._transport, name)
